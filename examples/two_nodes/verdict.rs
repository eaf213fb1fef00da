//! What a node's reads were worth, told from when each began and what was booked and confirmed when.

use serde::{Deserialize, Serialize};
use vacancy::cache::Source;
use vacancy::slots::{OpenError, OpenSlots};

use super::agenda::{HOSTS, HalfHours, each, half_hours_of};

/// A half hour that A has booked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Booking {
    pub(crate) host: usize,
    pub(crate) nth: usize,
    /// When `dispatch` had returned.
    pub(crate) dispatched: u64,
    /// When A knew that it was confirmed; never, if that took longer than was waited for.
    pub(crate) confirmed: Option<u64>,
}

/// One read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    began: u64,
    host: usize,
    answer: Option<(Level, HalfHours)>,
}

/// Who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    One,
    Two,
    Calendar,
}

/// A node's reads in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) level1: u64,
    pub(crate) level2: u64,
    pub(crate) calendar: u64,
    pub(crate) errors: u64,
    /// Reads that offered what had been confirmed as taken before they began.
    pub(crate) stale: u64,
    /// Of those, the longest time between the confirmation and the read, in nanoseconds.
    pub(crate) stale_by: u64,
    /// The longest time between a dispatch and the beginning of a read that did not know of it.
    pub(crate) unaware_for: u64,
}

impl Observation {
    pub(crate) fn new(began: u64, host: usize, answer: &Result<OpenSlots, OpenError>) -> Self {
        let answer = answer.as_ref().ok().map(|open| {
            let level = match open.days().first().map(|day| day.source) {
                Some(Source::Level1) => Level::One,
                Some(Source::Level2) => Level::Two,
                _ => Level::Calendar,
            };
            (level, half_hours_of(open))
        });
        Self {
            began,
            host,
            answer,
        }
    }
}

impl Reads {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.level1 + self.level2 + self.calendar + self.errors
    }

    fn add(&mut self, read: &Observation, taken: &Taken) {
        let Some((level, open)) = read.answer else {
            self.errors += 1;
            return;
        };
        *match level {
            Level::One => &mut self.level1,
            Level::Two => &mut self.level2,
            Level::Calendar => &mut self.calendar,
        } += 1;
        let since = |moment: Option<u64>| moment.and_then(|at| read.began.checked_sub(at));
        let mut stale_by = None;
        for nth in each(open & taken.half_hours) {
            let (dispatched, confirmed) = taken.at[nth];
            stale_by = stale_by.max(since(confirmed));
            self.unaware_for = self.unaware_for.max(since(Some(dispatched)).unwrap_or(0));
        }
        if let Some(by) = stale_by {
            self.stale += 1;
            self.stale_by = self.stale_by.max(by);
        }
    }
}

/// What is booked with one host.
#[derive(Clone, Debug)]
struct Taken {
    half_hours: HalfHours,
    /// Of each, when it was dispatched and confirmed.
    at: [(u64, Option<u64>); HalfHours::BITS as usize],
}

/// Judges the reads that began between each of `bounds` and the next.
pub(crate) fn judge(reads: &[Observation], bookings: &[Booking], bounds: &[u64]) -> Vec<Reads> {
    let nothing = Taken {
        half_hours: 0,
        at: [(0, None); HalfHours::BITS as usize],
    };
    let mut taken = vec![nothing; HOSTS];
    for booking in bookings {
        let with = &mut taken[booking.host];
        with.half_hours |= 1 << booking.nth;
        with.at[booking.nth] = (booking.dispatched, booking.confirmed);
    }
    let mut periods = vec![Reads::default(); bounds.len().saturating_sub(1)];
    for read in reads {
        let passed = bounds.partition_point(|bound| *bound <= read.began);
        if let Some(period) = passed.checked_sub(1).and_then(|nth| periods.get_mut(nth)) {
            period.add(read, &taken[read.host]);
        }
    }
    periods
}
