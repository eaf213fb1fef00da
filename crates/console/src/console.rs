//! [`Console`]: runs commands about a bus.

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    iter,
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use serde::Serialize;
use vacancy_dispatch::{Bus, DeadLetter, ReplayError};

use crate::{
    EventsLock, LockError, WriteError,
    arguments::{Arguments, Command, Filter, Refusal},
    letter::{Fields, Text},
    printable::Printable,
};

/// Runs commands about a bus.
///
/// It holds a handle of the bus, which stays open as long as the console is kept. `clone` is cheap.
#[derive(Debug, Clone)]
pub struct Console {
    bus: Bus,
    lock: Option<Arc<EventsLock>>,
}

/// How a command ended that did what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a command that finds a difference says so here"]
#[non_exhaustive]
pub enum Exit {
    /// It found nothing to object to. The exit code is 0.
    Success,
    /// `lock --check` found a difference, or `replay` a letter that is gone; it has said which. The
    /// exit code is 1.
    Failure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
        }
    }
}

/// Why a command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// There is no such command, or it is not used like this. The message ends with the usage.
    #[error("{0}")]
    Usage(String),
    /// There is nothing to compare with.
    #[error("the bus cannot be compared")]
    Check(#[source] LockError),
    /// The file of `lock --write` could not be written.
    #[error("the bus cannot be locked")]
    Write(#[source] WriteError),
    /// No dead letter of the event is kept that the filters leave. `failed` lists those that are kept.
    #[error("no such dead letter of {event} is kept; `failed` lists those that are")]
    NoDeadLetter {
        /// The event, as it was named.
        event: String,
    },
    /// Nothing can be replayed.
    #[error("nothing can be replayed")]
    Replay(#[source] ReplayError),
    /// The bus never had the event, has forgotten it since, or has no
    /// [flight recorder](vacancy_dispatch::BusBuilder::flight_recorder).
    #[error("nothing is known of {event}: the bus had no such event, forgot it, or records none")]
    Unknown {
        /// The event, as it was named.
        event: String,
    },
    /// The output could not be written.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
}

impl Console {
    /// A console for a bus.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus, lock: None }
    }

    /// Sets what `lock` compares and writes. Default: the topology of the bus, without samples.
    #[must_use]
    pub fn lock(mut self, lock: EventsLock) -> Self {
        self.lock = Some(Arc::new(lock));
        self
    }

    /// Runs a command and writes what it has to say to `out`: text in UTF-8, in whole lines.
    ///
    /// `arguments` begin with the name of the command. `--help`, alone or after a command, says what there
    /// is. It runs on the calling thread: `lock` reads or writes a file there, and `replay` runs inline
    /// listeners, while it only queues for the others.
    ///
    /// # Errors
    ///
    /// With [`ConsoleError`]; then `out` may have some of the output.
    pub fn run(
        &self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        out: &mut impl Write,
    ) -> Result<Exit, ConsoleError> {
        let command = match Arguments::parse(arguments) {
            Ok(arguments) => arguments.command,
            Err(Refusal::Help(help)) => {
                write!(out, "{help}").map_err(ConsoleError::Output)?;
                return Ok(Exit::Success);
            }
            Err(Refusal::Usage(usage)) => return Err(ConsoleError::Usage(usage)),
        };
        match command {
            Command::List { json: false } => {
                write!(out, "{}", self.bus.topology()).map_err(ConsoleError::Output)?;
            }
            Command::List { json: true } => print_json(&self.bus.topology(), out)?,
            Command::Graph => {
                let graph = self.bus.topology().to_mermaid();
                out.write_all(graph.as_bytes())
                    .map_err(ConsoleError::Output)?;
            }
            Command::Failed { filter, json } => {
                let letters = self.letters(&filter);
                match json {
                    true => {
                        let letters = letters.iter().map(|letter| Fields::from(&**letter));
                        print_json(&letters.collect::<Vec<_>>(), out)?;
                    }
                    false => self
                        .print_letters(&letters, out)
                        .map_err(ConsoleError::Output)?,
                }
            }
            Command::Replay { id, all: _, filter } => {
                let mut letters = self.letters(&filter);
                if let Some(event) = id {
                    letters.retain(|letter| event.on(&self.bus) == letter.id());
                    if letters.is_empty() {
                        let event = event.to_string();
                        return Err(ConsoleError::NoDeadLetter { event });
                    }
                }
                return self.replay(&letters, out);
            }
            Command::Explain { id, json } => {
                let unknown = || ConsoleError::Unknown {
                    event: id.to_string(),
                };
                let explanation = self.bus.explain(id.on(&self.bus)).ok_or_else(unknown)?;
                match json {
                    true => print_json(&explanation, out)?,
                    false => {
                        for line in explanation.to_string().lines() {
                            writeln!(out, "{}", Printable(line)).map_err(ConsoleError::Output)?;
                        }
                    }
                }
            }
            Command::Lock {
                check: _,
                write: false,
                path,
            } => return self.check(&path, out),
            Command::Lock {
                check: _,
                write: true,
                path,
            } => {
                self.events_lock()
                    .write(&path)
                    .map_err(ConsoleError::Write)?;
                writeln!(out, "wrote {}", path.display()).map_err(ConsoleError::Output)?;
            }
        }
        Ok(Exit::Success)
    }

    /// The same as [`run`](Self::run) for a command that is one line. Words are split at spaces and
    /// quoted as in a shell, `'like this'`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and with [`ConsoleError::Usage`] if a quote is not closed.
    pub fn run_line(&self, line: &str, out: &mut impl Write) -> Result<Exit, ConsoleError> {
        let unclosed = || ConsoleError::Usage("a quote is not closed".to_owned());
        self.run(shlex::split(line).ok_or_else(unclosed)?, out)
    }

    /// The same as [`run_line`](Self::run_line) where nothing but text goes back, such as on a socket:
    /// what the command has to say, and behind it why it failed, if it did.
    #[must_use]
    pub fn answer(&self, line: &str) -> String {
        let mut out = Vec::new();
        let failed = self.run_line(line, &mut out).err();
        let mut text = String::from_utf8_lossy(&out).into_owned();
        if let Some(error) = failed {
            let sources = iter::successors(error.source(), |&error| error.source());
            let causes: String = sources.map(|source| format!(": {source}")).collect();
            text.push_str(&format!("{error}{causes}\n"));
        }
        text
    }

    fn letters(&self, filter: &Filter) -> Vec<Arc<DeadLetter>> {
        let mut letters = self.bus.dead_letters();
        letters.retain(|letter| filter.accepts(letter));
        letters
    }

    fn print_letters(&self, letters: &[Arc<DeadLetter>], out: &mut impl Write) -> io::Result<()> {
        for letter in letters {
            write!(out, "{}", Text(letter))?;
        }
        match letters.len() {
            1 => write!(out, "1 dead letter")?,
            number => write!(out, "{number} dead letters")?,
        }
        match self.bus.ledger().dead_letters_evicted {
            0 => writeln!(out),
            evicted => writeln!(out, "; {evicted} older ones of the bus were evicted"),
        }
    }

    fn replay(
        &self,
        letters: &[Arc<DeadLetter>],
        out: &mut impl Write,
    ) -> Result<Exit, ConsoleError> {
        let mut replayed = 0;
        for letter in letters {
            let (id, listener) = (letter.id(), Printable(letter.listener()));
            let told = match self.bus.replay(letter) {
                Ok(receipt) => {
                    replayed += 1;
                    writeln!(out, "{id} at {listener}: replayed as {}", receipt.id())
                }
                Err(gone @ ReplayError::Gone) => writeln!(out, "{id} at {listener}: {gone}"),
                Err(error) => return Err(ConsoleError::Replay(error)),
            };
            told.map_err(ConsoleError::Output)?;
        }
        writeln!(out, "replayed {replayed} of {}", letters.len()).map_err(ConsoleError::Output)?;
        Ok(match replayed == letters.len() {
            true => Exit::Success,
            false => Exit::Failure,
        })
    }

    fn check(&self, path: &Path, out: &mut impl Write) -> Result<Exit, ConsoleError> {
        match self.events_lock().check(path) {
            Ok(()) => {
                writeln!(out, "{} is up to date", path.display()).map_err(ConsoleError::Output)?;
                Ok(Exit::Success)
            }
            Err(error @ (LockError::Broken { .. } | LockError::Outdated { .. })) => {
                writeln!(out, "{error}, or with `lock --write`").map_err(ConsoleError::Output)?;
                Ok(Exit::Failure)
            }
            Err(error) => Err(ConsoleError::Check(error)),
        }
    }

    fn events_lock(&self) -> Arc<EventsLock> {
        match &self.lock {
            Some(lock) => Arc::clone(lock),
            None => Arc::new(EventsLock::of(&self.bus.topology())),
        }
    }
}

fn print_json(value: &impl Serialize, out: &mut impl Write) -> Result<(), ConsoleError> {
    serde_json::to_writer_pretty(&mut *out, value)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(ConsoleError::Output)
}
