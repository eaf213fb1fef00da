//! A half-open range of time that is known not to be empty.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The instants from `start` up to, but not including, `end`. Never empty, never reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Bounds")]
pub struct Interval {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Bounds {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl TryFrom<Bounds> for Interval {
    type Error = InvalidInterval;

    fn try_from(bounds: Bounds) -> Result<Self, InvalidInterval> {
        Self::new(bounds.start, bounds.end)
    }
}

/// Why two instants are not an [`Interval`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidInterval {
    /// Both are the same instant, so nothing lies between them.
    #[error("an interval that starts and ends at {at} is empty")]
    Empty {
        /// The instant.
        at: DateTime<Utc>,
    },
    /// The end comes first. A local time read in the wrong zone is the usual cause.
    #[error("an interval ends at {end}, before its start at {start}")]
    Reversed {
        /// Where it was to start.
        start: DateTime<Utc>,
        /// Where it was to end.
        end: DateTime<Utc>,
    },
}

/// Why a text is not an [`Interval`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableInterval {
    /// There is no `/` between a start and an end.
    #[error("an interval is written as two instants with a slash between them")]
    NoSlash,
    /// One of the two is not an instant of RFC 3339, with its offset.
    #[error("an instant is written like 2025-10-15T14:00:00Z")]
    Instant(#[source] chrono::ParseError),
    /// Both are, but nothing lies between them.
    #[error(transparent)]
    Invalid(#[from] InvalidInterval),
}

/// Reads the two instants of an ISO 8601 interval: `2025-10-15T14:00:00Z/2025-10-15T15:00:00Z`.
impl FromStr for Interval {
    type Err = UnreadableInterval;

    fn from_str(text: &str) -> Result<Self, UnreadableInterval> {
        let (start, end) = text.split_once('/').ok_or(UnreadableInterval::NoSlash)?;
        let instant = |text: &str| {
            let instant = DateTime::parse_from_rfc3339(text).map_err(UnreadableInterval::Instant);
            Ok::<_, UnreadableInterval>(instant?.to_utc())
        };
        Ok(Self::new(instant(start)?, instant(end)?)?)
    }
}

/// As it is read.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        write!(f, "{}/{}", text(self.start), text(self.end))
    }
}

impl Interval {
    /// The interval `[start, end)`.
    ///
    /// # Errors
    ///
    /// When it would be empty or reversed.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, InvalidInterval> {
        if start < end {
            Ok(Self { start, end })
        } else if start == end {
            Err(InvalidInterval::Empty { at: start })
        } else {
            Err(InvalidInterval::Reversed { start, end })
        }
    }

    /// The first instant.
    #[must_use]
    pub const fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant that is no longer part of it.
    #[must_use]
    pub const fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// How long it is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        (self.end - self.start).to_std().unwrap_or_default()
    }

    /// Whether `instant` is part of it. The end is not.
    #[must_use]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Whether the two share an instant. Intervals that touch do not.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The same interval, starting `before` earlier and ending `after` later; at the ends of
    /// what can be represented it stops there.
    #[must_use]
    pub fn widened(&self, before: Duration, after: Duration) -> Self {
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Self {
            start: self
                .start
                .checked_sub_signed(delta(before))
                .unwrap_or(DateTime::<Utc>::MIN_UTC)
                .min(self.start),
            end: self
                .end
                .checked_add_signed(delta(after))
                .unwrap_or(DateTime::<Utc>::MAX_UTC)
                .max(self.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn empty_and_reversed_intervals_are_different_errors() {
        assert_eq!(
            Interval::new(at(5), at(5)),
            Err(InvalidInterval::Empty { at: at(5) })
        );
        assert_eq!(
            Interval::new(at(6), at(5)),
            Err(InvalidInterval::Reversed {
                start: at(6),
                end: at(5)
            })
        );
    }

    #[test]
    fn intervals_that_touch_do_not_overlap() {
        let first = Interval::new(at(0), at(5)).unwrap();
        let second = Interval::new(at(5), at(9)).unwrap();
        assert!(!first.overlaps(&second) && !second.overlaps(&first));
        assert!(first.overlaps(&second.widened(Duration::from_nanos(1), Duration::ZERO)));
        assert!(first.contains(at(0)) && !first.contains(at(5)));
    }

    #[test]
    fn widening_stops_at_the_ends_of_time() {
        let all = Interval::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).unwrap();
        assert_eq!(all.widened(Duration::MAX, Duration::MAX), all);
        assert!(all.duration() > Duration::ZERO);
        let now = Interval::new(at(0), at(1)).unwrap();
        assert_eq!(now.widened(Duration::MAX, Duration::MAX), all);
    }

    #[test]
    fn json_is_validated() {
        let json = r#"{"start":"2025-10-15T16:00:00+02:00","end":"2025-10-15T15:00:00Z"}"#;
        let read: Interval = serde_json::from_str(json).unwrap();
        assert_eq!(read.duration(), Duration::from_secs(3600));
        let error = serde_json::from_str::<Interval>(
            r#"{"start":"2025-10-15T15:00:00Z","end":"2025-10-15T14:00:00Z"}"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("before its start"), "{error}");
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let text = "2025-10-15T14:00:00Z/2025-10-15T15:30:00.250Z";
        let interval: Interval = text.parse().unwrap();
        assert_eq!(interval.to_string(), text);
        let berlin = "2025-10-15T16:00:00+02:00/2025-10-15T17:30:00.25+02:00";
        assert_eq!(berlin.parse(), Ok(interval));
    }

    #[test]
    fn a_text_that_is_no_interval_says_why() {
        let read = |text: &str| text.parse::<Interval>().unwrap_err();
        assert_eq!(read("2025-10-15T14:00:00Z"), UnreadableInterval::NoSlash);
        assert!(matches!(
            read("14:00/15:00"),
            UnreadableInterval::Instant(_)
        ));
        let reversed = read("2025-10-15T15:00:00Z/2025-10-15T14:00:00Z");
        assert!(matches!(
            reversed,
            UnreadableInterval::Invalid(InvalidInterval::Reversed { .. })
        ));
    }
}
