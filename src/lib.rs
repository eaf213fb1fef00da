//! An event bus for booking applications, and an availability cache that never serves a slot that was
//! taken before you asked.
//!
//! ```
//! # use async_trait::async_trait;
//! # use vacancy::slots::{Slot, SlotSource, SlotsRequest, SourceError};
//! # struct Calendar;
//! # #[async_trait]
//! # impl SlotSource for Calendar {
//! #     async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
//! #         Ok(vec![Slot::new(request.window().expect("a day of UTC"))])
//! #     }
//! # }
//! # struct SendConfirmation;
//! # impl vacancy::dispatch::Listener<AppointmentBooked> for SendConfirmation {
//! #     async fn handle(&self, _: &AppointmentBooked) -> Result<(), vacancy::dispatch::BoxError> {
//! #         Ok(())
//! #     }
//! # }
//! use vacancy::dispatch::Bus;
//! use vacancy::slots::{
//!     Appointment, AppointmentBooked, InvalidateSlotsCache, SlotsCache, SlotsQuery,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slots = SlotsCache::builder(Calendar).build(); // your SlotSource
//! let bus = Bus::builder()
//!     .subscribe(InvalidateSlotsCache::new(slots.clone()))
//!     .listen(SendConfirmation) // your Listener<AppointmentBooked>
//!     .build()?;
//!
//! let day = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
//! let query = SlotsQuery::new(15, 123, day).resource(42); // tenant, event type, host
//! let open = slots.open(&query).await?;
//!
//! let appointment = Appointment::new(1.into(), 15.into(), open[0].interval).resource(42);
//! bus.dispatch(AppointmentBooked::new(appointment)); // after your commit; returns at once
//! assert!(slots.open(&query).await?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! - [`dispatch`]: events, listeners, lanes, receipts, dead letters.
//! - [`cache`]: the fenced cache under it, for any keys and values.
//! - [`slots`]: booking events and availability, where an event meets the cache.
//!
//! This crate re-exports the three and adds nothing. What each guarantees, and what it does not,
//! stands at its head.
//!
//! # Features
//!
//! - `metrics`: what the bus counts and times, for the `metrics` crate.
//! - `otel`: OpenTelemetry traces go on across lanes, retries and what listeners dispatch.
//! - `redis`: several processes share answers in Redis or Valkey, and hear of each other's bookings.
//! - `redis-tls`: addresses that begin with `rediss://`.
//! - `rate-limit`: limits how often a listener is called.
//! - `serde`: a [`Topology`](dispatch::Topology) and an [`Explanation`](dispatch::Explanation) can be serialized.
//! - `testing`: a kit for tests of listeners.

pub use vacancy_cache as cache;
pub use vacancy_dispatch as dispatch;
pub use vacancy_slots as slots;
