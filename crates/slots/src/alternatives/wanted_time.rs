//! The wanted time, and the same time of other days.

use chrono::{DateTime, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::local_day::LocalDay;

/// The wanted time as an instant, and as the clocks of its zone show it.
pub(super) struct WantedTime {
    pub(super) start: DateTime<Utc>,
    pub(super) day: LocalDay,
    /// The same weekday and time of the week after.
    pub(super) week_after: DateTime<Utc>,
    /// What the clocks show.
    time: NaiveTime,
    /// The first day of the week after, and of the one after that.
    week: (NaiveDate, NaiveDate),
}

impl WantedTime {
    pub(super) fn new(start: DateTime<Utc>, zone: Tz) -> Self {
        let day = LocalDay::containing(start, zone);
        let monday = day.next_week_start();
        let time = start.with_timezone(&zone).time();
        let same_weekday = day.date().checked_add_days(Days::new(7));
        let same_weekday = LocalDay::new(same_weekday.unwrap_or(day.date()), zone);
        Self {
            start,
            day,
            week_after: at(same_weekday, time),
            time,
            week: (monday.date(), monday.next_week_start().date()),
        }
    }

    /// The same time of another day.
    pub(super) fn on(&self, day: LocalDay) -> DateTime<Utc> {
        at(day, self.time)
    }

    /// Whether a day is no later than the week after.
    pub(super) fn is_by_week_after(&self, day: LocalDay) -> bool {
        day.date() < self.week.1
    }

    /// Whether a day is in the week after.
    pub(super) fn is_week_after(&self, day: LocalDay) -> bool {
        (self.week.0..self.week.1).contains(&day.date())
    }
}

/// The instant at which the clocks show this time of the day. The earlier one when they show it twice; when
/// they skip it, the one that is as long after the start of the day.
fn at(day: LocalDay, time: NaiveTime) -> DateTime<Utc> {
    match day.zone().from_local_datetime(&day.date().and_time(time)) {
        MappedLocalTime::Single(instant) => instant.to_utc(),
        MappedLocalTime::Ambiguous(one, other) => one.min(other).to_utc(),
        MappedLocalTime::None => day.start() + since_midnight(time),
    }
}

fn since_midnight(time: NaiveTime) -> TimeDelta {
    time.signed_duration_since(NaiveTime::MIN)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn day(text: &str) -> LocalDay {
        LocalDay::new(text.parse().expect("a date"), Europe::Berlin)
    }

    #[test]
    fn the_same_time_is_what_the_clocks_show() {
        let wanted = WantedTime::new(utc("2025-03-28T09:00:00Z"), Europe::Berlin);
        assert_eq!(wanted.day, day("2025-03-28"));
        // Summer time begins on the 30th: ten o'clock is an hour earlier.
        assert_eq!(wanted.on(day("2025-03-31")), utc("2025-03-31T08:00:00Z"));
        assert_eq!(wanted.week_after, utc("2025-04-04T08:00:00Z"));
    }

    #[test]
    fn a_time_that_is_skipped_is_as_long_after_midnight() {
        let wanted = WantedTime::new(utc("2025-03-29T01:30:00Z"), Europe::Berlin);
        // 02:30 does not exist on the 30th: two and a half hours after midnight it is 03:30.
        assert_eq!(wanted.on(day("2025-03-30")), utc("2025-03-30T01:30:00Z"));
    }

    #[test]
    fn of_a_time_that_comes_twice_it_is_the_first() {
        let wanted = WantedTime::new(utc("2025-10-25T00:30:00Z"), Europe::Berlin);
        assert_eq!(wanted.on(day("2025-10-26")), utc("2025-10-26T00:30:00Z"));
    }

    #[test]
    fn the_week_after_begins_on_monday() {
        let sunday = WantedTime::new(utc("2025-10-19T09:00:00Z"), Europe::Berlin);
        let is = |date| sunday.is_week_after(day(date));
        assert!(is("2025-10-20") && is("2025-10-26"));
        assert!(!is("2025-10-19") && !is("2025-10-27"));
    }
}
