//! Function calls of a phone agent at the edge of a booking application.
//!
//! [`Retell`] checks that a call is Retell's and lately signed, understands its arguments or has the agent
//! ask back, and has the application's [`PhoneDesk`] do it, once however often it is asked.
//!
//! ```
//! use vacancy_retell::{
//!     ApiKey, DeskError, PhoneCall, PhoneDesk, Reply, Request, Retell, SIGNATURE_HEADER, Visit,
//! };
//!
//! struct Desk;
//!
//! impl PhoneDesk for Desk {
//!     async fn serve(&self, call: &PhoneCall, request: Request) -> Result<Reply, DeskError> {
//!         match request {
//!             Request::Book(book) => {
//!                 let end = book.start + book.wish.duration.unwrap_or_default();
//!                 // With `call.operation` as the idempotency key of the write path.
//!                 let interval = vacancy_slots::Interval::new(book.start, end)
//!                     .map_err(|_| DeskError::Refused { say: "For how long?".into() })?;
//!                 Ok(Reply::booked(Visit::new(7001, interval)))
//!             }
//!             _ => Err(DeskError::NotFound),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = ApiKey::new("from the dashboard");
//! let retell = Retell::builder(Desk, chrono_tz::Europe::Berlin).api_key(key.clone()).build();
//!
//! # let now = chrono::Utc::now();
//! let tomorrow = (now + chrono::TimeDelta::days(1)).to_rfc3339();
//! let body = format!(
//!     r#"{{"name": "book_appointment", "call": {{"call_id": "c-1"}}, "args":
//!         {{"event_type": "cut", "start": "{tomorrow}", "duration_minutes": 45}}}}"#
//! );
//! # let mut headers = http::HeaderMap::new();
//! headers.insert(SIGNATURE_HEADER, key.sign(body.as_bytes(), now).parse()?);
//! let answer = retell.answer(&headers, body.as_bytes()).await?;
//! assert_eq!(answer.json()["status"], "booked");
//! // A retry hears of the same booking.
//! assert_eq!(retell.answer(&headers, body.as_bytes()).await?, answer);
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - Nothing is read before its signature was found right, over the bytes as they came, in constant
//!   time. Without a key everything is refused.
//! - What is asked for twice in one call happens once, also when the first request still runs, or was
//!   dropped. See [`Retell`](Retell#operations).
//! - An argument that is missing, unreadable or impossible makes a [`Question`] that the agent can
//!   ask, never a default.
//! - The agent gets an answer within two seconds, unless set otherwise.
//! - Neither logs nor errors nor metrics carry what the caller said.
//!
//! # What is not
//!
//! - Operations are remembered in memory. A retry that reaches another process, or this one after a
//!   restart, runs again, unless the write path knows the [`OperationKey`].
//! - Within the five minutes of its signature a request can be replayed. The replay of a change gets
//!   the result of the first one as long as that is remembered.
//! - Double bookings are prevented by the write path.
//!
//! # Features
//!
//! - `axum`: routes for an axum application.

mod signature;

mod function;
mod function_call;
mod json;

mod arguments;
mod question;
mod request;

mod desk;
mod reply;

mod answer;
mod call_error;
mod ledger;
mod operation_key;

mod builder;
mod retell;

#[cfg(feature = "axum")]
pub mod axum;

pub use answer::{Answer, MAX_OFFERS};
pub use arguments::MAX_DAYS_AHEAD;
pub use builder::RetellBuilder;
pub use call_error::CallError;
pub use desk::{DeskError, PhoneCall, PhoneDesk};
pub use function::Function;
pub use function_call::{BodyError, CallId, MAX_CALL_ID_BYTES};
pub use operation_key::OperationKey;
pub use question::{Problem, Question};
pub use reply::{Reply, Visit};
pub use request::{
    Alternatives, Book, Cancel, CheckAvailability, Customer, Request, Reschedule, Wish,
};
pub use retell::Retell;
pub use signature::{ApiKey, SIGNATURE_HEADER, SIGNATURE_WINDOW, SignatureError};
