//! Which types of the slots cache may go to another thread, and stay there.

use std::{error::Error, fmt::Debug, panic::UnwindSafe};

use vacancy::{
    cache::Token,
    dispatch::Event,
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentId,
        AppointmentRescheduled, BranchId, Buffers, DayAnswer, DayKey, Directory, EventTypeId,
        EventTypeRules, ExtendError, Interval, InvalidAppointment, InvalidId, InvalidInterval,
        InvalidKey, InvalidateSlotsCache, LocalDay, MissingEventType, NoDirectory, OpenError,
        OpenSlots, OwnerId, QueryError, ReleaseError, Reservation, ReservationId,
        ReservationRequest, Reservations, ReserveError, ResourceId, Revision, Slot, SlotSource,
        SlotsCache, SlotsCacheBuilder, SlotsHold, SlotsKey, SlotsQuery, SlotsRequest, SourceError,
        SourceTimedOut, StaticDirectory, Target, TenantId,
    },
};

fn anywhere<T: Send + Sync + 'static>() {}
fn shown<T: Debug>() {}
fn error<T: Error + Clone + Send + Sync + 'static>() {}
fn event<E: Event + Clone + serde::Serialize + serde::de::DeserializeOwned>() {}

#[test]
fn handles_can_be_shared_by_all_threads() {
    fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
    handle::<SlotsCache>();
    handle::<InvalidateSlotsCache>();
    handle::<Reservations>();
    anywhere::<SlotsHold>();
    shown::<SlotsHold>();
    anywhere::<SlotsCacheBuilder>();
    shown::<SlotsCacheBuilder>();
}

#[test]
fn futures_can_be_spawned() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    fn spawnable<T: Send + 'static>(future: T) {
        drop(future);
    }
    fn opens(slots: SlotsCache, query: SlotsQuery) {
        drop(sendable(slots.open(&query)));
        spawnable(async move { slots.open(&query).await });
    }
    fn opens_at_least(slots: SlotsCache, query: SlotsQuery, token: Token) {
        drop(sendable(slots.open_at_least(&query, &token)));
        spawnable(async move { slots.open_at_least(&query, &token).await });
    }
    fn confirms(slots: SlotsCache, tenant: TenantId) {
        drop(sendable(slots.confirmed(&tenant)));
        spawnable(async move { slots.confirmed(&tenant).await });
    }
    fn holds(slots: SlotsCache, booked: AppointmentBooked) {
        drop(sendable(slots.hold(&booked)));
        spawnable(async move { slots.hold(&booked).await });
    }
    fn loads<S: SlotSource>(source: S, request: SlotsRequest) {
        drop(sendable(source.slots(&request)));
        spawnable(async move { source.slots(&request).await });
    }
    fn reserves(reservations: Reservations, request: ReservationRequest) {
        drop(sendable(reservations.reserve(&request)));
        spawnable(async move { reservations.reserve(&request).await });
    }
    fn releases(reservations: Reservations, of: Reservation, booking: Appointment) {
        let Reservation {
            tenant, owner, id, ..
        } = of;
        drop(sendable(reservations.release(&tenant, &owner, &id)));
        drop(sendable(reservations.of(&tenant, &owner)));
        drop(sendable(reservations.blocking(&booking, Some(&owner))));
        spawnable(async move {
            let lasts = std::time::Duration::ZERO;
            reservations.extend(&tenant, &owner, &id, lasts).await
        });
    }
    let _ = (opens, opens_at_least, confirms, holds, reserves, releases);
    let _ = loads::<Box<Nowhere>>;
}

struct Nowhere;

#[async_trait::async_trait]
impl SlotSource for Box<Nowhere> {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(Vec::new())
    }
}

#[test]
fn what_the_application_implements_can_be_an_object() {
    anywhere::<Box<dyn SlotSource>>();
    anywhere::<Box<dyn Directory>>();
    anywhere::<StaticDirectory>();
    anywhere::<NoDirectory>();
    anywhere::<SlotsRequest>();
}

#[test]
fn errors_can_be_boxed_kept_and_given_to_several_readers() {
    error::<OpenError>();
    error::<QueryError>();
    error::<SourceError>();
    error::<SourceTimedOut>();
    error::<ReserveError>();
    error::<ExtendError>();
    error::<ReleaseError>();
    error::<InvalidId>();
    error::<InvalidInterval>();
    error::<InvalidAppointment>();
    error::<InvalidKey>();
}

#[test]
fn events_can_be_dispatched_and_written_down() {
    event::<AppointmentBooked>();
    event::<AppointmentRescheduled>();
    event::<AppointmentCancelled>();
}

#[test]
fn values_can_be_kept_anywhere_and_are_safe_to_unwind_over() {
    fn value<T: Clone + Debug + Send + Sync + Unpin + UnwindSafe + 'static>() {}
    value::<Appointment>();
    value::<AppointmentId>();
    value::<BranchId>();
    value::<Buffers>();
    value::<DayAnswer>();
    value::<DayKey>();
    value::<EventTypeId>();
    value::<EventTypeRules>();
    value::<Interval>();
    value::<LocalDay>();
    value::<MissingEventType>();
    value::<OpenSlots>();
    value::<OwnerId>();
    value::<Reservation>();
    value::<ReservationId>();
    value::<ReservationRequest>();
    value::<ResourceId>();
    value::<Revision>();
    value::<Slot>();
    value::<SlotsKey>();
    value::<SlotsQuery>();
    value::<Target>();
    value::<TenantId>();
}
