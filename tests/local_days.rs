//! A local day is what the clocks of its zone make of it.

#![expect(clippy::unwrap_used, reason = "a test may")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Africa, America, Asia, Europe, Pacific, Tz};
use vacancy::slots::{Interval, LocalDay, QueryError, SlotsQuery};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(date: &str, zone: Tz) -> LocalDay {
    LocalDay::new(date.parse().unwrap(), zone)
}

#[test]
fn days_are_as_long_as_their_clocks_make_them() {
    for (date, zone, start, minutes) in [
        (
            "2025-10-15",
            Europe::Berlin,
            "2025-10-14T22:00:00Z",
            24 * 60,
        ),
        (
            "2025-03-30",
            Europe::Berlin,
            "2025-03-29T23:00:00Z",
            23 * 60,
        ),
        (
            "2025-10-26",
            Europe::Berlin,
            "2025-10-25T22:00:00Z",
            25 * 60,
        ),
        (
            "2018-11-04",
            America::Sao_Paulo,
            "2018-11-04T03:00:00Z",
            23 * 60,
        ),
        ("2024-04-26", Africa::Cairo, "2024-04-25T22:00:00Z", 23 * 60),
        ("2024-03-31", Asia::Beirut, "2024-03-30T22:00:00Z", 23 * 60),
        (
            "2024-11-03",
            America::Havana,
            "2024-11-03T04:00:00Z",
            25 * 60,
        ),
        (
            "2024-04-07",
            Tz::Australia__Lord_Howe,
            "2024-04-06T13:00:00Z",
            24 * 60 + 30,
        ),
    ] {
        let interval = day(date, zone).interval().unwrap();
        assert_eq!(interval.start(), at(start), "{date} in {zone}");
        assert_eq!(
            interval.duration().as_secs(),
            minutes * 60,
            "{date} in {zone}"
        );
    }
}

#[test]
fn a_date_that_never_was_is_not_asked_for() {
    assert_eq!(day("2011-12-30", Pacific::Apia).interval(), None);
    let window = Interval::new(at("2011-12-29T12:00:00Z"), at("2012-01-01T12:00:00Z")).unwrap();
    let days = SlotsQuery::new(1, 1, window)
        .zone(Pacific::Apia)
        .days()
        .unwrap();
    let dates: Vec<_> = days.iter().map(|day| day.date().to_string()).collect();
    assert_eq!(
        dates,
        ["2011-12-29", "2011-12-31", "2012-01-01", "2012-01-02"]
    );
}

#[test]
fn a_window_that_ends_at_midnight_does_not_touch_the_next_day() {
    let window = Interval::new(at("2025-10-14T22:00:00Z"), at("2025-10-15T22:00:00Z")).unwrap();
    let query = SlotsQuery::new(1, 1, window).zone(Europe::Berlin);
    assert_eq!(query.days().unwrap(), [day("2025-10-15", Europe::Berlin)]);
    assert_eq!(query.zone(Tz::UTC).days().unwrap().len(), 2);
}

#[test]
fn a_window_of_more_than_64_days_is_refused_without_counting_them_out() {
    let start = at("2025-10-15T00:00:00Z");
    let window = |end| Interval::new(start, end).unwrap();
    let fits = window(start + TimeDelta::days(64));
    assert_eq!(SlotsQuery::new(1, 1, fits).days().unwrap().len(), 64);
    let over = window(start + TimeDelta::days(64) + TimeDelta::nanoseconds(1));
    assert_eq!(
        SlotsQuery::new(1, 1, over).days(),
        Err(QueryError::WindowTooLong { days: 65, max: 64 })
    );
    let forever = window(DateTime::<Utc>::MAX_UTC);
    assert!(SlotsQuery::new(1, 1, forever).days().is_err());
}
