//! Availability answers that fall the moment a booking event is dispatched.
//!
//! [`SlotsCache`] answers which slots are open and keeps what its [`SlotSource`] says, by local day.
//! [`InvalidateSlotsCache`] listens to [`AppointmentBooked`], [`AppointmentRescheduled`] and
//! [`AppointmentCancelled`] and takes out of service every kept answer that the change can affect.
//!
//! ```
//! # use async_trait::async_trait;
//! # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
//! # struct Calendar;
//! # #[async_trait]
//! # impl SlotSource for Calendar {
//! #     async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
//! #         Ok(vec![Slot::new(request.window().expect("a day of UTC"))])
//! #     }
//! # }
//! use vacancy_dispatch::Bus;
//! use vacancy_slots::{
//!     Appointment, AppointmentBooked, InvalidateSlotsCache, SlotsCache, SlotsQuery,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slots = SlotsCache::builder(Calendar).build();
//! let bus = Bus::builder().subscribe(InvalidateSlotsCache::new(slots.clone())).build()?;
//!
//! let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
//! let query = SlotsQuery::new(15, 123, today).resource(42);
//! let open = slots.open(&query).await?;
//!
//! let booked = Appointment::new(1.into(), 15.into(), open[0].interval).event_type(123).resource(42);
//! bus.dispatch(AppointmentBooked::new(booked)); // returns at once
//! assert!(slots.kept(&query)?.is_none()); // and the old answer is gone
//! assert!(slots.open(&query).await?.is_empty()); // even if the calendar has not heard of it yet
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - Once `dispatch` of a booking event has returned, no read in this process gives an answer that the
//!   source was asked for before it, nor one that contains what was booked.
//! - An event reaches every answer that the change can affect, through length, buffers, a shifting
//!   grid, limits, other event types of the same host, and leaves the others. Lengths and buffers that
//!   are not known count as four hours ([`UNKNOWN_REACH`]), and hosts that are not known as anybody.
//! - An error of the source is an error, and never 'no slots'.
//!
//! # What is not
//!
//! - Double bookings are not prevented here. The write path does that, with an overlap check in its
//!   transaction; the cache makes the offer true, so that there is nothing to refuse.
//! - A change that no event tells of is noticed after the time to live, or when the application calls
//!   [`SlotsCache::invalidate`].
//! - A host who works in several branches has to be named in the event or in the [`Directory`] for
//!   his bookings to reach the answers of the other branches.
//! - Without the feature `redis` all of this holds for one process.
//!
//! # Features
//!
//! - `redis`: several processes share answers and hear of each other's bookings: see
//!   [`SlotsCache`](SlotsCache#with-redis).
//! - `redis-tls`: addresses that begin with `rediss://`.

mod affected;
mod alternatives;
mod appointment;
mod builder;
mod day_slots;
mod events;
mod hold;
mod ids;
mod interval;
mod invalidate;
mod key;
mod local_day;
mod occupied;
mod open_slots;
mod overlay;
mod query;
mod read;
mod reservations;
mod rules;
mod scopes;
mod slot;
mod slots_cache;
mod source;
mod week;

pub use affected::{MAX_BUSY_SPAN, MAX_BUSY_SPANS, answer_span, busy_spans};
pub use alternatives::{
    Alternative, AlternativeFinder, Alternatives, NotAsked, PreferredTime, Reason, Unasked, Wanted,
};
pub use appointment::{Appointment, Buffers, InvalidAppointment, Revision};
pub use builder::SlotsCacheBuilder;
pub use events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled};
pub use hold::{BookingEvent, SlotsHold};
pub use ids::{
    AppointmentId, AppointmentKind, BranchId, BranchKind, EventTypeId, EventTypeKind, Id, IdKind,
    InvalidId, MAX_ID_BYTES, OwnerId, OwnerKind, ReservationId, ReservationKind, ResourceId,
    ResourceKind, TenantId, TenantKind,
};
pub use interval::{Interval, InvalidInterval, UnreadableInterval};
pub use invalidate::InvalidateSlotsCache;
pub use key::{DayKey, InvalidKey, SlotsKey};
pub use local_day::LocalDay;
pub use open_slots::{DayAnswer, OpenSlots};
pub use query::{MAX_QUERY_DAYS, QueryError, SlotsQuery};
pub use reservations::{
    ExtendError, ReleaseError, Reservation, ReservationRequest, Reservations, ReserveError,
};
pub use rules::{
    Directory, EventTypeRules, Grid, LimitPeriod, NoDirectory, StaticDirectory, UNKNOWN_REACH,
};
pub use scopes::Target;
pub use slot::{Seats, Slot};
pub use slots_cache::{MissingEventType, OpenError, SlotsCache};
pub use source::{SlotSource, SlotsRequest, SourceError, SourceTimedOut};
pub use week::{Warmings, WeekDay, WeekView};
