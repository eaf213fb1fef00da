//! A week is seven local days, and the next one is read before anybody asks: never past a fence, never more
//! than may run, and never for longer than somebody has the view.

mod support;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::{Europe::Berlin, Pacific, Tz};
use support::{
    diary::{Bookable, Diary, Starts},
    soon, until_idle,
};
use vacancy::{
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, Buffers, Interval, InvalidateSlotsCache, Slot, SlotSource,
        SlotsCache, SlotsQuery, SlotsRequest, SourceError, Target, WeekDay, WeekView,
    },
};

/// Half hours at all hours of this zone: event type 123 of host 7, and 124 of host 8, of tenant 15.
fn salon(zone: Tz) -> (Diary, SlotsCache) {
    let diary = Diary::new();
    for (event_type, host) in [(123, 7), (124, 8)] {
        let bookable = Bookable::new(30).host(host).hours(0, 1440).zone(zone);
        diary.offer(15, event_type, bookable.starts(Starts::Every(30)));
    }
    let slots = SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .source_lag(Duration::ZERO)
        .build();
    (diary, slots)
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn between(start: &str, end: &str) -> SlotsQuery {
    let window = Interval::new(utc(start), utc(end)).expect("an interval");
    SlotsQuery::new(15, 123, window)
}

/// Some question; a week view does not look at its window.
fn question() -> SlotsQuery {
    between("2025-10-15T00:00:00Z", "2025-10-15T00:01:00Z")
}

/// The week of the 13th and the one of the 20th of October.
fn this_week() -> SlotsQuery {
    between("2025-10-13T00:00:00Z", "2025-10-20T00:00:00Z")
}

fn next_week() -> SlotsQuery {
    between("2025-10-20T00:00:00Z", "2025-10-27T00:00:00Z")
}

fn most(warmings: usize) -> NonZeroUsize {
    NonZeroUsize::new(warmings).expect("not zero")
}

async fn open(view: &WeekView, query: &SlotsQuery, of: &str) -> Vec<WeekDay> {
    let week = soon(view.open(query, date(of))).await;
    week.expect("the diary answers")
}

fn dates(week: &[WeekDay]) -> Vec<String> {
    let dates = week.iter().map(|day| day.answer.day.date().to_string());
    dates.collect()
}

fn all(week: &[WeekDay]) -> Vec<Slot> {
    week.iter().flat_map(|day| day.slots.clone()).collect()
}

fn is_kept(slots: &SlotsCache, query: &SlotsQuery) -> bool {
    slots.kept(query).expect("a week is not too long").is_some()
}

#[tokio::test]
async fn a_week_is_from_monday_to_sunday_by_the_clocks_of_the_zone() {
    for (of, start, end, halves) in [
        (
            "2025-10-15",
            "2025-10-12T22:00:00Z",
            "2025-10-19T22:00:00Z",
            7 * 48,
        ),
        (
            "2025-10-13",
            "2025-10-12T22:00:00Z",
            "2025-10-19T22:00:00Z",
            7 * 48,
        ),
        // The Sundays on which the clocks change.
        (
            "2025-10-26",
            "2025-10-19T22:00:00Z",
            "2025-10-26T23:00:00Z",
            7 * 48 + 2,
        ),
        (
            "2025-03-30",
            "2025-03-23T23:00:00Z",
            "2025-03-30T22:00:00Z",
            7 * 48 - 2,
        ),
    ] {
        let (diary, slots) = salon(Berlin);
        let view = WeekView::new(slots);
        let week = open(&view, &question().zone(Berlin), of).await;
        assert_eq!(week.len(), 7);
        assert!(dates(&week).contains(&of.to_owned()));
        for day in &week {
            let is_its_own = |slot: &Slot| {
                let day = day.answer.day;
                (day.start()..day.end()).contains(&slot.start())
            };
            assert!(day.slots.iter().all(is_its_own));
        }
        assert_eq!(all(&week).len(), halves);
        assert_eq!(all(&week), diary.free(&between(start, end).zone(Berlin)));
        assert_eq!(diary.calls(), 1);
    }
}

/// Samoa went from the 29th to the 31st of December 2011.
#[tokio::test]
async fn a_week_lacks_a_date_that_its_zone_skipped() {
    let (_, slots) = salon(Pacific::Apia);
    let week = open(
        &WeekView::new(slots),
        &question().zone(Pacific::Apia),
        "2011-12-30",
    )
    .await;
    let expected = [
        "2011-12-26",
        "2011-12-27",
        "2011-12-28",
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ];
    assert_eq!(dates(&week), expected);
    assert!(week.iter().all(|day| day.slots.len() == 48));
}

#[tokio::test]
async fn the_ends_of_time_have_weeks() {
    let (_, slots) = salon(Tz::UTC);
    let view = WeekView::warming(slots, most(1));
    for of in [NaiveDate::MIN, NaiveDate::MAX] {
        assert!(soon(view.open(&question(), of)).await.is_ok());
    }
}

#[tokio::test]
async fn the_next_week_is_read_once_and_no_answer_waits_for_it() {
    let (diary, slots) = salon(Tz::UTC);
    let view = WeekView::warming(slots.clone(), most(1));
    let gate = diary.gated();
    gate.release();
    let week = open(&view, &question(), "2025-10-15").await;
    assert_eq!(all(&week), diary.free(&this_week()));
    gate.entered().await;
    gate.entered().await; // the warming, which is not answered
    let calls = diary.requests(0);
    assert_eq!(calls[1].first, date("2025-10-20"));
    assert_eq!(calls[1].last, date("2025-10-26"));
    // Whoever turns the page now shares the load.
    let page = tokio::spawn({
        let view = view.clone();
        async move { open(&view, &question(), "2025-10-20").await }
    });
    until_idle().await;
    gate.release();
    let page = soon(page).await.unwrap();
    assert_eq!(all(&page), diary.free(&next_week()));
    assert!(is_kept(&slots, &next_week()));
    diary.ungated();
    gate.release();
    until_idle().await;
    // Nor is a week read again that is kept.
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    let asked: Vec<_> = diary.requests(0).iter().map(|r| r.first).collect();
    let mondays = ["2025-10-13", "2025-10-20", "2025-10-27"];
    assert_eq!(asked, mondays.map(date));
    let warmings = view.warmings();
    assert_eq!((warmings.begun, warmings.failed), (2, 0));
}

#[tokio::test]
async fn a_view_that_warms_nothing_reads_what_it_is_asked_for() {
    let (diary, slots) = salon(Tz::UTC);
    let view = WeekView::new(slots.clone());
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    assert_eq!(diary.calls(), 1);
    assert!(!is_kept(&slots, &next_week()));
    assert_eq!(view.warmings(), vacancy::slots::Warmings::default());
}

/// What was read before a booking must not be what the next reader gets, whoever read it.
#[tokio::test]
async fn a_warming_that_a_booking_overtook_is_not_served() {
    let (diary, slots) = salon(Tz::UTC);
    let invalidate = InvalidateSlotsCache::new(slots.clone());
    let bus = Bus::builder().subscribe(invalidate).build().unwrap();
    let view = WeekView::warming(slots.clone(), most(1));
    let gate = diary.gated();
    gate.release();
    open(&view, &question(), "2025-10-15").await;
    gate.entered().await;
    gate.entered().await; // the warming, with its answer in hand
    let half = Interval::new(utc("2025-10-22T10:00:00Z"), utc("2025-10-22T10:30:00Z"));
    let booked = Appointment::new(1.into(), 15.into(), half.unwrap())
        .event_type(123)
        .resource(7)
        .buffers(Buffers::NONE);
    diary.book(&booked);
    bus.dispatch(AppointmentBooked::new(booked));
    diary.ungated();
    gate.release();
    until_idle().await;
    assert!(!is_kept(&slots, &next_week()));
    let page = open(&view, &question(), "2025-10-20").await;
    assert_eq!(all(&page), diary.free(&next_week()));
    assert!(
        page[2]
            .slots
            .iter()
            .all(|slot| slot.interval != half.unwrap())
    );
    // The same for what no event tells of.
    let before = diary.calls();
    slots.invalidate(&15.into(), &Target::Tenant, None);
    open(&view, &question(), "2025-10-20").await;
    assert!(diary.calls() > before);
}

#[tokio::test]
async fn no_more_warmings_run_than_may_and_one_for_a_question() {
    let (diary, slots) = salon(Tz::UTC);
    for query in [question(), question().resource(7), other_type()] {
        for (first, last) in [
            ("2025-10-13T00:00:00Z", "2025-10-20T00:00:00Z"),
            ("2025-11-10T00:00:00Z", "2025-11-17T00:00:00Z"),
        ] {
            let mut query = query.clone();
            query.window = between(first, last).window;
            soon(slots.open(&query)).await.unwrap();
        }
    }
    let gate = diary.gated();
    let view = WeekView::warming(slots.clone(), most(2));
    let warmings = |begun, skipped| {
        let warmings = view.warmings();
        assert_eq!((warmings.begun, warmings.skipped), (begun, skipped));
    };
    open(&view, &question(), "2025-10-15").await;
    warmings(1, 0);
    open(&view, &question(), "2025-10-15").await;
    open(&view, &question(), "2025-11-12").await;
    warmings(1, 2);
    open(&view, &question().resource(7), "2025-10-15").await;
    warmings(2, 2);
    open(&view, &other_type(), "2025-10-15").await;
    warmings(2, 3);
    gate.entered().await;
    gate.entered().await;
    diary.ungated();
    gate.release();
    gate.release();
    until_idle().await;
    // There is room again.
    open(&view, &other_type(), "2025-10-15").await;
    warmings(3, 3);
    until_idle().await;
    assert_eq!(view.warmings().failed, 0);
}

fn other_type() -> SlotsQuery {
    SlotsQuery::new(15, 124, question().window)
}

#[tokio::test]
async fn warmings_end_with_the_last_handle() {
    let (diary, slots) = salon(Tz::UTC);
    let view = WeekView::warming(slots.clone(), most(1));
    let gate = diary.gated();
    gate.release();
    open(&view, &question(), "2025-10-15").await;
    gate.entered().await;
    gate.entered().await;
    let other = view.clone();
    drop(view);
    until_idle().await;
    assert_eq!(slots.statistics().lost, 0);
    drop(other);
    until_idle().await;
    // All days of the week that it was reading.
    assert_eq!(slots.statistics().lost, 7);
    diary.ungated();
    gate.release();
    until_idle().await;
    assert!(!is_kept(&slots, &next_week()));
}

#[tokio::test]
async fn a_warming_that_fails_is_counted_and_nothing_else() {
    let (diary, slots) = salon(Tz::UTC);
    let view = WeekView::warming(slots.clone(), most(1));
    let week = open(&view, &question(), "2025-10-15").await;
    diary.fails(true);
    until_idle().await;
    let warmings = view.warmings();
    assert_eq!((warmings.begun, warmings.failed), (1, 1));
    assert_eq!(week.len(), 7);
    assert!(
        soon(view.open(&question(), date("2025-10-20")))
            .await
            .is_err()
    );
    diary.fails(false);
    let next = open(&view, &question(), "2025-10-20").await;
    assert_eq!(all(&next), diary.free(&next_week()));
}

/// A view whose days are read anew after 200 of their 300 seconds, and that has been looked at once.
async fn refreshing() -> (Diary, SlotsCache, WeekView) {
    let (diary, slots) = salon(Tz::UTC);
    let view = WeekView::warming(slots.clone(), most(1)).refresh_after(Duration::from_secs(200));
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    assert_eq!(diary.calls(), 2);
    (diary, slots, view)
}

fn booked() -> Appointment {
    let half = Interval::new(utc("2025-10-15T10:00:00Z"), utc("2025-10-15T10:30:00Z"));
    Appointment::new(1.into(), 15.into(), half.expect("half an hour"))
        .event_type(123)
        .resource(7)
        .buffers(Buffers::NONE)
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_serves_while_it_is_read_anew() {
    let (diary, slots, view) = refreshing().await;
    let first = diary.free(&this_week());
    diary.book(&booked()); // and nobody tells
    tokio::time::advance(Duration::from_secs(199)).await;
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    assert_eq!(diary.calls(), 2, "it is not old yet");
    tokio::time::advance(Duration::from_secs(2)).await;
    let gate = diary.gated();
    for _ in 0..2 {
        assert_eq!(all(&open(&view, &question(), "2025-10-15").await), first);
        until_idle().await;
    }
    gate.entered().await;
    let calls = diary.requests(2);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].first, date("2025-10-13"));
    diary.ungated();
    gate.release();
    until_idle().await;
    let anew = open(&view, &question(), "2025-10-15").await;
    assert_eq!(all(&anew), diary.free(&this_week()));
    assert_eq!(diary.calls(), 3);
    // What was read first would be over by now.
    tokio::time::advance(Duration::from_secs(150)).await;
    assert!(is_kept(&slots, &this_week()));
    // And what nobody looks at is over.
    assert!(!is_kept(&slots, &next_week()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_a_booking_overtook_is_not_served_nor_is_what_it_was_to_replace() {
    let (diary, slots, view) = refreshing().await;
    let invalidate = InvalidateSlotsCache::new(slots.clone());
    let bus = Bus::builder().subscribe(invalidate).build().unwrap();
    tokio::time::advance(Duration::from_secs(201)).await;
    let gate = diary.gated();
    open(&view, &question(), "2025-10-15").await;
    gate.entered().await; // with its answer in hand
    diary.book(&booked());
    bus.dispatch(AppointmentBooked::new(booked()));
    assert!(!is_kept(&slots, &this_week()));
    diary.ungated();
    gate.release();
    until_idle().await;
    assert!(!is_kept(&slots, &this_week()));
    let anew = open(&view, &question(), "2025-10-15").await;
    assert_eq!(all(&anew), diary.free(&this_week()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_leaves_what_is_kept() {
    let (diary, slots, view) = refreshing().await;
    tokio::time::advance(Duration::from_secs(201)).await;
    diary.fails(true);
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    assert_eq!(diary.calls(), 3);
    assert_eq!(view.warmings().failed, 1);
    assert!(is_kept(&slots, &this_week()));
    // For its time and no longer.
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(!is_kept(&slots, &this_week()));
}

/// What another process left in Redis may be as old as what is kept here.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_refresh_asks_the_source_and_not_redis() {
    use support::{
        nodes::redis,
        salon::{Salon, diary, october},
    };
    use vacancy_testbed::RedisServer;

    let server = RedisServer::start().await.expect("redis-server starts");
    let diary = diary();
    let salon = Salon::sharing(&diary, redis(&server.url()));
    // From the 13th on, which is a Monday, and the week after.
    salon.load(&october(13, 14)).await;
    let before = diary.calls();
    let view = WeekView::warming(salon.slots.clone(), most(1)).refresh_after(Duration::ZERO);
    open(&view, &october(15, 1), "2025-10-15").await;
    support::until(|| diary.calls() > before).await;
    let call = &diary.requests(before)[0];
    assert_eq!(
        (call.first, call.last),
        (date("2025-10-13"), date("2025-10-19"))
    );
}

#[test]
fn a_view_can_be_shared_and_a_look_spawned() {
    fn anywhere<T: Clone + std::fmt::Debug + Send + Sync + Unpin + 'static>() {}
    fn spawnable<T: Send + 'static>(future: T) {
        drop(future);
    }
    anywhere::<WeekView>();
    anywhere::<WeekDay>();
    let looks = |view: WeekView| {
        spawnable(async move { view.open(&question(), date("2025-10-15")).await });
    };
    looks(WeekView::new(salon(Tz::UTC).1));
}

/// Answers once and panics ever after.
struct Fragile(Arc<tokio::sync::Semaphore>);

#[async_trait]
impl SlotSource for Fragile {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        self.0.try_acquire().expect("once").forget();
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_warming_that_panics_makes_room_for_others() {
    let once = Arc::new(tokio::sync::Semaphore::new(1));
    let slots = SlotsCache::builder(Fragile(Arc::clone(&once))).build();
    let view = WeekView::warming(slots.clone(), most(1));
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    assert_eq!(view.warmings().failed, 1);
    once.add_permits(1);
    open(&view, &question(), "2025-10-15").await;
    until_idle().await;
    let warmings = view.warmings();
    assert_eq!(
        (warmings.begun, warmings.skipped, warmings.failed),
        (2, 0, 1)
    );
    assert!(is_kept(&slots, &next_week()));
}
