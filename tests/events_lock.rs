//! The three booking events, their fields and the listeners of `InvalidateSlotsCache` are what
//! `events.lock` says.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use vacancy::{
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Buffers,
        InvalidateSlotsCache, Revision, Slot, SlotSource, SlotsCache, SlotsRequest, SourceError,
    },
};
use vacancy_console::{EventsLock, assert_locked};

struct Closed;

#[async_trait]
impl SlotSource for Closed {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(Vec::new())
    }
}

/// An appointment of which all that is serialized is known, and one of which nothing is.
fn appointments() -> [Appointment; 2] {
    let [known, unknown] = [1, 2].map(|id| {
        let (start, end) = ("2025-10-15T14:00:00Z", "2025-10-15T15:00:00Z");
        let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
        Appointment::between(id.into(), 15.into(), start, end).unwrap()
    });
    let revision = Revision::changed_at("2025-10-01T09:00:00Z".parse().unwrap()).sequence(3);
    let known = known
        .branch(1)
        .event_type(123)
        .resource(42)
        .buffers(Buffers::new(Duration::ZERO, Duration::from_secs(600)))
        .seats(NonZeroU32::MIN)
        .revision(revision);
    [known, unknown]
}

#[tokio::test]
async fn the_booking_events_and_their_listeners_are_those_that_are_locked() {
    let slots = SlotsCache::builder(Closed).build();
    let bus = Bus::builder().subscribe(InvalidateSlotsCache::new(slots));
    let mut lock = EventsLock::of(&bus.build().unwrap().topology());
    for appointment in appointments() {
        let before = appointment.clone();
        let cancelled = AppointmentCancelled::new(appointment.clone());
        lock = lock
            .sample(&AppointmentBooked::new(appointment.clone()))
            .and_then(|lock| lock.sample(&AppointmentRescheduled::new(before, appointment)))
            .and_then(|lock| lock.sample(&cancelled))
            .and_then(|lock| lock.sample(&cancelled.reason("ill").actor("u1")))
            .unwrap();
    }
    assert_locked(&lock, concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock"));
}
