//! A window is answered by whole local days, each loaded once, whoever asks and however days go.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Europe, Pacific, Tz};
use support::{
    diary::{Bookable, Diary, Starts},
    soon, until_idle,
};
use tokio::task::JoinHandle;
use vacancy::slots::{
    Interval, MAX_QUERY_DAYS, OpenError, OpenSlots, QueryError, Slot, SlotsCache, SlotsQuery,
};

/// Half hours of event type 123 at all hours of this zone.
fn salon(zone: Tz) -> (Diary, SlotsCache) {
    let diary = Diary::new();
    let bookable = Bookable::new(30).host(7).hours(0, 1440).zone(zone);
    diary.offer(15, 123, bookable.starts(Starts::Every(30)));
    let slots = SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .build();
    (diary, slots)
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn window(start: &str, end: &str) -> SlotsQuery {
    let window = Interval::new(utc(start), utc(end)).expect("an interval");
    SlotsQuery::new(15, 123, window)
}

/// Days of October 2025 and, beyond it, of what follows.
fn days(first: i64, last: i64) -> SlotsQuery {
    let october = utc("2025-10-01T00:00:00Z");
    let day = |n: i64| october + TimeDelta::days(n - 1);
    let window = Interval::new(day(first), day(last + 1)).expect("an interval");
    SlotsQuery::new(15, 123, window)
}

/// The first and the last day of every call since the first `after`.
fn calls(diary: &Diary, after: usize) -> Vec<(u32, u32)> {
    use chrono::Datelike;
    let requests = diary.requests(after);
    requests
        .iter()
        .map(|r| (r.first.day(), r.last.day()))
        .collect()
}

fn read(slots: &SlotsCache, query: SlotsQuery) -> JoinHandle<Result<OpenSlots, OpenError>> {
    let slots = slots.clone();
    tokio::spawn(async move { slots.open(&query).await })
}

async fn open(slots: &SlotsCache, query: &SlotsQuery) -> Vec<Slot> {
    let open = soon(slots.open(query)).await.expect("the diary answers");
    open.into_vec()
}

#[tokio::test]
async fn a_month_costs_one_call_and_then_none() {
    let (diary, slots) = salon(Tz::UTC);
    assert_eq!(open(&slots, &days(1, 31)).await.len(), 31 * 48);
    assert_eq!(calls(&diary, 0), [(1, 31)]);
    assert_eq!(open(&slots, &days(1, 31)).await, diary.free(&days(1, 31)));
    assert_eq!(open(&slots, &days(9, 12)).await, diary.free(&days(9, 12)));
    assert_eq!(diary.calls(), 1);
}

#[tokio::test]
async fn a_month_costs_as_many_calls_as_there_are_runs_of_missing_days() {
    let (diary, slots) = salon(Tz::UTC);
    for known in [days(3, 3), days(10, 12), days(31, 31)] {
        open(&slots, &known).await;
    }
    let before = diary.calls();
    assert_eq!(open(&slots, &days(1, 31)).await, diary.free(&days(1, 31)));
    assert_eq!(calls(&diary, before), [(1, 2), (4, 9), (13, 30)]);
}

#[tokio::test]
async fn a_window_that_is_too_long_is_refused_before_the_source_is_asked() {
    let (diary, slots) = salon(Tz::UTC);
    let longest = i64::try_from(MAX_QUERY_DAYS).unwrap();
    assert_eq!(
        open(&slots, &days(1, longest)).await.len(),
        MAX_QUERY_DAYS * 48
    );
    let before = diary.calls();
    let error = slots.open(&days(1, longest + 1)).await.unwrap_err();
    let expected = QueryError::WindowTooLong {
        days: MAX_QUERY_DAYS + 1,
        max: MAX_QUERY_DAYS,
    };
    assert!(matches!(error, OpenError::Query(error) if error == expected));
    assert_eq!(slots.kept(&days(1, longest + 1)).unwrap_err(), expected);
    // The end is not part of a window, the instant before it is.
    let mut over = days(1, longest);
    over.window = Interval::new(
        over.window.start(),
        over.window.end() + TimeDelta::nanoseconds(1),
    )
    .unwrap();
    assert!(slots.open(&over).await.is_err());
    assert_eq!(diary.calls(), before);
}

#[tokio::test]
async fn slots_belong_to_a_window_by_their_start_and_come_in_order() {
    let (_, slots) = salon(Tz::UTC);
    let query = window("2025-10-15T23:10:00Z", "2025-10-16T00:30:00Z");
    let starts: Vec<_> = open(&slots, &query).await.iter().map(Slot::start).collect();
    assert_eq!(
        starts,
        [utc("2025-10-15T23:30:00Z"), utc("2025-10-16T00:00:00Z")]
    );
    let whole = open(&slots, &days(15, 20)).await;
    assert!(whole.is_sorted_by_key(Slot::start));
    assert_eq!(whole.len(), 6 * 48);
}

#[tokio::test]
async fn a_minute_within_a_kept_day_costs_nothing() {
    let (diary, slots) = salon(Tz::UTC);
    let minute = |at: &str| window(at, &(utc(at) + TimeDelta::minutes(1)).to_rfc3339());
    assert_eq!(open(&slots, &minute("2025-10-15T14:00:00Z")).await.len(), 1);
    assert_eq!(open(&slots, &minute("2025-10-15T14:01:00Z")).await.len(), 0);
    assert_eq!(open(&slots, &minute("2025-10-15T23:30:00Z")).await.len(), 1);
    assert_eq!(diary.calls(), 1);
}

#[tokio::test]
async fn days_of_23_and_25_hours_have_all_their_slots() {
    for (start, end, hours) in [
        ("2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", 23),
        ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", 25),
    ] {
        let (diary, slots) = salon(Europe::Berlin);
        let day = window(start, end).zone(Europe::Berlin);
        let slots_of_day = open(&slots, &day).await;
        assert_eq!(slots_of_day.len(), hours * 2);
        assert_eq!(slots_of_day, diary.free(&day));
        assert_eq!(day.days().unwrap().len(), 1);
        // The days beside it neither share a slot with it nor leave one out.
        let week = Interval::new(
            utc(start) - TimeDelta::days(3),
            utc(end) + TimeDelta::days(3),
        );
        let week = SlotsQuery::new(15, 123, week.unwrap()).zone(Europe::Berlin);
        assert_eq!(open(&slots, &week).await.len(), (6 * 24 + hours) * 2);
    }
}

/// Samoa went from the 29th to the 31st of December 2011.
#[tokio::test]
async fn a_date_that_a_zone_skipped_costs_nothing_and_hides_nothing() {
    let (diary, slots) = salon(Pacific::Apia);
    // Midnight of the 29th to that of the 1st of January, by Samoa's clocks: two days.
    let query = window("2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z").zone(Pacific::Apia);
    let dates: Vec<_> = query
        .days()
        .unwrap()
        .iter()
        .map(|day| day.date().to_string())
        .collect();
    assert_eq!(dates, ["2011-12-29", "2011-12-31"]);
    assert_eq!(open(&slots, &query).await, diary.free(&query));
    assert_eq!(open(&slots, &query).await.len(), 2 * 48);
    assert_eq!(diary.calls(), 1);
}

#[tokio::test]
async fn readers_of_crossing_windows_share_loads_and_none_waits_for_ever() {
    let (diary, slots) = salon(Tz::UTC);
    let gate = diary.gated();
    let windows = [
        (1, 10),
        (5, 15),
        (8, 20),
        (1, 20),
        (12, 25),
        (3, 4),
        (20, 25),
        (1, 25),
    ];
    let mut readers = Vec::new();
    for (first, last) in windows {
        readers.push(((first, last), read(&slots, days(first, last))));
        until_idle().await;
    }
    for _ in 0..windows.len() * 3 {
        gate.release();
    }
    for ((first, last), reader) in readers {
        let open = soon(reader).await.unwrap().unwrap();
        assert_eq!(open.into_vec(), diary.free(&days(first, last)));
    }
    // Each day was asked for once.
    let mut asked: Vec<u32> = calls(&diary, 0)
        .into_iter()
        .flat_map(|(a, b)| a..=b)
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, (1..=25).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_days_of_a_cancelled_reader_are_taken_over() {
    let (diary, slots) = salon(Tz::UTC);
    let gate = diary.gated();
    let leader = read(&slots, days(1, 10));
    gate.entered().await;
    let followers = [read(&slots, days(4, 6)), read(&slots, days(6, 12))];
    gate.entered().await; // the second one, with the days that nobody was loading
    until_idle().await;
    assert_eq!(calls(&diary, 0), [(1, 10), (11, 12)]);
    leader.abort();
    assert!(soon(leader).await.unwrap_err().is_cancelled());
    for _ in 0..8 {
        gate.release();
    }
    let [first, second] = followers;
    assert_eq!(
        soon(first).await.unwrap().unwrap().into_vec(),
        diary.free(&days(4, 6))
    );
    assert_eq!(
        soon(second).await.unwrap().unwrap().into_vec(),
        diary.free(&days(6, 12))
    );
    let mut again: Vec<u32> = calls(&diary, 2)
        .into_iter()
        .flat_map(|(a, b)| a..=b)
        .collect();
    again.sort_unstable();
    assert_eq!(
        again,
        (4..=10).collect::<Vec<_>>(),
        "what is waited for, once"
    );
}

/// One reader's time-out or error is not the other's.
#[tokio::test]
async fn the_days_of_a_failed_reader_are_asked_for_once_more() {
    let (diary, slots) = salon(Tz::UTC);
    diary.fails(true);
    let gate = diary.gated();
    let leader = read(&slots, days(1, 10));
    gate.entered().await;
    let follower = read(&slots, days(4, 6));
    until_idle().await;
    diary.fails(false);
    gate.release();
    assert!(matches!(
        soon(leader).await.unwrap(),
        Err(OpenError::Source(_))
    ));
    gate.entered().await;
    gate.release();
    assert_eq!(
        soon(follower).await.unwrap().unwrap().into_vec(),
        diary.free(&days(4, 6))
    );
    assert_eq!(calls(&diary, 0), [(1, 10), (4, 6)]);
}
