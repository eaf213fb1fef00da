//! [`EventsLock`]: what an application's bus promises, for a file that is committed.

mod change;
mod compare;
mod file;
mod shape;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::{self, Write},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use vacancy_dispatch::{Event, Row, Topology};

pub use self::change::{Change, EventChange, FieldChange, ListenerChange};
use self::{
    file::{FORMAT, Locked, LockedEvent, LockedListener, RENEW, Unread},
    shape::Shape,
};

/// What an application's bus promises: its events with their versions and fields, and who listens to
/// them and how. Compared with a file that is committed, by convention `events.lock`, it finds the
/// listener that is registered nowhere any more, and the field that somebody else reads.
///
/// The file is JSON, in an order that does not depend on the order of registration, so it changes
/// only where the promise does.
///
/// # Examples
///
/// In a test, with the bus as the application builds it:
///
/// ```
/// use serde::Serialize;
/// use vacancy_console::{EventsLock, assert_locked};
/// use vacancy_dispatch::{Bus, BusBuilder, Event, inline_fn};
///
/// #[derive(Serialize)]
/// struct AppointmentBooked {
///     seats: u32,
/// }
///
/// impl Event for AppointmentBooked {
///     const NAME: &'static str = "appointment.booked";
/// }
///
/// fn application() -> BusBuilder {
///     Bus::builder().inline(inline_fn("count", |_: &AppointmentBooked| ()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = application().build()?;
/// let lock = EventsLock::of(&bus.topology()).sample(&AppointmentBooked { seats: 2 })?;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("events.lock");
/// # lock.write(&path)?;
/// # if false {
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock");
/// # }
/// assert_locked(&lock, path);
/// # Ok(())
/// # }
/// ```
///
/// # What is not locked
///
/// - What no [sample](Self::sample) shows.
/// - The order of inline listeners, and the settings of the bus as a whole.
/// - Code: a listener of the same name that does something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsLock {
    events: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    version: u16,
    shape: Option<Shape>,
    listeners: BTreeMap<String, LockedListener>,
}

impl EventsLock {
    /// What a topology says: events, versions, listeners and policies, and no fields yet.
    ///
    /// Where listeners or their settings depend on the environment, lock the topology of one that does
    /// not change, such as the default settings.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let mut events = BTreeMap::new();
        for row in topology.rows() {
            let entry = events
                .entry(row.event.to_owned())
                .or_insert_with(|| Entry::new(row.version));
            if let Some(listener) = &row.listener {
                entry.listeners.insert(listener.to_string(), locked(row));
            }
        }
        Self { events }
    }

    /// Adds the fields of an event as a sample of it shows them: `old.start: string`. An event that the
    /// topology does not have is added.
    ///
    /// Give several samples of one event where one does not show everything: they unify. A field that is
    /// null in some of them is `string | null`, one that some of them lack is `string | absent`, and
    /// each variant of an enum needs a sample of its own. The keys of a map count as fields, so leave maps
    /// empty: the file should hold no data. What is nested more than 32 levels deep is not looked into.
    /// A number is a `number` if its Rust type is a float, and otherwise an `integer`.
    ///
    /// # Errors
    ///
    /// With [`SampleError`] if the sample cannot be serialized as JSON.
    pub fn sample<E: Event + Serialize>(mut self, sample: &E) -> Result<Self, SampleError> {
        let sample = serde_json::to_value(sample).map_err(|source| SampleError {
            event: E::NAME,
            source,
        })?;
        self.events
            .entry(E::NAME.to_owned())
            .or_insert_with(|| Entry::new(E::VERSION))
            .shape
            .get_or_insert_default()
            .note(&sample);
        Ok(self)
    }

    /// Compares with a file that [`write`](Self::write) wrote.
    ///
    /// It reads the file on the calling thread.
    ///
    /// # Errors
    ///
    /// With [`LockError::Broken`] if something was taken away or turned into something else, with
    /// [`LockError::Outdated`] if something was only added or set differently, and with the others if
    /// there is nothing to compare with.
    pub fn check(&self, path: impl AsRef<Path>) -> Result<(), LockError> {
        let path = path.as_ref();
        let locked = Locked::read(path).map_err(|unread| LockError::unread(path, unread))?;
        let changes = compare::changes(&locked, &self.locked());
        let path = path.to_owned();
        if changes.iter().any(Change::is_breaking) {
            Err(LockError::Broken { path, changes })
        } else if changes.is_empty() {
            Ok(())
        } else {
            Err(LockError::Outdated { path, changes })
        }
    }

    /// Writes the file, in the place of the one that is there. Nobody sees half of it.
    ///
    /// It writes on the calling thread, beside the file first: the directory must be writable.
    ///
    /// # Errors
    ///
    /// With [`WriteError`]; then the file is what it was.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), WriteError> {
        let path = path.as_ref();
        self.locked().write(path).map_err(|source| WriteError {
            path: path.to_owned(),
            source,
        })
    }

    fn locked(&self) -> Locked {
        let events = self.events.iter();
        let events = events.map(|(event, entry)| {
            let locked = LockedEvent {
                version: entry.version,
                fields: entry.shape.as_ref().map(Shape::fields),
                listeners: entry.listeners.clone(),
            };
            (event.clone(), locked)
        });
        Locked::new(events.collect())
    }
}

impl Entry {
    fn new(version: u16) -> Self {
        Self {
            version,
            shape: None,
            listeners: BTreeMap::new(),
        }
    }
}

fn locked(row: &Row) -> LockedListener {
    let policy = match serde_json::to_value(&row.lane) {
        Ok(Value::Object(settings)) => settings.into_iter().collect(),
        // An inline listener has none; and a lane is an object.
        _ => BTreeMap::new(),
    };
    LockedListener {
        kind: match row.lane {
            None => "inline".to_owned(),
            Some(_) => "lane".to_owned(),
        },
        required: row.required,
        enabled: row.enabled,
        policy,
    }
}

/// Fails a test if `lock` is not what the file says; with `VACANCY_RENEW_LOCK=1` in the environment,
/// writes the file instead.
///
/// The working directory of a test is its package's, so `"events.lock"` is the file beside `Cargo.toml`.
///
/// # Panics
///
/// If [`EventsLock::check`] fails, with its message, or the file cannot be written.
#[track_caller]
pub fn assert_locked(lock: &EventsLock, path: impl AsRef<Path>) {
    let renew = env::var_os("VACANCY_RENEW_LOCK").is_some_and(|value| value == "1");
    let result: Result<(), Box<dyn Error>> = match renew {
        true => lock.write(path).map_err(Into::into),
        false => lock.check(path).map_err(Into::into),
    };
    if let Err(error) = result {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            let _ = write!(message, ": {error}");
            source = error.source();
        }
        panic!("{message}");
    }
}

/// Why a sample shows no fields.
#[derive(Debug, thiserror::Error)]
#[error("the sample of {event} cannot be serialized as JSON")]
pub struct SampleError {
    event: &'static str,
    source: serde_json::Error,
}

/// Why the file could not be written. It is what it was.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be written", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// What is wrong between an [`EventsLock`] and its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Something that others may rely on is gone or is something else. Mend the code; or, if the change
    /// is meant, tell those who rely on it, and renew the file.
    #[error("{}", broken(path, changes))]
    Broken {
        /// The file.
        path: PathBuf,
        /// All that changed. The message names what [is breaking](Change::is_breaking).
        changes: Vec<Change>,
    },
    /// Something is new or set differently. Renew the file.
    #[error("{}", outdated(path, changes))]
    Outdated {
        /// The file.
        path: PathBuf,
        /// All that changed.
        changes: Vec<Change>,
    },
    /// There is no such file. Write it, and commit it.
    #[error("{} does not exist; write it with `{RENEW}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{} could not be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what [`EventsLock::write`] writes, perhaps because of a merge. Renew it.
    #[error("{} is not a lock of events; if it should be one, renew it with `{RENEW}`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file was written by a newer version of this crate. Use that one.
    #[error("{} has the format {format}; this build knows {FORMAT} and older ones", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

impl LockError {
    fn unread(path: &Path, unread: Unread) -> Self {
        let path = path.to_owned();
        match unread {
            Unread::Missing => Self::Missing { path },
            Unread::Unreadable(source) => Self::Unreadable { path, source },
            Unread::Malformed(source) => Self::Malformed {
                path,
                source: source.into(),
            },
            Unread::Newer(format) => Self::Newer { path, format },
        }
    }
}

fn broken(path: &Path, changes: &[Change]) -> String {
    let breaking = changes.iter().filter(|change| change.is_breaking());
    let path = path.display();
    format!(
        "{}; if that is meant, renew {path} with `{RENEW}`",
        lines(breaking)
    )
}

fn outdated(path: &Path, changes: &[Change]) -> String {
    let path = path.display();
    format!("{}; renew {path} with `{RENEW}`", lines(changes.iter()))
}

/// One change a line.
fn lines<'a>(changes: impl Iterator<Item = &'a Change>) -> impl fmt::Display {
    let changes: Vec<_> = changes.map(Change::to_string).collect();
    changes.join(",\n")
}
