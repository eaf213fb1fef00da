//! A topology in serialized form.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, Serializer};

use super::{LaneRow, Row, Topology};
use crate::Overflow;

/// Raised when a field is removed or changes its meaning; not when one is added.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct TopologyFields<'a> {
    format: u32,
    rows: &'a [Row],
}

#[derive(Serialize)]
struct RowFields<'a> {
    event: &'a str,
    version: u16,
    listener: Option<&'a str>,
    kind: Option<&'a str>,
    required: bool,
    enabled: bool,
    lane: Option<&'a LaneRow>,
}

#[derive(Serialize)]
struct LaneFields<'a> {
    capacity: usize,
    overflow: &'a str,
    concurrency: usize,
    time_out_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_time_out_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryFields>,
    #[cfg(feature = "rate-limit")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimitFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batching: Option<BatchingFields>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    after: &'a [Cow<'static, str>],
    ordered: bool,
    coalescing: bool,
}

#[derive(Serialize)]
struct RetryFields {
    attempts: u32,
    first_pause_ms: u64,
    longest_pause_ms: u64,
}

#[cfg(feature = "rate-limit")]
#[derive(Serialize)]
struct RateLimitFields {
    /// Not milliseconds: a thousand calls a second are not unusual.
    interval_ns: u64,
    at_once: u32,
}

#[derive(Serialize)]
struct BatchingFields {
    most: usize,
    linger_ms: u64,
}

/// `format`, which is 1, and `rows`. Readers should ignore fields that they do not know: new ones
/// appear without a new `format`.
impl Serialize for Topology {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = TopologyFields {
            format: FORMAT,
            rows: self.rows(),
        };
        fields.serialize(serializer)
    }
}

/// `event`, `version`, `listener` (null if nobody listens), `kind` (`inline`, `lane` or null),
/// `required`, `enabled`, and `lane` (null for an inline listener).
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = RowFields {
            event: self.event,
            version: self.version,
            listener: self.listener.as_deref(),
            kind: self.kind(),
            required: self.required,
            enabled: self.enabled,
            lane: self.lane.as_ref(),
        };
        fields.serialize(serializer)
    }
}

/// `capacity`, `overflow` (`dead_letter` or `drop_oldest`), `concurrency`, `time_out_ms`,
/// `attempt_time_out_ms`, `retry` (`attempts`, `first_pause_ms`, `longest_pause_ms`), `rate_limit`
/// (`interval_ns`, `at_once`), `batching` (`most`, `linger_ms`), `after`, `ordered`, `coalescing`.
///
/// What the policy does not have is left out. Milliseconds are whole ones, rounded up.
impl Serialize for LaneRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = LaneFields {
            capacity: self.capacity.get(),
            overflow: match self.overflow {
                Overflow::DeadLetter => "dead_letter",
                Overflow::DropOldest => "drop_oldest",
            },
            concurrency: self.concurrency.get(),
            time_out_ms: milliseconds(self.time_out),
            attempt_time_out_ms: self.attempt_time_out.map(milliseconds),
            retry: self.retry.map(|retry| RetryFields {
                attempts: retry.attempts.get(),
                first_pause_ms: milliseconds(retry.first_pause),
                longest_pause_ms: milliseconds(retry.longest_pause),
            }),
            #[cfg(feature = "rate-limit")]
            rate_limit: self.rate_limit.map(|limit| RateLimitFields {
                interval_ns: whole(limit.interval().as_nanos()),
                at_once: limit.at_once(),
            }),
            batching: self.batching.map(|batching| BatchingFields {
                most: batching.most.get(),
                linger_ms: milliseconds(batching.linger),
            }),
            after: &self.after,
            ordered: self.ordered,
            coalescing: self.coalescing,
        };
        fields.serialize(serializer)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    whole(duration.as_nanos().div_ceil(1_000_000))
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
