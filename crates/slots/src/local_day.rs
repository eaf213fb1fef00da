//! The days of a time zone as ranges of instants.

use chrono::{DateTime, Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveTime, TimeDelta};
use chrono::{TimeZone, Utc};
use chrono_tz::Tz;

use crate::interval::Interval;

/// A date in a time zone: the instants from the first one with this date to the first one with a
/// later date.
///
/// Read this way, the days of a zone follow one another without gap or overlap, whatever its
/// clocks do: a day lasts 23 or 25 hours when they change, begins at 01:00 where midnight is
/// skipped and at the earlier of two midnights, and a date that was skipped altogether is
/// [empty](Self::interval).
///
/// Dates before the year 1 and after the year 9998 are taken for the first and the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalDay {
    date: NaiveDate,
    zone: Tz,
}

impl LocalDay {
    /// The day with this date.
    #[must_use]
    pub fn new(date: NaiveDate, zone: Tz) -> Self {
        Self {
            date: date.clamp(first_date(), last_date()),
            zone,
        }
    }

    /// The day that an instant belongs to.
    #[must_use]
    pub fn containing(instant: DateTime<Utc>, zone: Tz) -> Self {
        let utc = instant.date_naive();
        // Within a day of what chrono can represent a local date cannot be computed.
        if utc <= first_date() || utc >= last_date() {
            return Self::new(utc, zone);
        }
        let mut day = Self::new(instant.with_timezone(&zone).date_naive(), zone);
        // A clock set back over midnight shows the old date again; the new day has begun.
        while day.date < last_date() && day.end() <= instant {
            day = day.next();
        }
        day
    }

    /// The days that share an instant with `window`, in order.
    pub fn over(window: Interval, zone: Tz) -> impl Iterator<Item = Self> {
        let last = Self::last_of(window, zone);
        std::iter::successors(Some(Self::containing(window.start(), zone)), |day| {
            Some(day.next())
        })
        .take(Self::count(window, zone))
        .filter(move |day| day.date <= last.date && day.interval().is_some())
    }

    /// How many dates lie between the first and the last day of `window`, these included.
    #[must_use]
    pub fn count(window: Interval, zone: Tz) -> usize {
        let first = Self::containing(window.start(), zone).date;
        let last = Self::last_of(window, zone).date;
        usize::try_from(last.signed_duration_since(first).num_days() + 1).unwrap_or(1)
    }

    fn last_of(window: Interval, zone: Tz) -> Self {
        Self::containing(window.end() - TimeDelta::nanoseconds(1), zone)
    }

    /// Its date.
    #[must_use]
    pub const fn date(&self) -> NaiveDate {
        self.date
    }

    /// Its zone.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Its first instant.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        let midnight = self.date.and_time(NaiveTime::MIN);
        match self.zone.from_local_datetime(&midnight) {
            MappedLocalTime::Single(instant) => instant.to_utc(),
            MappedLocalTime::Ambiguous(one, other) => one.min(other).to_utc(),
            MappedLocalTime::None => self.end_of_gap(midnight.and_utc().timestamp()),
        }
    }

    /// The first instant after it: the start of the next day.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        self.next().start()
    }

    /// Its instants; `None` when its zone skipped the date.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        Interval::new(self.start(), self.end()).ok()
    }

    /// The day after. The last day comes after itself.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            date: self.date.succ_opt().unwrap_or(self.date).min(end_date()),
            zone: self.zone,
        }
    }

    /// The first day of its week, a Monday.
    #[must_use]
    pub fn week_start(&self) -> Self {
        let days = Days::new(self.date.weekday().num_days_from_monday().into());
        Self::new(
            self.date.checked_sub_days(days).unwrap_or(self.date),
            self.zone,
        )
    }

    /// The first day of the week after.
    #[must_use]
    pub fn next_week_start(&self) -> Self {
        let monday = self.week_start().date;
        Self::new(
            monday.checked_add_days(Days::new(7)).unwrap_or(monday),
            self.zone,
        )
    }

    /// The first day of its month.
    #[must_use]
    pub fn month_start(&self) -> Self {
        Self::new(self.date.with_day(1).unwrap_or(self.date), self.zone)
    }

    /// The first day of the month after.
    #[must_use]
    pub fn next_month_start(&self) -> Self {
        let first = self.month_start().date;
        Self::new(
            first.checked_add_months(Months::new(1)).unwrap_or(first),
            self.zone,
        )
    }

    /// The first instant that has this date or a later one, where the clocks skipped midnight.
    fn end_of_gap(&self, midnight: i64) -> DateTime<Utc> {
        // No zone is or was 30 hours from UTC.
        let (mut before, mut after) = (midnight - 30 * 3600, midnight + 30 * 3600);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if instant(middle).with_timezone(&self.zone).date_naive() < self.date {
                before = middle;
            } else {
                after = middle;
            }
        }
        instant(after)
    }
}

fn instant(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap_or_default()
}

const fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}

const fn first_date() -> NaiveDate {
    date(1, 1, 1)
}

const fn last_date() -> NaiveDate {
    date(9998, 12, 31)
}

/// Only the end of the last day.
const fn end_date() -> NaiveDate {
    date(9999, 1, 1)
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Africa, America, Europe, Pacific, TZ_VARIANTS};
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str, zone: Tz) -> LocalDay {
        LocalDay::new(text.parse().unwrap(), zone)
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_lasts_as_long_as_its_clocks_say() {
        let hours = |day: LocalDay| (day.end() - day.start()).num_hours();
        assert_eq!(hours(day("2025-03-30", Europe::Berlin)), 23);
        assert_eq!(hours(day("2025-10-26", Europe::Berlin)), 25);
        assert_eq!(hours(day("2025-10-15", Europe::Berlin)), 24);
    }

    #[test]
    fn a_day_without_midnight_begins_when_the_gap_ends() {
        let cairo = day("2024-04-26", Africa::Cairo);
        assert_eq!(cairo.start(), utc("2024-04-25T22:00:00Z"));
        let sao_paulo = day("2018-11-04", America::Sao_Paulo);
        assert_eq!(sao_paulo.start(), utc("2018-11-04T03:00:00Z"));
        assert_eq!(
            LocalDay::containing(sao_paulo.start(), America::Sao_Paulo),
            sao_paulo
        );
    }

    #[test]
    fn a_day_with_two_midnights_begins_at_the_earlier() {
        let havana = day("2024-11-03", America::Havana);
        assert_eq!(havana.start(), utc("2024-11-03T04:00:00Z"));
        // At 00:01 the clocks went back to 23:01 of the day before.
        let st_johns = day("2006-10-29", America::St_Johns);
        assert_eq!(st_johns.start(), utc("2006-10-29T02:30:00Z"));
        let shows_the_day_before = utc("2006-10-29T03:00:00Z");
        assert_eq!(
            LocalDay::containing(shows_the_day_before, America::St_Johns),
            st_johns
        );
    }

    #[test]
    fn a_date_that_was_skipped_is_empty() {
        let skipped = day("2011-12-30", Pacific::Apia);
        assert_eq!(skipped.interval(), None);
        assert_eq!(skipped.start(), utc("2011-12-30T10:00:00Z"));
        let window = Interval::new(utc("2011-12-30T00:00:00Z"), utc("2011-12-31T00:00:00Z"));
        let dates: Vec<_> = LocalDay::over(window.unwrap(), Pacific::Apia)
            .map(|day| day.date().to_string())
            .collect();
        assert_eq!(dates, ["2011-12-29", "2011-12-31"]);
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for zone in [Tz::UTC, Pacific::Apia, Pacific::Kiritimati] {
            for instant in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                let day = LocalDay::containing(instant, zone);
                assert!(day.start() < day.end());
                let _ = (
                    day.week_start(),
                    day.next_week_start(),
                    day.next_month_start(),
                );
            }
            assert!(LocalDay::new(NaiveDate::MIN, zone).interval().is_some());
            assert!(LocalDay::new(NaiveDate::MAX, zone).interval().is_some());
        }
        let all = Interval::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).unwrap();
        assert!(LocalDay::count(all, Tz::UTC) > 3_000_000);
    }

    #[test]
    fn weeks_begin_on_monday() {
        let wednesday = day("2025-10-15", Europe::Berlin);
        assert_eq!(wednesday.week_start(), day("2025-10-13", Europe::Berlin));
        assert_eq!(
            wednesday.next_week_start(),
            day("2025-10-20", Europe::Berlin)
        );
        assert_eq!(wednesday.month_start(), day("2025-10-01", Europe::Berlin));
        assert_eq!(
            wednesday.next_month_start(),
            day("2025-11-01", Europe::Berlin)
        );
    }

    #[test]
    fn every_day_of_every_zone_meets_the_next() {
        for &zone in &TZ_VARIANTS {
            let mut day = LocalDay::new(date(1970, 1, 1), zone);
            let mut start = day.start();
            while day.date.year() < 2038 {
                let end = day.end();
                let hours = (end - start).num_hours();
                assert!((0..=48).contains(&hours), "{day:?} lasts {hours} hours");
                if start < end {
                    // The other way to ask must agree, at both edges.
                    let last = end - TimeDelta::seconds(1);
                    if hours != 24 {
                        assert_eq!(LocalDay::containing(start, zone), day);
                        assert_eq!(LocalDay::containing(last, zone), day);
                    }
                }
                day = day.next();
                start = end;
            }
        }
    }

    proptest! {
        #[test]
        fn an_instant_belongs_to_exactly_one_day(
            second in 0_i64..2_145_916_800,
            zone in 0..TZ_VARIANTS.len(),
            length in 1_i64..30 * 86_400,
        ) {
            let zone = TZ_VARIANTS[zone];
            let start = instant(second);
            let window = Interval::new(start, start + TimeDelta::seconds(length)).unwrap();
            let days: Vec<_> = LocalDay::over(window, zone).collect();
            let intervals: Vec<_> = days.iter().map(|day| day.interval().unwrap()).collect();
            prop_assert!(intervals[0].contains(start));
            prop_assert!(intervals.windows(2).all(|pair| pair[0].end() == pair[1].start()));
            let last = intervals[intervals.len() - 1];
            prop_assert!(last.start() < window.end() && window.end() <= last.end());
        }
    }
}
