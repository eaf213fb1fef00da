//! What somebody is about to change is kept by nobody and shared with nobody, until he has said that it
//! is done, or his time is over.

mod support;

use std::{convert::Infallible, time::Duration};

use chrono::TimeDelta;
use support::{
    Gate,
    diary::{Bookable, Diary},
    soon, until_idle,
};
use tokio::{task::JoinHandle, time::advance};
use vacancy::{
    cache::{Cache, Cover, Hold, Scope, Source, Span},
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, AppointmentRescheduled, Buffers, Interval,
        InvalidateSlotsCache, SlotsCache, SlotsQuery,
    },
};

const LONG: Duration = Duration::from_secs(30);

type Numbers = Cache<u32, u32, Infallible>;

fn span(day: u32) -> Span {
    Span::new(i64::from(day) * 100, i64::from(day) * 100 + 100)
}

fn cover(day: u32) -> Cover {
    Cover::new(Scope::new("tenant", "host", "1"), span(day))
}

async fn hold(cache: &Numbers, day: u32) -> Hold {
    let hold = soon(cache.hold(&[cover(day)], LONG)).await;
    hold.expect("there is no level 2 to refuse it")
}

async fn read(cache: &Numbers, day: u32, value: u32) -> (u32, Source) {
    let load = async || Ok(value);
    let Ok(answer) = soon(cache.get_or_load(&day, || [cover(day)], load)).await;
    (*answer, answer.source())
}

fn read_at(cache: &Numbers, gate: &Gate, value: u32) -> JoinHandle<(u32, Source)> {
    let (cache, gate) = (cache.clone(), gate.clone());
    tokio::spawn(async move {
        let load = async || {
            gate.pass().await;
            Ok(value)
        };
        let Ok(answer) = cache.get_or_load(&1, || [cover(1)], load).await;
        (*answer, answer.source())
    })
}

/// Whether the next load of a day is kept.
async fn keeps(cache: &Numbers, day: u32) -> bool {
    read(cache, day, 7).await;
    cache.get(&day).is_some()
}

#[tokio::test]
async fn a_hold_takes_out_what_is_kept_and_lets_nothing_in() {
    let cache = Numbers::builder().build();
    assert!(keeps(&cache, 1).await && keeps(&cache, 2).await);
    let hold = hold(&cache, 1).await;
    assert!(cache.get(&1).is_none());
    assert!(cache.get(&2).is_some(), "a span elsewhere");
    for value in 1..4 {
        assert_eq!(read(&cache, 1, value).await, (value, Source::Loaded));
        assert!(cache.get(&1).is_none());
    }
    assert_eq!(cache.statistics().unkept, 3);
    cache.release(&hold);
    assert!(keeps(&cache, 1).await);
}

#[tokio::test]
async fn readers_under_a_hold_share_no_load() {
    let (cache, gates) = (Numbers::builder().build(), [Gate::new(), Gate::new()]);
    let _hold = hold(&cache, 1).await;
    let first = read_at(&cache, &gates[0], 1);
    gates[0].entered().await;
    let second = read_at(&cache, &gates[1], 2);
    gates[1].entered().await; // the commit may have been in between
    for gate in &gates {
        gate.release();
    }
    assert_eq!(soon(first).await.unwrap(), (1, Source::Loaded));
    assert_eq!(soon(second).await.unwrap(), (2, Source::Loaded));
}

#[tokio::test]
async fn readers_that_came_before_a_hold_share_their_load_and_keep_nothing() {
    let (cache, gate) = (Numbers::builder().build(), Gate::new());
    let first = read_at(&cache, &gate, 1);
    gate.entered().await;
    let second = read_at(&cache, &gate, 9);
    until_idle().await;
    let hold = hold(&cache, 1).await;
    assert_eq!(
        read(&cache, 1, 2).await,
        (2, Source::Loaded),
        "who comes later"
    );
    gate.release();
    assert_eq!(soon(first).await.unwrap(), (1, Source::Loaded));
    assert_eq!(soon(second).await.unwrap(), (1, Source::Shared));
    cache.release(&hold);
    assert!(cache.get(&1).is_none());
}

/// It began under the hold, so it may be from before the change.
#[tokio::test]
async fn a_load_that_ends_after_the_release_is_not_kept() {
    let (cache, gate) = (Numbers::builder().build(), Gate::new());
    let hold = hold(&cache, 1).await;
    let reader = read_at(&cache, &gate, 1);
    gate.entered().await;
    cache.release(&hold);
    assert_eq!(read(&cache, 1, 2).await, (2, Source::Loaded));
    gate.release();
    assert_eq!(soon(reader).await.unwrap(), (1, Source::Loaded));
    assert_eq!(read(&cache, 1, 3).await, (2, Source::Level1));
}

#[tokio::test]
async fn the_release_of_one_of_two_holds_leaves_the_other() {
    let cache = Numbers::builder().build();
    let same = [hold(&cache, 1).await, hold(&cache, 1).await];
    let elsewhere = hold(&cache, 2).await;
    cache.release(&same[0]);
    cache.release(&same[0]);
    assert!(!keeps(&cache, 1).await && !keeps(&cache, 2).await);
    cache.release(&same[1]);
    assert!(keeps(&cache, 1).await && !keeps(&cache, 2).await);
    cache.release(&elsewhere);
    assert!(keeps(&cache, 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_dropped_ends_at_its_time() {
    let cache = Numbers::builder().build();
    drop(hold(&cache, 1).await);
    advance(LONG - Duration::from_millis(2)).await;
    assert!(!keeps(&cache, 1).await);
    advance(Duration::from_millis(2)).await;
    assert!(keeps(&cache, 1).await);
    assert_eq!(cache.statistics().fences, 1, "that of the value");
}

struct Salon {
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
}

impl Salon {
    fn new() -> Self {
        let diary = Diary::new();
        diary.offer(15, 123, Bookable::new(30).host(42));
        let slots = SlotsCache::builder(diary.clone())
            .directory(diary.directory())
            .source_lag(Duration::ZERO)
            .hold_time(LONG)
            .build();
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .build();
        Self {
            diary,
            slots,
            bus: bus.expect("the listeners fit together"),
        }
    }

    /// Whether what is read next is kept.
    async fn keeps(&self) -> bool {
        self.open().await;
        self.slots.kept(&wednesday()).expect("a day").is_some()
    }

    async fn open(&self) -> Vec<Interval> {
        let open = soon(self.slots.open(&wednesday())).await;
        let open = open.expect("the diary answers");
        open.iter().map(|slot| slot.interval).collect()
    }
}

fn wednesday() -> SlotsQuery {
    let day = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z";
    SlotsQuery::new(15, 123, day.parse().expect("a day")).resource(42)
}

fn appointment(id: u64, interval: Interval) -> Appointment {
    Appointment::new(id.into(), 15.into(), interval)
        .event_type(123)
        .resource(42)
        .buffers(Buffers::NONE)
}

#[tokio::test]
async fn a_commit_under_a_hold_is_seen_before_its_event_which_ends_the_hold() {
    let salon = Salon::new();
    assert!(salon.keeps().await);
    let taken = salon.open().await[3];
    let booked = AppointmentBooked::new(appointment(7001, taken));
    let hold = soon(salon.slots.hold(&booked)).await.unwrap();
    assert!(
        salon.open().await.contains(&taken),
        "nothing is committed yet"
    );
    salon.diary.book(&booked.appointment);
    assert!(!salon.open().await.contains(&taken));
    assert!(!salon.keeps().await);

    salon.bus.dispatch(booked);
    assert!(salon.keeps().await);
    assert!(!salon.open().await.contains(&taken));
    assert!(format!("{hold:?}").contains("SlotsHold"));
}

#[tokio::test]
async fn the_event_of_another_booking_leaves_the_hold() {
    let salon = Salon::new();
    let open = salon.open().await;
    let [one, other] =
        [1, 2].map(|id| AppointmentBooked::new(appointment(id, open[id as usize * 4])));
    let _hold = soon(salon.slots.hold(&one)).await.unwrap();
    salon.diary.book(&other.appointment);
    salon.bus.dispatch(other);
    assert!(!salon.keeps().await);
    salon.diary.book(&one.appointment);
    salon.bus.dispatch(one);
    assert!(salon.keeps().await);
}

#[tokio::test]
async fn a_booking_that_is_abandoned_ends_its_hold_and_leaves_the_slot() {
    let salon = Salon::new();
    let free = salon.open().await[3];
    let booked = AppointmentBooked::new(appointment(7001, free));
    let hold = soon(salon.slots.hold(&booked)).await.unwrap();
    let other = soon(salon.slots.hold(&booked)).await.unwrap();
    hold.abandon();
    assert!(!salon.keeps().await, "somebody else is at it");
    other.abandon();
    assert!(salon.keeps().await);
    assert!(salon.open().await.contains(&free));
}

#[tokio::test]
async fn a_move_holds_both_places_until_it_is_told() {
    let salon = Salon::new();
    let open = salon.open().await;
    let before = appointment(7001, open[0]);
    salon.diary.book(&before);
    salon.bus.dispatch(AppointmentBooked::new(before.clone()));
    let after = before.clone().moved_to(open[8]);
    let moved = AppointmentRescheduled::new(before.clone(), after.clone());
    let _hold = soon(salon.slots.hold(&moved)).await.unwrap();
    assert!(!salon.keeps().await);
    salon.diary.move_to(&before, &after);
    let seen = salon.open().await;
    assert!(seen.contains(&open[0]) && !seen.contains(&open[8]));
    salon.bus.dispatch(moved);
    assert!(salon.keeps().await);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_no_earlier_and_no_later_than_it_says() {
    let salon = Salon::new();
    let begun = tokio::time::Instant::now();
    let slot = salon.open().await[0];
    let longer = Interval::new(slot.start(), slot.end() + TimeDelta::hours(1)).unwrap();
    let booked = AppointmentBooked::new(appointment(7001, longer));
    let hold = soon(salon.slots.hold(&booked)).await.unwrap();
    assert_eq!(hold.until(), begun + LONG);
    drop(hold);
    advance(LONG - Duration::from_millis(2)).await;
    assert!(!salon.keeps().await);
    advance(Duration::from_millis(2)).await;
    assert!(salon.keeps().await);
    // An event that comes too late finds no hold, and does what it does without one.
    salon.diary.book(&booked.appointment);
    salon.bus.dispatch(booked);
    assert!(!salon.open().await.contains(&slot));
    assert!(salon.keeps().await);
}
