//! A test kit: what ran, why, and with which events, without a sleep.
//!
//! A test takes the application's listeners, puts fakes in place of those that reach outside, and
//! dispatches. [`TestBus::settled`] waits until nothing is pending and gives what [`Ran`].
//!
//! ```
//! # use std::num::NonZeroU32;
//! # use vacancy_dispatch::{Bus, BusBuilder, Event, Policy, Retry, listen_fn, testing::{Fake, TestBus}};
//! # struct AppointmentBooked;
//! # impl Event for AppointmentBooked {
//! #     const NAME: &'static str = "appointment.booked";
//! # }
//! # struct AppointmentCancelled;
//! # impl Event for AppointmentCancelled {
//! #     const NAME: &'static str = "appointment.cancelled";
//! # }
//! # fn listeners() -> BusBuilder {
//! #     let retry = Retry::new(NonZeroU32::MIN.saturating_add(2));
//! #     let real = |_| async { unreachable!("the real one is not called") };
//! #     Bus::builder()
//! #         .listen(listen_fn::<AppointmentBooked, _, _>("confirmation", |_| async { Ok(()) }))
//! #         .listen_with(listen_fn::<AppointmentBooked, _, _>("calendar.sync", real), Policy::new().retry(retry))
//! #         .listen(listen_fn::<AppointmentCancelled, _, _>("refund", |_| async { Ok(()) }))
//! # }
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn a_booking_is_confirmed_although_the_calendar_fails_twice() {
//!     let bus = TestBus::of(listeners()).fake("calendar.sync", Fake::fails_times(2)).build();
//!     bus.dispatch(AppointmentBooked);
//!     let ran = bus.settled().await;
//!     ran.ran("confirmation").once().done();
//!     ran.ran("calendar.sync").attempts(3).done();
//!     ran.not_run("refund");
//!     ran.nothing_else();
//! }
//! # fn main() {
//! #     a_booking_is_confirmed_although_the_calendar_fails_twice();
//! # }
//! ```
//!
//! `listeners()` stands for the function of the application that adds its listeners. It should return
//! the [`BusBuilder`](crate::BusBuilder), and leave [`build`](crate::BusBuilder::build) to its caller.
//!
//! # Time
//!
//! On a runtime whose time is paused, pauses between attempts and time-outs pass at once, whatever
//! their length; real time works as well, and takes as long as it takes. Paused time goes on whenever
//! nothing can run, so also while a listener waits for a socket: put a fake in its place, or use real
//! time.
//!
//! # What is not waited for
//!
//! A listener that hands its work to a task of its own is done when it says so. What that task
//! dispatches later is not waited for.

mod fake;
mod gate;
mod ran;
mod recording;
mod runs;
mod test_bus;

pub use fake::Fake;
pub(crate) use fake::Faked;
pub use gate::Gate;
pub use ran::Ran;
pub use runs::Runs;
pub use test_bus::{TestBus, TestBusBuilder};
