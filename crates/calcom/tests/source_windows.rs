//! Whole local days are asked for, so widely that no slot of them is lost, and what is outside of
//! them is dropped.

mod fake_calcom;

use chrono_tz::{America, Europe, Tz};
use fake_calcom::{Bookable, FakeCalcom, days, read, starts};
use vacancy_slots::{SlotsCache, SlotsQuery};

const MIDNIGHT: i64 = 24 * 60;

fn query(first: &str, last: &str, zone: Tz) -> SlotsQuery {
    SlotsQuery::new(15, 123, days(first, last, zone)).zone(zone)
}

async fn open(bookable: Bookable, query: &SlotsQuery) -> Vec<String> {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, bookable);
    starts(&read(&calcom.source(), query).await.expect("slots"))
}

/// A slot has to end in the window that is asked for.
#[tokio::test(start_paused = true)]
async fn a_slot_that_starts_late_in_the_last_day_is_not_lost() {
    let late = Bookable::new(60).hours(MIDNIGHT - 90, MIDNIGHT + 90);
    let wednesday = query("2025-10-15", "2025-10-15", Tz::UTC);
    assert_eq!(
        open(late, &wednesday).await,
        ["15T00:30", "15T22:30", "15T23:30"]
    );
    let days_long = Bookable::new(3 * MIDNIGHT).hours(MIDNIGHT - 30, 4 * MIDNIGHT);
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, days_long);
    let length = std::time::Duration::from_secs(3 * 24 * 3600);
    let source = calcom
        .builder()
        .event_types(move |_| vec![vacancy_calcom::CalcomEventType::id(123).length(length)]);
    let slots = read(&source.build().unwrap(), &wednesday).await.unwrap();
    assert_eq!(starts(&slots), ["15T23:30"]);
}

#[tokio::test(start_paused = true)]
async fn the_days_are_those_of_the_zone() {
    // From 22:00 UTC to 22:00 UTC, as it is summer there.
    let around = Bookable::new(60).hours(0, MIDNIGHT).zone(Europe::Berlin);
    let open = open(around, &query("2025-10-15", "2025-10-15", Europe::Berlin)).await;
    assert_eq!(open.len(), 24);
    assert_eq!((&*open[0], &*open[23]), ("14T22:00", "15T21:00"));
}

#[tokio::test(start_paused = true)]
async fn days_whose_clocks_change_are_whole_days_too() {
    for (date, zone, hours) in [
        ("2025-10-26", Europe::Berlin, 25),
        ("2025-03-30", Europe::Berlin, 23),
        ("2025-11-02", America::New_York, 25),
    ] {
        let around = Bookable::new(60).hours(0, MIDNIGHT + 60).zone(zone);
        let mut open = open(around, &query(date, date, zone)).await;
        open.dedup(); // the hour after midnight is in the hours of both days
        assert_eq!(open.len(), hours, "{date} {zone}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_starts_on_another_day_is_not_given() {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).hours(0, MIDNIGHT));
    let zone = America::New_York;
    let (first, last) = ("2025-10-15", "2025-10-16");
    let slots = read(&calcom.source(), &query(first, last, zone))
        .await
        .expect("slots");
    let asked = days(first, last, zone);
    assert_eq!(slots.len(), 48);
    assert!(slots.iter().all(|slot| asked.contains(slot.start())));
}

/// Only the bookings in the window are found, whatever they keep free beyond themselves.
#[tokio::test(start_paused = true)]
async fn a_booking_beyond_midnight_keeps_its_distance() {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).hours(0, MIDNIGHT).buffer(90));
    let interval = |text: &str| text.parse().expect("an interval");
    calcom.book(
        1,
        123,
        interval("2025-10-14T22:00:00Z/2025-10-15T00:00:00Z"),
    );
    calcom.book(
        2,
        123,
        interval("2025-10-16T00:00:00Z/2025-10-16T01:00:00Z"),
    );
    let wednesday = query("2025-10-15", "2025-10-15", Tz::UTC);
    let slots = read(&calcom.source(), &wednesday).await.unwrap();
    let open = starts(&slots);
    assert_eq!(
        (&*open[0], &*open[open.len() - 1]),
        ("15T02:00", "15T21:00")
    );
}

#[tokio::test(start_paused = true)]
async fn the_window_does_not_move_the_starts() {
    // From 21:00 every 100 minutes: 22:40, 00:20 ..., and not 00:00.
    let odd = Bookable::new(100).hours(21 * 60, MIDNIGHT + 200);
    let open = open(odd, &query("2025-10-15", "2025-10-15", Tz::UTC)).await;
    assert_eq!(open, ["15T00:20", "15T21:00", "15T22:40"]);
}

#[tokio::test(start_paused = true)]
async fn a_month_is_one_call_and_so_is_a_window_within_a_day() {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(30));
    let october = query("2025-10-01", "2025-10-31", Tz::UTC);
    let cache = SlotsCache::builder(calcom.source()).build();
    assert_eq!(cache.open(&october).await.unwrap().len(), 31 * 18);
    assert_eq!(calcom.calls(), 1);
    let hour = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse().unwrap();
    let hour = SlotsQuery::new(15, 123, hour);
    assert_eq!(cache.open(&hour).await.unwrap().len(), 2);
    assert_eq!(calcom.calls(), 1, "it was in the month");
    read(&calcom.source(), &hour).await.unwrap();
    assert_eq!(calcom.last().query["start"], "2025-10-14T00:00:00Z");
}
