//! [`Topology`]: who listens to what, and how.

use std::{borrow::Cow, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

#[cfg(feature = "rate-limit")]
use crate::RateLimit;
use crate::{Batching, Overflow, Retry};

/// Who listens to what, and how. Its `Display` is a table.
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

const HEADINGS: [&str; 10] = [
    "event",
    "version",
    "listener",
    "kind",
    "capacity",
    "overflow",
    "concurrency",
    "time-out",
    "retry",
    "required",
];

impl Row {
    fn cells(&self) -> [String; 10] {
        let none = || "-".to_owned();
        let listener = self
            .listener
            .as_ref()
            .map_or_else(none, ToString::to_string);
        let required = if self.required {
            "yes".to_owned()
        } else {
            none()
        };
        let (event, version) = (self.event.to_owned(), self.version.to_string());
        let Some(lane) = &self.lane else {
            let kind = if self.listener.is_some() {
                "inline".to_owned()
            } else {
                none()
            };
            let empty = none;
            return [
                event,
                version,
                listener,
                kind,
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                required,
            ];
        };
        let coalescing = if lane.coalescing { ", coalescing" } else { "" };
        let ordered = if lane.ordered { ", by key" } else { "" };
        [
            event,
            version,
            listener,
            "lane".to_owned(),
            lane.capacity.to_string(),
            format!("{}{coalescing}", lane.overflow),
            format!("{}{ordered}", lane.concurrency),
            format!("{:?}", lane.time_out),
            lane.retry.map_or_else(none, |retry| retry.to_string()),
            required,
        ]
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = HEADINGS.map(str::to_owned);
        let lines: Vec<[String; 10]> = std::iter::once(headings)
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let widths: [usize; 10] = std::array::from_fn(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        for line in &lines {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(widths) {
                text.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}
