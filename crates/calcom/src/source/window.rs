//! Which instants are asked for, and which of the answers count.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use vacancy_slots::{Interval, LocalDay, SlotsRequest};

/// Days that are asked for on either side, at most.
const MOST_DAYS: u64 = 64;

/// The window of one call.
///
/// Cal.com gives the slots that *end* in the window, from the bookings that it finds there. So a
/// window of the asked days alone would lose the slots that begin before the last midnight and end
/// after it, and would offer what is too close to a booking on the other side of either midnight. It
/// reaches over whole local days at both ends, since the edge of a window can also move the grid of
/// starts; what begins outside of the asked days is dropped here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// What a slot has to start in.
    asked: Interval,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

impl Window {
    /// `None` when no instant belongs to the days asked for. `length` is that of the longest slot,
    /// where it is known; else slots last up to a day.
    pub(crate) fn of(request: &SlotsRequest, length: Option<Duration>) -> Option<Self> {
        let day = |date: Option<NaiveDate>, near| LocalDay::new(date.unwrap_or(near), request.zone);
        let after = length.map_or(1, |length| length.as_secs().div_ceil(86_400));
        let after = Days::new(after.clamp(1, MOST_DAYS));
        let before = Days::new(1);
        let first = day(request.first.checked_sub_days(before), request.first);
        let last = day(request.last.checked_add_days(after), request.last);
        Some(Self {
            asked: request.window()?,
            start: first.start(),
            end: last.end(),
        })
    }

    pub(crate) fn asks_for(&self, start: DateTime<Utc>) -> bool {
        self.asked.contains(start)
    }
}
