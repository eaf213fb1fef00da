//! [`Topology`]: who listens to what, and how.

#[cfg(feature = "serde")]
mod json;
mod mermaid;
mod table;

use std::{borrow::Cow, num::NonZeroUsize, sync::Arc, time::Duration};

#[cfg(feature = "rate-limit")]
use crate::RateLimit;
use crate::{Batching, Overflow, Retry};

/// Who listens to what, and how.
///
/// Its `Display` is a table, without the columns that would be empty. With the feature `serde` it can
/// be serialized, for instance as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub(crate) rows: Arc<[Row]>,
}

/// One listener of one event; or an event that was declared and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The name of the event.
    pub event: &'static str,
    /// The version of the event.
    pub version: u16,
    /// The name of the listener; none if the event was declared and nobody listens.
    pub listener: Option<Cow<'static, str>>,
    /// The listener's lane; none for an inline listener.
    pub lane: Option<LaneRow>,
    /// Whether the application required this listener.
    pub required: bool,
    /// Whether the listener takes part; see [`Policy::enabled`](crate::Policy::enabled).
    pub enabled: bool,
}

/// How a lane treats its listener and its queue; see [`Policy`](crate::Policy).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneRow {
    /// How many events may wait.
    pub capacity: NonZeroUsize,
    /// What a full lane does.
    pub overflow: Overflow,
    /// How many events are handled at once.
    pub concurrency: NonZeroUsize,
    /// The time that one event may take.
    pub time_out: Duration,
    /// The time that one attempt may take, if that has a limit of its own.
    pub attempt_time_out: Option<Duration>,
    /// How a failed listener is called again.
    pub retry: Option<Retry>,
    /// How often the listener may be called.
    #[cfg(feature = "rate-limit")]
    pub rate_limit: Option<RateLimit>,
    /// The listeners of the same event that it waits for.
    pub after: Vec<Cow<'static, str>>,
    /// How many events it is given at once, if it takes batches.
    pub batching: Option<Batching>,
    /// Whether the order of events with equal keys is kept.
    pub ordered: bool,
    /// Whether a newer event takes the place of a waiting one with an equal key.
    pub coalescing: bool,
}

impl Topology {
    /// One row for every listener, by event in order of registration.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl Row {
    /// How the listener is called, in a word.
    fn kind(&self) -> Option<&'static str> {
        self.listener.as_ref()?;
        Some(match self.lane {
            None => "inline",
            Some(_) => "lane",
        })
    }
}
