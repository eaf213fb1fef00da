//! A salon: the slots of one diary, as several processes offer and book them over one Redis.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vacancy::{
    cache::Redis,
    dispatch::{Bus, Receipt},
    slots::{
        Appointment, AppointmentBooked, Interval, InvalidateSlotsCache, Slot, SlotsCache,
        SlotsCacheBuilder, SlotsQuery,
    },
};

use super::{
    diary::{Bookable, Diary},
    soon, until,
};

/// One process of the salon. Host 42 of tenant 15 offers half hours of event type 123.
#[derive(Clone)]
pub(crate) struct Salon {
    pub(crate) diary: Diary,
    pub(crate) slots: SlotsCache,
    pub(crate) bus: Bus,
}

/// A diary in which host 42 of tenant 15 offers half hours.
pub(crate) fn diary() -> Diary {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42));
    diary
}

/// The settings of a process of the salon that shares nothing.
pub(crate) fn alone(diary: &Diary) -> SlotsCacheBuilder {
    SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .source_lag(Duration::ZERO)
}

/// The slots of so many days from this one of October 2025 on.
pub(crate) fn october(first: i64, days: i64) -> SlotsQuery {
    let begin: DateTime<Utc> = "2025-10-01T00:00:00Z".parse().expect("a time");
    let start = begin + TimeDelta::days(first - 1);
    let window = Interval::new(start, start + TimeDelta::days(days));
    SlotsQuery::new(15, 123, window.expect("days have a length")).resource(42)
}

/// The slots of the 15th.
pub(crate) fn wednesday() -> SlotsQuery {
    october(15, 1)
}

impl Salon {
    pub(crate) fn new(diary: &Diary, settings: SlotsCacheBuilder) -> Self {
        let slots = settings.build();
        let invalidate = InvalidateSlotsCache::new(slots.clone());
        Self {
            diary: diary.clone(),
            slots,
            bus: Bus::builder()
                .subscribe(invalidate)
                .build()
                .expect("the listeners fit together"),
        }
    }

    pub(crate) fn sharing(diary: &Diary, redis: Redis) -> Self {
        Self::new(diary, alone(diary).redis(redis))
    }

    pub(crate) async fn open(&self, query: &SlotsQuery) -> Vec<Slot> {
        let open = soon(self.slots.open(query)).await;
        open.expect("the diary answers").iter().cloned().collect()
    }

    /// Whether it offers this slot.
    pub(crate) async fn offers(&self, query: &SlotsQuery, slot: &Slot) -> bool {
        let open = self.open(query).await;
        open.iter().any(|other| other.interval == slot.interval)
    }

    /// Reads until level 1 answers, and waits until Redis could too.
    pub(crate) async fn load(&self, query: &SlotsQuery) -> Vec<Slot> {
        let written = self.slots.statistics().level2.written;
        self.keep(query).await;
        until(|| self.slots.statistics().level2.written > written).await;
        self.open(query).await
    }

    /// Reads until level 1 answers.
    pub(crate) async fn keep(&self, query: &SlotsQuery) {
        soon(async {
            while self.slots.kept(query).expect("a short window").is_none() {
                self.open(query).await;
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) fn commit(&self, booked: &AppointmentBooked) {
        self.diary.book(&booked.appointment);
    }

    pub(crate) fn dispatch(&self, booked: &AppointmentBooked) -> Receipt {
        self.bus.dispatch(booked.clone())
    }
}

/// The booking of a slot.
pub(crate) fn booking(id: u64, slot: &Slot) -> AppointmentBooked {
    let appointment = Appointment::new(id.into(), 15.into(), slot.interval)
        .event_type(123)
        .resource(42)
        .buffers(vacancy::slots::Buffers::NONE);
    AppointmentBooked::new(appointment)
}
