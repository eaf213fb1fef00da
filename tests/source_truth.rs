//! What the source says is believed as far as it can be: an error is never 'no slots', and what is
//! booked here is not free because the source has not heard of it yet.

mod support;

use std::{error::Error, num::NonZeroU32, time::Duration};

use chrono::{DateTime, Utc};
use support::{
    diary::{Bookable, Closed, Diary},
    soon, until_idle,
};
use tokio::{task::JoinHandle, time::advance};
use vacancy::{
    cache::Source,
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Buffers,
        Interval, InvalidateSlotsCache, OpenError, OpenSlots, Revision, Slot, SlotsCache,
        SlotsQuery, SourceTimedOut,
    },
};

const LAG: Duration = Duration::from_secs(5);
const TIME_OUT: Duration = Duration::from_secs(10);

struct Salon {
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
}

impl Salon {
    /// Hosts 7 and 8 offer hours of event type 123 and half hours of 456.
    fn open() -> Self {
        let diary = Diary::new();
        diary.offer(15, 123, Bookable::new(60).host(7).host(8));
        diary.offer(15, 456, Bookable::new(30).host(7).host(8));
        Self::before(diary)
    }

    fn before(diary: Diary) -> Self {
        let slots = SlotsCache::builder(diary.clone())
            .directory(diary.directory())
            .source_lag(LAG)
            .source_time_out(TIME_OUT)
            .build();
        let invalidate = InvalidateSlotsCache::new(slots.clone());
        let bus = Bus::builder().subscribe(invalidate).build();
        Self {
            diary,
            slots,
            bus: bus.expect("the listeners fit together"),
        }
    }

    async fn open_slots(&self, query: &SlotsQuery) -> OpenSlots {
        soon(self.slots.open(query))
            .await
            .expect("the diary answers")
    }

    async fn offers(&self, query: &SlotsQuery, start: &str) -> bool {
        let open = self.open_slots(query).await;
        open.iter().any(|slot| slot.start() == utc(start))
    }

    /// A reader in a task of its own.
    fn read(&self, query: &SlotsQuery) -> JoinHandle<Result<OpenSlots, OpenError>> {
        let (slots, query) = (self.slots.clone(), query.clone());
        tokio::spawn(async move { slots.open(&query).await })
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn interval(start: &str, end: &str) -> Interval {
    Interval::new(utc(start), utc(end)).expect("an interval")
}

/// The slots of host 7 on a Wednesday.
fn wednesday(event_type: u64) -> SlotsQuery {
    let day = interval("2025-10-15T00:00:00Z", "2025-10-16T00:00:00Z");
    SlotsQuery::new(15, event_type, day).resource(7)
}

const TWO: &str = "2025-10-15T14:00:00Z";
const HALF_PAST_TWO: &str = "2025-10-15T14:30:00Z";
const FOUR: &str = "2025-10-15T16:00:00Z";

/// At two, with host 7.
fn at_two() -> Appointment {
    Appointment::new(
        7001.into(),
        15.into(),
        interval(TWO, "2025-10-15T15:00:00Z"),
    )
    .event_type(123)
    .resource(7)
    .buffers(Buffers::NONE)
    .revision(revision(1))
}

fn revision(sequence: u64) -> Revision {
    Revision::changed_at(utc("2025-10-01T00:00:00Z")).sequence(sequence)
}

/// Errors were cached as 'no slots'; an outage emptied the calendar.
#[tokio::test]
async fn an_error_is_never_no_slots_and_never_kept() {
    let salon = Salon::open();
    salon.diary.fails(true);
    for calls in 1..=2 {
        match salon.slots.open(&wednesday(123)).await {
            Err(OpenError::Source(error)) => assert!(error.downcast_ref::<Closed>().is_some()),
            other => panic!("{other:?}"),
        }
        assert_eq!(salon.diary.calls(), calls);
        assert!(salon.slots.kept(&wednesday(123)).unwrap().is_none());
    }
    salon.diary.fails(false);
    assert_eq!(salon.open_slots(&wednesday(123)).await.len(), 9);
}

#[tokio::test]
async fn an_error_does_not_take_away_what_is_kept() {
    let salon = Salon::open();
    salon.open_slots(&wednesday(123)).await;
    salon.diary.fails(true);
    assert_eq!(salon.open_slots(&wednesday(123)).await.len(), 9);
    assert!(salon.slots.open(&wednesday(456)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_takes_too_long_is_an_error_that_says_so() {
    let salon = Salon::open();
    let gate = salon.diary.gated();
    let reader = salon.read(&wednesday(123));
    gate.entered().await;
    advance(TIME_OUT - Duration::from_millis(1)).await;
    until_idle().await;
    assert!(!reader.is_finished());
    advance(Duration::from_millis(2)).await;
    let error = soon(reader).await.unwrap().unwrap_err();
    let OpenError::Source(source) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.downcast_ref::<SourceTimedOut>().map(|it| it.limit),
        Some(TIME_OUT)
    );
    assert!(error.source().is_some(), "the cause can be walked to");
    assert!(salon.slots.kept(&wednesday(123)).unwrap().is_none());

    salon.diary.ungated();
    assert_eq!(salon.open_slots(&wednesday(123)).await.len(), 9);
}

#[tokio::test]
async fn an_empty_answer_is_kept_like_any_other() {
    let salon = Salon::open();
    let night = interval("2025-10-15T00:00:00Z", "2025-10-15T06:00:00Z");
    let nobody = SlotsQuery::new(15, 123, night).resource(99);
    for _ in 0..3 {
        assert!(salon.open_slots(&nobody).await.is_empty());
    }
    assert_eq!(salon.diary.calls(), 1);
}

/// The calendar kept returning the old state for seconds to minutes after the booking.
#[tokio::test(start_paused = true)]
async fn a_booked_slot_is_gone_while_the_source_goes_on_offering_it() {
    let salon = Salon::open();
    let (own, other) = (wednesday(123), wednesday(456));
    assert!(salon.offers(&own, TWO).await && salon.offers(&other, HALF_PAST_TWO).await);
    salon.diary.lags();
    salon.diary.book(&at_two());
    salon.bus.dispatch(AppointmentBooked::new(at_two()));
    for _ in 0..5 {
        assert!(!salon.offers(&own, TWO).await);
        assert!(!salon.offers(&other, TWO).await && !salon.offers(&other, HALF_PAST_TWO).await);
        assert!(salon.offers(&own, FOUR).await && salon.offers(&other, FOUR).await);
        advance(LAG / 5 - Duration::from_millis(1)).await;
    }
    let open = salon.open_slots(&own).await;
    assert_eq!(open.days()[0].subtracted, 1);
    // Nobody else's: she is free, and so is his colleague.
    let hers = SlotsQuery::new(15, 123, own.window).resource(8);
    assert!(salon.offers(&hers, TWO).await);

    salon.diary.catches_up();
    advance(LAG).await;
    let calls = salon.diary.calls();
    let open = salon.open_slots(&own).await;
    assert!(!open.iter().any(|slot| slot.start() == utc(TWO)));
    assert_eq!(
        (open.days()[0].source, open.days()[0].subtracted),
        (Source::Loaded, 0)
    );
    salon.open_slots(&own).await;
    assert_eq!(
        salon.diary.calls(),
        calls + 1,
        "after the lag it is asked once, and kept"
    );
}

/// A source that still lags after the time it was given is believed: the time is a promise of it.
#[tokio::test(start_paused = true)]
async fn the_source_is_believed_again_after_its_lag() {
    let salon = Salon::open();
    salon.diary.book(&at_two());
    assert!(!salon.offers(&wednesday(123), TWO).await);
    salon.diary.cancel(&15.into(), &7001.into());
    salon.diary.lags();
    salon.bus.dispatch(AppointmentBooked::new(at_two()));
    assert!(!salon.offers(&wednesday(123), TWO).await);
    advance(LAG + Duration::from_millis(1)).await;
    assert!(salon.offers(&wednesday(123), TWO).await);
}

#[tokio::test(start_paused = true)]
async fn a_course_loses_a_seat_with_each_booking_and_goes_with_the_last() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(60).host(7).seats(3));
    let salon = Salon::before(diary);
    let seats = async || {
        let open = salon.open_slots(&wednesday(123)).await;
        let slot = open.iter().find(|slot| slot.start() == utc(TWO));
        slot.and_then(|slot: &Slot| slot.seats)
            .map(|seats| seats.remaining)
    };
    assert_eq!(seats().await, Some(3));
    salon.diary.lags();
    let seat = |id: u64| {
        let mut seat = at_two();
        seat.id = id.into();
        seat
    };
    for (id, left) in [(1, Some(2)), (2, Some(1))] {
        salon.diary.book(&seat(id));
        salon.bus.dispatch(AppointmentBooked::new(seat(id)));
        salon.bus.dispatch(AppointmentBooked::new(seat(id))); // told twice, taken once
        assert_eq!(seats().await, left);
    }
    salon.bus.dispatch(AppointmentBooked::new(seat(3)));
    salon.diary.book(&seat(3));
    assert_eq!(seats().await, None);
    salon.diary.catches_up();
    advance(LAG).await;
    assert_eq!(seats().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_party_takes_as_many_seats_as_it_has_people() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(60).host(7).seats(3));
    let salon = Salon::before(diary);
    salon.diary.lags();
    let party = at_two().seats(NonZeroU32::new(2).unwrap());
    salon.bus.dispatch(AppointmentBooked::new(party));
    let open = salon.open_slots(&wednesday(123)).await;
    let slot = open.iter().find(|slot| slot.start() == utc(TWO)).unwrap();
    assert_eq!(slot.seats.map(|seats| seats.remaining), Some(1));
}

/// Messages come twice and in the wrong order; the last to come is not the last that happened.
#[tokio::test(start_paused = true)]
async fn the_newest_change_counts_in_whatever_order_and_however_often_it_is_told() {
    let booked = AppointmentBooked::new(at_two());
    let moved = at_two()
        .moved_to(interval(FOUR, "2025-10-15T17:00:00Z"))
        .revision(revision(2));
    let rescheduled = AppointmentRescheduled::new(at_two(), moved.clone());
    let cancelled = AppointmentCancelled::new(moved.revision(revision(3)));
    let orders = [
        "bbr", "rb", "brb", "rrb", // ends at four
        "brc", "cbr", "crb", "rcb", "bcr", "rbc", "brcbrc", "cc", // ends nowhere
    ];
    for order in orders {
        let salon = Salon::open();
        salon.diary.lags(); // it has heard of nothing
        for change in order.chars() {
            match change {
                'b' => salon.bus.dispatch(booked.clone()),
                'r' => salon.bus.dispatch(rescheduled.clone()),
                _ => salon.bus.dispatch(cancelled.clone()),
            };
        }
        let query = wednesday(123);
        assert!(
            salon.offers(&query, TWO).await,
            "{order}: two is free again"
        );
        let ends_nowhere = order.contains('c');
        assert_eq!(
            salon.offers(&query, FOUR).await,
            ends_nowhere,
            "{order}: four"
        );
    }
}

/// A load that began before the booking finished after it and stored the old answer for the TTL.
#[tokio::test]
async fn a_load_that_a_booking_overtook_is_for_nobody_who_asks_later() {
    for lag in [Duration::ZERO, LAG] {
        let mut salon = Salon::open();
        salon.slots = SlotsCache::builder(salon.diary.clone())
            .directory(salon.diary.directory())
            .source_lag(lag)
            .build();
        let invalidate = InvalidateSlotsCache::new(salon.slots.clone());
        salon.bus = Bus::builder().subscribe(invalidate).build().unwrap();

        let gate = salon.diary.gated();
        let early = salon.read(&wednesday(123));
        gate.entered().await; // with the old answer in its hand
        salon.diary.book(&at_two());
        salon.bus.dispatch(AppointmentBooked::new(at_two()));
        let late = salon.read(&wednesday(123));
        gate.entered().await; // on a load of its own
        gate.release();
        gate.release();
        soon(early).await.unwrap().unwrap();
        let late = soon(late).await.unwrap().unwrap();
        assert!(!late.iter().any(|slot| slot.start() == utc(TWO)));
        salon.diary.ungated();
        assert!(!salon.offers(&wednesday(123), TWO).await);
    }
}

/// Who begins within the lag and ends after it has the answer of within it; who joins later too.
#[tokio::test(start_paused = true)]
async fn a_flight_begun_within_the_lag_is_corrected_for_all_who_join_it() {
    let salon = Salon::open();
    salon.diary.lags();
    salon.diary.book(&at_two());
    salon.bus.dispatch(AppointmentBooked::new(at_two()));
    let gate = salon.diary.gated();
    let leader = salon.read(&wednesday(123));
    gate.entered().await; // still offers two
    advance(LAG + Duration::from_secs(1)).await;
    let follower = salon.read(&wednesday(123));
    until_idle().await;
    gate.release();
    gate.release();
    for reader in [leader, follower] {
        let open = soon(reader).await.unwrap().unwrap();
        assert!(
            !open.iter().any(|slot| slot.start() == utc(TWO)),
            "{:?}",
            open.days()
        );
    }
    // Nor is what was loaded then kept for anybody.
    salon.diary.catches_up();
    salon.diary.ungated();
    assert!(!salon.offers(&wednesday(123), TWO).await);
}
