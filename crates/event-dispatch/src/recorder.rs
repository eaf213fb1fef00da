//! [`FlightRecorder`]: keeps the steps of the newest events, for [`Bus::explain`](crate::Bus::explain).
//!
//! # Invariants
//!
//! 1. The lock is held for bookkeeping alone: nothing of the application runs under it. No event is
//!    kept, so none is dropped under it.
//! 2. The last step of a listener is never forgotten. So how an event stands there is told truly,
//!    however few steps are kept.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{EventId, Observer, Outcome, Stage, Step};

/// How many characters of an error are kept.
const ERROR_LENGTH: usize = 1000;

/// Keeps the steps of the newest events, for [`Bus::explain`](crate::Bus::explain).
///
/// Added by [`BusBuilder::flight_recorder`](crate::BusBuilder::flight_recorder). It keeps names,
/// times, outcomes and the first 1,000 characters of errors, and no events. `clone` is cheap, and all
/// clones are one recorder.
#[derive(Clone)]
pub struct FlightRecorder {
    events: NonZeroUsize,
    steps: NonZeroUsize,
    records: Arc<Mutex<Records>>,
}

impl FlightRecorder {
    /// A recorder that keeps this many events. Beyond them the oldest is forgotten, whether it has
    /// ended or not.
    #[must_use]
    pub fn new(events: NonZeroUsize) -> Self {
        Self {
            events,
            steps: const { NonZeroUsize::new(64).expect("64 is not zero") },
            records: Arc::default(),
        }
    }

    /// Sets how many steps of one event are kept. Default: 64.
    ///
    /// Beyond them, a listener's new step takes the place of its oldest one; its last step is always
    /// kept, also where there are more listeners than steps.
    #[must_use]
    pub fn steps_per_event(mut self, steps: NonZeroUsize) -> Self {
        self.steps = steps;
        self
    }

    /// What is kept of an event.
    pub(crate) fn record(&self, id: EventId) -> Option<Record> {
        self.lock().by_id.get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FlightRecorder {
    /// Keeps 1,024 events.
    fn default() -> Self {
        Self::new(const { NonZeroUsize::new(1024).expect("1024 is not zero") })
    }
}

impl From<NonZeroUsize> for FlightRecorder {
    /// Keeps this many events.
    fn from(events: NonZeroUsize) -> Self {
        Self::new(events)
    }
}

impl fmt::Debug for FlightRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightRecorder")
            .field("events", &self.events)
            .field("steps_per_event", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Observer for FlightRecorder {
    fn observe(&self, step: &Step<'_>) {
        let what = match step.stage {
            Stage::Dispatched | Stage::Refused => None,
            Stage::Started { attempt } => Some(What::Started { attempt }),
            Stage::Retrying {
                attempt,
                error,
                pause,
            } => Some(What::Retrying {
                attempt,
                error: shortened(error),
                pause,
            }),
            Stage::Ended {
                outcome,
                attempts,
                error,
            } => Some(What::Ended {
                outcome,
                attempts,
                error: shortened(error),
            }),
        };
        let mut records = self.lock();
        match (what, step.listener) {
            (Some(what), Some(listener)) => records.note(step.id, listener, what, self.steps),
            _ => records.begin(step, self.events),
        }
    }
}

fn shortened(error: &str) -> Box<str> {
    error.chars().take(ERROR_LENGTH).collect()
}

#[derive(Default)]
struct Records {
    /// The ids of those that are kept, the oldest first.
    order: VecDeque<EventId>,
    by_id: HashMap<EventId, Record>,
    /// The names of listeners, which all steps share.
    names: HashSet<Arc<str>>,
}

impl Records {
    /// Begins the record of an event, or notes in it that the event was refused.
    fn begin(&mut self, step: &Step<'_>, events: NonZeroUsize) {
        let refused = matches!(step.stage, Stage::Refused);
        if let Some(record) = self.by_id.get_mut(&step.id) {
            record.refused = refused;
            return;
        }
        if self.order.len() >= events.get()
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let only = step.listener.map(|listener| self.name(listener));
        self.order.push_back(step.id);
        self.by_id.insert(
            step.id,
            Record {
                event: step.event,
                cause: step.cause,
                replay_of: step.replay_of,
                only,
                accepted_at: step.accepted_at,
                begun: Instant::now(),
                refused,
                steps: Vec::new(),
                forgotten: 0,
            },
        );
    }

    fn note(&mut self, id: EventId, listener: &str, what: What, bound: NonZeroUsize) {
        let listener = self.name(listener);
        let Some(record) = self.by_id.get_mut(&id) else {
            return;
        };
        if record.steps.len() >= bound.get() {
            let mut steps = record.steps.iter();
            if let Some(oldest) = steps.position(|noted| Arc::ptr_eq(&noted.listener, &listener)) {
                record.steps.remove(oldest);
                record.forgotten += 1;
            }
        }
        record.steps.push(Noted {
            listener,
            at: Instant::now(),
            what,
        });
    }

    fn name(&mut self, listener: &str) -> Arc<str> {
        if let Some(name) = self.names.get(listener) {
            return Arc::clone(name);
        }
        let name: Arc<str> = listener.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}

/// What is kept of one event.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) event: &'static str,
    pub(crate) cause: Option<EventId>,
    pub(crate) replay_of: Option<EventId>,
    /// The one listener that it is for, if it is a replay.
    pub(crate) only: Option<Arc<str>>,
    pub(crate) accepted_at: SystemTime,
    pub(crate) begun: Instant,
    pub(crate) refused: bool,
    pub(crate) steps: Vec<Noted>,
    pub(crate) forgotten: usize,
}

/// One step of one event at one listener.
#[derive(Clone)]
pub(crate) struct Noted {
    pub(crate) listener: Arc<str>,
    pub(crate) at: Instant,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    Started {
        attempt: u32,
    },
    Retrying {
        attempt: u32,
        error: Box<str>,
        pause: Duration,
    },
    Ended {
        outcome: Outcome,
        attempts: u32,
        error: Box<str>,
    },
}
