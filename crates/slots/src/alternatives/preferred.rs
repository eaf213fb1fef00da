//! When somebody would rather come.

use chrono::{Datelike, NaiveDateTime, NaiveTime, Weekday, WeekdaySet};

/// A time of the day, by the clocks of the place, at which somebody would rather come.
///
/// A slot is preferred that starts in it. The end is not part of it; one that is not after the start
/// is on the next day, so that equal ones make a whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferredTime {
    from: NaiveTime,
    until: NaiveTime,
    weekdays: Option<WeekdaySet>,
}

impl PreferredTime {
    /// This time of any day.
    #[must_use]
    pub const fn new(from: NaiveTime, until: NaiveTime) -> Self {
        Self {
            from,
            until,
            weekdays: None,
        }
    }

    /// Only on this day of the week, or on this one too. It is the day of the start of the slot.
    #[must_use]
    pub fn on(mut self, weekday: Weekday) -> Self {
        let mut weekdays = self.weekdays.unwrap_or(WeekdaySet::EMPTY);
        weekdays.insert(weekday);
        self.weekdays = Some(weekdays);
        self
    }

    /// Whether it may hold a start on this day of the week.
    pub(super) fn touches(&self, weekday: Weekday) -> bool {
        self.weekdays
            .is_none_or(|weekdays| weekdays.contains(weekday))
    }

    /// Whether it holds a start that the clocks show like this.
    pub(super) fn holds(&self, local: NaiveDateTime) -> bool {
        let (from, until, time) = (self.from, self.until, local.time());
        let at_the_time = match from < until {
            true => from <= time && time < until,
            false => from <= time || time < until,
        };
        at_the_time && self.touches(local.weekday())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(hour: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour")
    }

    fn local(text: &str) -> NaiveDateTime {
        text.parse().expect("a local time")
    }

    #[test]
    fn the_end_is_not_part_of_it() {
        let mornings = PreferredTime::new(time(9), time(12));
        assert!(mornings.holds(local("2025-10-15T09:00:00")));
        assert!(mornings.holds(local("2025-10-15T11:59:59")));
        assert!(!mornings.holds(local("2025-10-15T12:00:00")));
        assert!(!mornings.holds(local("2025-10-15T08:59:59")));
    }

    #[test]
    fn it_may_go_on_after_midnight_and_last_all_day() {
        let nights = PreferredTime::new(time(22), time(2));
        assert!(nights.holds(local("2025-10-15T23:00:00")));
        assert!(nights.holds(local("2025-10-15T01:00:00")));
        assert!(!nights.holds(local("2025-10-15T02:00:00")));
        let always = PreferredTime::new(time(9), time(9));
        assert!(always.holds(local("2025-10-15T03:00:00")));
    }

    #[test]
    fn weekdays_add_up_and_none_means_all() {
        let any = PreferredTime::new(time(9), time(12));
        let some = any.on(Weekday::Wed).on(Weekday::Fri);
        let wednesday = local("2025-10-15T10:00:00");
        let thursday = local("2025-10-16T10:00:00");
        assert!(any.holds(thursday) && !some.holds(thursday) && some.holds(wednesday));
        assert!(some.touches(Weekday::Fri) && !some.touches(Weekday::Mon));
    }
}
