//! Cal.com at the edge of a booking application: its webhooks become booking events, its slots API a source.
//!
//! [`Webhooks`] checks who sent a webhook, reads it, and asks the application's [`CalcomDirectory`] whose it is.
//! What comes of it, [`Received`], invalidates what it can affect and carries the events to dispatch.
//!
//! ```
//! # use async_trait::async_trait;
//! # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
//! # struct Calendar;
//! # #[async_trait]
//! # impl SlotSource for Calendar {
//! #     async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
//! #         Ok(vec![])
//! #     }
//! # }
//! use http::{HeaderMap, HeaderValue};
//! use vacancy_calcom::{
//!     Clue, Listing, SIGNATURE_HEADER, Secret, StaticCalcomDirectory, Verdict, Webhooks,
//! };
//! use vacancy_dispatch::Bus;
//! use vacancy_slots::{InvalidateSlotsCache, SlotsCache};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slots = SlotsCache::builder(Calendar).build();
//! let bus = Bus::builder().subscribe(InvalidateSlotsCache::new(slots.clone())).build()?;
//! let directory = StaticCalcomDirectory::new()
//!     .list(Clue::EventType("4711"), Listing::new(15).event_type(123).resource(42))
//!     .list(Clue::Email("ada@salon.example"), Listing::new(15).resource(42));
//! let webhooks = Webhooks::builder(directory).secret("s3cret").build();
//!
//! let body = br#"{
//!     "triggerEvent": "BOOKING_CREATED",
//!     "createdAt": "2025-10-01T08:00:00.000Z",
//!     "payload": {
//!         "uid": "7kRt", "eventTypeId": 4711, "status": "ACCEPTED",
//!         "startTime": "2025-10-15T14:00:00Z", "endTime": "2025-10-15T15:00:00Z",
//!         "organizer": {"email": "ada@salon.example"}
//!     }
//! }"#;
//! let mut headers = HeaderMap::new();
//! let signature = Secret::new("s3cret").expect("not empty").sign(body);
//! headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(&signature)?);
//!
//! let applied = webhooks.receive(&headers, body)?.apply(&slots, &bus)?;
//! assert_eq!(applied.verdict, Verdict::Fresh);
//! let again = webhooks.receive(&headers, body)?;
//! assert!(again.duplicate() && again.events().is_empty() && !again.invalidations().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - Nothing is read from a body before one of the receiver's secrets is found to have signed it, in constant
//!   time. A receiver without a secret refuses everything.
//! - Every delivery invalidates all that it can affect: copies, late ones, ones that cannot be an event, and
//!   ones of which it is not known whose they are. What is unknown makes it more, never less.
//! - Events come with one of the copies of a fact. Copies and facts may arrive in any order: what is open in the
//!   end is the same.
//! - A tenant is told by what the event type and the hosts have in common, and is never the first of several.
//!
//! # What is not
//!
//! - A signed webhook can be replayed: the protocol has no time stamp. What has been replayed invalidates, and
//!   makes no event while the booking is remembered.
//! - Webhooks get lost, and Cal.com does not send them again: a change that none told of is noticed after the
//!   time to live of the slots cache.
//! - Two moves of a booking that keeps its `uid` and has no `iCalSequence` are put in order by `createdAt`.
//! - What is remembered is this process's own, and bounded: see [`Webhooks`](Webhooks#what-is-remembered).
//!
//! # What becomes of each trigger
//!
//! | Trigger | Event | Invalidates |
//! | --- | --- | --- |
//! | `BOOKING_CREATED` | [`AppointmentBooked`](vacancy_slots::AppointmentBooked) | the booking |
//! | `BOOKING_RESCHEDULED` | [`AppointmentRescheduled`](vacancy_slots::AppointmentRescheduled) | both times; all of the resources where the old one is not known |
//! | `BOOKING_CANCELLED` | [`AppointmentCancelled`](vacancy_slots::AppointmentCancelled), of a seat where it names one | the booking; all of the resources for a series |
//! | `BOOKING_REJECTED` | [`AppointmentCancelled`](vacancy_slots::AppointmentCancelled) | the booking |
//! | `BOOKING_REQUESTED` | none: nothing is booked before the host consents | the booking, and the one that it is to replace |
//! | `BOOKING_PAID`, `BOOKING_PAYMENT_INITIATED` | none | the booking |
//! | `OOO_CREATED` | none | the days, of whoever is away |
//! | `MEETING_*`, `RECORDING_*`, `INSTANT_MEETING`, `*_NO_SHOW`, `BOOKING_NO_SHOW_UPDATED`, `PING` | none | nothing |
//! | anything else | none | nothing, and it is counted |
//!
//! An appointment's id is the booking's `uid`, and `uid/seat` for a seat of it. A cancellation of a whole booking
//! brings one event for it and one for each seat that is remembered.
//!
//! # Metrics
//!
//! Counters: `calcom_webhooks_total` and `calcom_webhooks_duplicates_total`, `calcom_webhooks_superseded_total`
//! by `trigger`; `calcom_webhooks_refused_total`, `calcom_webhooks_ignored_total`,
//! `calcom_webhooks_unresolved_total`, `calcom_webhooks_defective_total` and `calcom_webhooks_widened_total` by
//! `reason`; `calcom_webhooks_memory_crowded_out_total`.
//!
//! # Features
//!
//! - `axum`: an extractor and a route.
//! - `source`: the slots API of Cal.com as a source of slots.

mod signature;

mod node;
mod trigger;
mod webhook;

mod defect;
mod directory;
mod life;
mod memory;
mod place;

mod absence;
mod delivery;
mod received;
mod refusal;
mod webhooks;

#[cfg(feature = "axum")]
mod receiver;
#[cfg(feature = "source")]
mod source;

pub use defect::{Defect, LONGEST_BOOKING};
pub use directory::{CalcomDirectory, Clue, Listing, StaticCalcomDirectory};
pub use place::Unresolved;
pub use received::{Applied, BookingChange, Ignored, Received, Undelivered, Verdict, Widening};
#[cfg(feature = "axum")]
pub use receiver::Receiver;
pub use refusal::Refusal;
pub use signature::{SIGNATURE_HEADER, Secret};
#[cfg(all(fuzzing, feature = "source"))]
#[doc(hidden)]
pub use source::fuzzing;
#[cfg(feature = "source")]
pub use source::{
    CalcomApi, CalcomBuildError, CalcomError, CalcomEventType, CalcomLimit, CalcomSlots,
    CalcomSlotsBuilder, MAX_ANSWER_BYTES, MAX_EVENT_TYPES, RateLimited, Unreadable,
};
pub use trigger::Trigger;
pub use webhooks::{Webhooks, WebhooksBuilder};
