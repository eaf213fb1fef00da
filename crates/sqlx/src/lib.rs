//! The write path of a booking application over sqlx: an overlap check inside the transaction, commit and
//! dispatch as one.
//!
//! [`BookingGuard`] refuses in the caller's transaction what would book a resource twice. [`Writer`] runs the
//! guard, the application's own rows, COMMIT and the dispatch of the event in a task of its own.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # mod example {
//! # use async_trait::async_trait;
//! # use sqlx::sqlite::SqlitePoolOptions;
//! # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
//! # struct Calendar;
//! # #[async_trait]
//! # impl SlotSource for Calendar {
//! #     async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
//! #         Ok(vec![])
//! #     }
//! # }
//! use vacancy_dispatch::Bus;
//! use vacancy_slots::{Appointment, Buffers, InvalidateSlotsCache, SlotsCache};
//! use vacancy_sqlx::{BookError, BookingGuard, WriteError, Writer, no_rows};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slots = SlotsCache::builder(Calendar).build();
//! let bus = Bus::builder().subscribe(InvalidateSlotsCache::new(slots.clone())).build()?;
//! # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! let guard = BookingGuard::new(pool);
//! guard.migrate().await?;
//! let writer = Writer::builder(guard, slots, bus).build();
//!
//! let hour = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
//! let appointment = |id: u64| {
//!     Appointment::new(id.into(), 15.into(), hour).event_type(123).resource(42).buffers(Buffers::NONE)
//! };
//! let written = writer.book(appointment(1), no_rows).await?;
//! assert!(written.receipt.is_some()); // committed, and the bus has heard of it
//!
//! let refused = writer.book(appointment(2), no_rows).await;
//! assert!(matches!(refused, Err(WriteError::Refused(BookError::Taken { .. }))));
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "sqlite")]
//! # example::main().unwrap();
//! ```
//!
//! # What is guaranteed
//!
//! - Of any number of bookings that exclude each other, in any number of processes, one is committed; the
//!   others are [`BookError::Taken`]. The rule is the one by which the cache offers slots.
//! - A booking has all of its resources and intervals or none, together with the application's own rows.
//! - With [`Writer`], every commit is followed by the dispatch of its event while the process lives, whoever
//!   drops the request; nothing else is dispatched.
//! - A repeated operation gives the first result and changes nothing.
//! - Every change raises the appointment's revision.
//!
//! # What is not
//!
//! - A process that dies between COMMIT and dispatch takes the event with it. What must survive that belongs in
//!   an outbox, written with the application's own rows.
//! - What other writers put into the application's tables, past the guard, is not seen.
//! - Opening hours, grids and limits are not checked: that a slot was on offer is for the caller to know.
//!
//! # Features
//!
//! - `sqlite`, `postgres`: the database; each alone or both. Without one there is nothing to guard.

mod booking;
mod operation;
mod unbookable;

mod change;
mod claim;
mod dialect;
mod guard;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

mod writer;

mod book_error;
mod write_error;

pub use book_error::BookError;
pub use booking::{Booking, Cancellation, MAX_BOOKED_ID_BYTES, MAX_OCCUPIED_ROWS, MAX_SHARED_RUN};
pub use change::Change;
pub use dialect::Dialect;
pub use guard::BookingGuard;
pub use operation::{InvalidOperationKey, OperationKey};
pub use unbookable::Unbookable;
pub use write_error::WriteError;
pub use writer::{RowsFuture, WhenUnconfirmed, Writer, WriterBuilder, Written, no_rows};
