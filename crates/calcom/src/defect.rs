//! [`Defect`]: why a signed webhook cannot be an event.

use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use vacancy_slots::{Interval, InvalidInterval};

/// The longest booking that is taken for one: 366 days.
pub const LONGEST_BOOKING: Duration = Duration::from_secs(366 * 24 * 3600);

/// The years that a booking may be in.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2199;

/// Why a webhook that is signed and about a booking cannot become an event.
///
/// What it may be about is invalidated at any time; nothing is noted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Defect {
    /// It does not say which booking it is about.
    MissingUid,
    /// It does not say when the booking is, nor is that remembered.
    MissingTimes,
    /// A time cannot be read, or has no offset from UTC.
    UnreadableTimes,
    /// A time is given twice, and differently.
    ContradictoryTimes,
    /// The end is before the start.
    Reversed,
    /// The end is the start.
    Empty,
    /// It is before the year 2000 or after the year 2199.
    OutOfRange,
    /// It is longer than [`LONGEST_BOOKING`].
    TooLong,
}

impl Defect {
    /// What it is called in metrics, logs and answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingUid => "missing_uid",
            Self::MissingTimes => "missing_times",
            Self::UnreadableTimes => "unreadable_times",
            Self::ContradictoryTimes => "contradictory_times",
            Self::Reversed => "reversed",
            Self::Empty => "empty",
            Self::OutOfRange => "out_of_range",
            Self::TooLong => "too_long",
        }
    }

    /// The interval, if it can be that of a booking.
    pub(crate) fn check(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Interval, Self> {
        let interval = Interval::new(start, end).map_err(|invalid| match invalid {
            InvalidInterval::Empty { .. } => Self::Empty,
            _ => Self::Reversed,
        })?;
        if !YEARS.contains(&start.year()) || !YEARS.contains(&end.year()) {
            // A century that ends in 2250 is both; its length says more.
            return Err(match interval.duration() > LONGEST_BOOKING {
                true => Self::TooLong,
                false => Self::OutOfRange,
            });
        }
        match interval.duration() > LONGEST_BOOKING {
            true => Err(Self::TooLong),
            false => Ok(interval),
        }
    }
}
