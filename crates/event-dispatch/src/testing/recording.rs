//! [`Recording`]: what each listener did with each event, as an observer hears it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{EventId, Observer, Outcome, Stage, Step};

/// What each listener did with each event. Unbounded: it lives as long as a test.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    runs: HashMap<EventId, Vec<Run>>,
    /// Events that lanes never had, and replays with the one listener they are for.
    refused: HashSet<EventId>,
    replays: HashMap<EventId, String>,
    /// How many steps there were.
    steps: u64,
}

/// What one listener did with one event.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) event: &'static str,
    pub(crate) id: EventId,
    pub(crate) listener: String,
    pub(crate) attempts: u32,
    /// The step at which it was first called, if it was.
    pub(crate) started: Option<u64>,
    /// The step at which it ended, if it has.
    pub(crate) ended: Option<u64>,
    pub(crate) outcome: Option<Outcome>,
    /// The last error, if there was one.
    pub(crate) error: String,
    /// Whether an assertion has been made of it.
    asserted: AtomicBool,
}

impl Run {
    fn new(step: &Step<'_>, listener: &str) -> Self {
        Self {
            event: step.event,
            id: step.id,
            listener: listener.to_owned(),
            attempts: 0,
            started: None,
            ended: None,
            outcome: None,
            error: String::new(),
            asserted: AtomicBool::new(false),
        }
    }

    /// The event's name, and its number on the bus.
    pub(crate) fn of(&self) -> String {
        format!("{}#{}", self.event, self.id.sequence())
    }

    pub(crate) fn assert(&self) {
        self.asserted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asserted(&self) -> bool {
        self.asserted.load(Ordering::Relaxed)
    }

    fn take_step(&mut self, stage: &Stage<'_>, now: u64) {
        match *stage {
            Stage::Dispatched | Stage::Refused => {}
            Stage::Started { attempt } => {
                self.started = self.started.or(Some(now));
                self.attempts = attempt;
            }
            Stage::Retrying { error, .. } => self.error = error.to_owned(),
            Stage::Ended { outcome, error, .. } => {
                self.ended = Some(now);
                self.outcome = Some(outcome);
                if !error.is_empty() {
                    self.error = error.to_owned();
                }
            }
        }
    }
}

/// How it went, in a few words.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Some(outcome) => write!(f, "{outcome}")?,
            None if self.attempts == 0 => write!(f, "waits")?,
            None => write!(f, "has not ended")?,
        }
        match self.attempts {
            0 => f.write_str(", never called")?,
            1 => {}
            attempts => write!(f, " after {attempts} attempts")?,
        }
        if self.error.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.error)
    }
}

impl Observer for Recording {
    fn observe(&self, step: &Step<'_>) {
        let mut log = self.lock();
        let log = &mut *log;
        log.steps += 1;
        match (&step.stage, step.listener) {
            (Stage::Dispatched, Some(listener)) => {
                log.replays.insert(step.id, listener.to_owned());
            }
            (Stage::Refused, _) => {
                log.refused.insert(step.id);
            }
            (stage, Some(listener)) => {
                let runs = log.runs.entry(step.id).or_default();
                let place = runs.iter().position(|run| run.listener == listener);
                let place = place.unwrap_or_else(|| {
                    runs.push(Run::new(step, listener));
                    runs.len() - 1
                });
                runs[place].take_step(stage, log.steps);
            }
            (_, None) => {}
        }
    }
}

impl Recording {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives away what was done with these events, and with those that were refused, in the order in
    /// which it ended.
    pub(crate) fn take(&self, events: impl Iterator<Item = EventId>) -> Vec<Run> {
        let mut log = self.lock();
        let refused = std::mem::take(&mut log.refused);
        let mut runs = Vec::new();
        for event in events.chain(refused) {
            runs.extend(log.runs.remove(&event).unwrap_or_default());
            log.replays.remove(&event);
        }
        runs.sort_by_key(|run| run.ended);
        runs
    }

    /// How an event that has not settled stands at its listeners that have no outcome, as words.
    pub(crate) fn pending<'a>(
        &self,
        event: EventId,
        listeners: impl Iterator<Item = &'a str>,
    ) -> Vec<(&'a str, String)> {
        let log = self.lock();
        let only = log.replays.get(&event);
        let runs = log.runs.get(&event).map_or(&[][..], Vec::as_slice);
        listeners
            .filter(|listener| only.is_none_or(|only| only == listener))
            .filter_map(|listener| {
                let run = runs.iter().find(|run| run.listener == listener);
                match run {
                    Some(run) if run.ended.is_some() => None,
                    Some(run) => Some((listener, run.to_string())),
                    None => Some((listener, "waits, never called".to_owned())),
                }
            })
            .collect()
    }
}
