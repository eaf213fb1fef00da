//! An in-process event bus whose listeners cannot fail, block or crash the code that dispatches.
//!
//! ```
//! use vacancy_dispatch::{BoxError, Bus, Event, Listener};
//!
//! struct AppointmentBooked {
//!     email: String,
//! }
//!
//! impl Event for AppointmentBooked {
//!     const NAME: &'static str = "appointment.booked";
//! }
//!
//! struct SendConfirmation;
//!
//! impl Listener<AppointmentBooked> for SendConfirmation {
//!     async fn handle(&self, booked: &AppointmentBooked) -> Result<(), BoxError> {
//!         assert_eq!(booked.email, "ada@example.org"); // send it
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::builder().listen(SendConfirmation).build()?;
//!
//! // Returns at once. The receipt may be dropped.
//! let receipt = bus.dispatch(AppointmentBooked { email: "ada@example.org".into() });
//! assert!(receipt.settled().await.all_done());
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - [`Bus::dispatch`] is a plain function. It does not wait, block or panic, whatever listeners do.
//! - Inline listeners have run when it returns, and before any other listener sees the event.
//! - Every listener has a bounded lane of its own. One that hangs, panics, overflows or is slow
//!   changes nothing for the others.
//! - A lane keeps order: that of dispatch with one worker, per key with several.
//! - Every event ends in exactly one counted [`Outcome`] at every listener. See [`Bus::ledger`].
//! - [`Bus::shutdown`] finishes what was accepted, or names what it abandoned.
//!
//! # What is not
//!
//! - Events live in memory. Those that a process had not delivered when it died are gone.
//! - Nothing stops a listener that blocks its thread. It keeps one thread of the runtime, and on a
//!   runtime of one thread it stops everybody. Listeners that have been quick so far are called one after
//!   the other in one task: where one of them blocks all the same, the others go on after 10 ms at most,
//!   in another task, and only a task that was woken on that thread just before waits with it, as with
//!   any tokio task that blocks. Block in `tokio::task::spawn_blocking` instead.
//! - Two events dispatched at the same time by two threads may reach lanes in either order, and two
//!   types of event have no order between them.
//! - `panic = "abort"` ends the process at a listener's panic.
//!
//! # Features
//!
//! - `rate-limit`: `Policy::rate_limit` limits how often a listener is called.
//! - `serde`: a [`Topology`] and an [`Explanation`] can be serialized.
//! - `testing`: a kit for tests of listeners, in the module `testing`.
//! - `metrics`: `Bus::record_metrics` and `BusBuilder::metrics`, for the `metrics` crate.
//! - `otel`: an event carries the trace that it was dispatched in. The `handle` span of each of its
//!   listeners, in each attempt, is a child of the span that dispatched it, so a trace goes on across lanes,
//!   retries and what listeners dispatch. The span of a batch is a child for its first event and linked to
//!   the others; that of a replay is linked to the first delivery's. A call that fails, panics or takes too
//!   long has a span with the status of an error. A trace that came in over HTTP goes on
//!   too: enter a span with that parent, or attach its context, then dispatch. For calls that go out, see
//!   `Delivery::traceparent`. Spans are exported by the application's `tracing-opentelemetry` layer.

mod batch;
mod event;
mod failed;
mod lines;
mod listener;
mod subscriber;

mod builder;
mod bus;
mod draft;
mod policy;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod retry;

mod call;
mod delivery;
mod duty;
mod ends;
mod envelope;
mod guard;
mod handler;
mod kept;
mod lane;
mod pace;
mod queue;
mod route;
mod runs;
mod seat;
mod task;
mod time_out;
mod trace_context;
mod wake;
mod watch;
mod worker;

mod dead_letter;
mod explain;
mod ledger;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod outcome;
mod pause;
mod receipt;
mod recorder;
mod replay;
mod shutdown;
mod stream;
mod stretch;
mod topology;

#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, BatchListener, Batching};
pub use builder::{BuildError, BusBuilder};
pub use bus::Bus;
pub use dead_letter::DeadLetter;
pub use delivery::Delivery;
pub use envelope::{Envelope, EventId, InvalidEventId};
pub use event::Event;
pub use explain::{Call, Explained, Explanation, Standing};
pub use failed::Failed;
pub use ledger::{Entry, Ledger};
pub use listener::{BoxError, InlineFn, InlineListener, ListenFn, Listener, inline_fn, listen_fn};
pub use observer::{Observer, Stage, Step};
pub use outcome::{Outcome, Reason};
pub use pause::{LaneState, PauseError};
pub use policy::{Overflow, Policy};
#[cfg(feature = "rate-limit")]
pub use rate_limit::RateLimit;
pub use receipt::{Outcomes, Receipt, Report, Unreachable};
pub use recorder::FlightRecorder;
pub use replay::ReplayError;
pub use retry::{Permanent, Retry, Skip};
pub use shutdown::{Abandoned, ShutdownReport};
pub use stream::{EventStream, Live};
pub use subscriber::Subscriber;
pub use topology::{LaneRow, Row, Topology};
pub use wake::Wake;
