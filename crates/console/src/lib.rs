//! A console for a bus: who listens to what, what failed, and whether that is what was agreed.
//!
//! ```
//! use vacancy_console::Console;
//! use vacancy_dispatch::{Bus, Event, listen_fn};
//!
//! struct AppointmentBooked;
//!
//! impl Event for AppointmentBooked {
//!     const NAME: &'static str = "appointment.booked";
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mail = listen_fn("mail", |_| async { Err("no mail server".into()) });
//! let bus = Bus::builder().listen::<AppointmentBooked, _>(mail).build()?;
//! bus.dispatch(AppointmentBooked).settled().await;
//!
//! let mut out = Vec::new();
//! Console::new(bus.clone()).run(["failed", "--listener", "mail"], &mut out)?;
//! assert!(String::from_utf8(out)?.contains("failed after 1 attempt: no mail server"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Console`] runs commands; `--help` lists them. [`EventsLock`] compares a bus with a committed file,
//! and [`assert_locked`] does so in a test.
//!
//! # As a subcommand of a program
//!
//! `list`, `graph` and `lock` ask only how the bus is built. A program can offer them under a subcommand
//! of its own: it builds its bus as always, hands over the arguments that are left, and ends.
//!
//! ```
//! # use std::process::ExitCode;
//! # use vacancy_console::Console;
//! # use vacancy_dispatch::Bus;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//! let mut arguments = std::env::args_os().skip(1);
//! if arguments.next().is_some_and(|argument| argument == "bus") {
//!     let bus = Bus::builder().build()?; // with the application's listeners
//!     let exit = Console::new(bus).run(arguments, &mut std::io::stdout())?;
//!     return Ok(exit.into());
//! }
//! // serve
//! # Ok(ExitCode::SUCCESS)
//! # }
//! ```
//!
//! # In a running process
//!
//! Dead letters are in the memory of the process that has them, so that process must run the command.
//! [`Console::answer`] takes it as one line and gives text, wherever the process is reached: from standard
//! input, or over a Unix socket, as in the example `console` of the repository:
//!
//! ```sh
//! echo "failed --listener mail" | socat - UNIX-CONNECT:/run/salon/console.sock
//! ```
//!
//! Whoever reaches it may do what the console does: see errors as listeners worded them, replay events, and
//! write files with `lock --write`. So the socket belongs in a directory that only the operator can enter.
//!
//! # What it does not show
//!
//! Events themselves: it prints names, ids, counts, times and errors, and never a payload.

mod lock;
mod printable;

mod arguments;
mod console;
mod event_ref;
mod letter;

pub use console::{Console, ConsoleError, Exit};
pub use lock::{
    Change, EventChange, EventsLock, FieldChange, ListenerChange, LockError, SampleError,
    WriteError, assert_locked,
};
