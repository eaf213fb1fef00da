//! [`Bus::explain`]: why each listener of one event ran, or did not.

mod display;
#[cfg(feature = "serde")]
mod serialized;

use std::{
    borrow::Cow,
    collections::HashSet,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    Bus, EventId, Outcome, Row, Topology,
    recorder::{Noted, Record, What},
};

impl Bus {
    /// Why each listener of an event ran, or did not.
    ///
    /// None if the bus has no [flight recorder](crate::BusBuilder::flight_recorder), never took an
    /// event of that id, or took so many since that the recorder has forgotten it.
    ///
    /// # Examples
    ///
    /// ```
    /// use vacancy_dispatch::{Bus, Event, FlightRecorder, listen_fn};
    ///
    /// struct Booked;
    /// impl Event for Booked {
    ///     const NAME: &'static str = "appointment.booked";
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::builder()
    ///     .flight_recorder(FlightRecorder::default())
    ///     .listen(listen_fn::<Booked, _, _>("mail", |_| async { Err("no such mailbox".into()) }))
    ///     .build()?;
    /// let receipt = bus.dispatch(Booked);
    /// receipt.settled().await;
    ///
    /// let explanation = bus.explain(receipt.id()).ok_or("forgotten")?;
    /// assert!(explanation.to_string().contains("no such mailbox"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What it prints looks like this:
    ///
    /// ```text
    /// appointment.booked 3467ed6beda6def4-17
    /// accepted 2026-11-21T16:54:42.744907Z, 1.52 s ago
    ///   slots.fence      +1.2 µs  done, took 830 ns
    ///   calendar.sync     +16 µs  attempt 1 failed after 52.1 ms: the calendar does not answer
    ///                    +1.61 s  attempt 2 follows in 90 ms
    ///   confirmation    +16.2 µs  dead (failed), took 20.3 ms: no such mailbox
    /// ```
    pub fn explain(&self, id: EventId) -> Option<Explanation> {
        let core = &self.handles.core;
        let record = core.recorder.as_ref()?.record(id)?;
        let mut explanation = Explanation::of(id, record, &core.topology);
        for lane in self.lanes() {
            if lane.paused && lane.event == explanation.event {
                explanation.pause(&lane.listener);
            }
        }
        Some(explanation)
    }

    /// The id of the event with this number on this bus, whether there is one or not.
    ///
    /// For people, who would rather copy the number than the whole id.
    pub fn event_id(&self, sequence: u64) -> EventId {
        EventId::new(self.handles.core.incarnation, sequence)
    }
}

/// Why each listener of one event ran, or did not; made by [`Bus::explain`].
///
/// Its `Display` is a table for people. With the feature `serde` it serializes, times in microseconds
/// as fields whose names end in `_us`. Moments are durations since the event was accepted, by a clock
/// that only goes forward.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the event.
    pub event: &'static str,
    /// The id of the event.
    pub id: EventId,
    /// The event whose listener dispatched this one, if a listener did.
    pub cause: Option<EventId>,
    /// The event that this one is a replay of, if it is one.
    pub replay_of: Option<EventId>,
    /// When `dispatch` took the event.
    pub accepted_at: SystemTime,
    /// How long ago that was.
    pub age: Duration,
    /// Every listener that the bus has for the event: inline listeners first, both in order of
    /// registration.
    pub listeners: Vec<Explained>,
    /// How many steps are not told because newer ones took their place.
    pub forgotten: usize,
}

/// Why one listener ran, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// The name of the listener.
    pub listener: Cow<'static, str>,
    /// Whether it is an inline listener.
    pub inline: bool,
    /// How often it was called and what came of it, the first call first.
    pub calls: Vec<Call>,
    /// How the event stands there.
    pub standing: Standing,
}

/// One call of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Duration,
    /// When it ended, if it has.
    pub ended: Option<Duration>,
    /// What it failed with, if it did: the first 1,000 characters.
    pub error: Option<String>,
}

/// How an event stands at one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It is queued, and the listener has not been called.
    Waiting,
    /// The listener comes after others that have not ended.
    After {
        /// The names of those.
        listeners: Vec<Cow<'static, str>>,
    },
    /// The listener is paused, and has not been called.
    Paused,
    /// The listener is being called.
    Running {
        /// Which attempt this is, from 1.
        attempt: u32,
        /// When the attempt began.
        since: Duration,
    },
    /// An attempt failed and another will follow.
    Retrying {
        /// Which attempt will follow.
        attempt: u32,
        /// When it is due.
        due: Duration,
        /// What the last attempt failed with: the first 1,000 characters.
        error: String,
    },
    /// It has its outcome.
    Ended {
        /// The outcome.
        outcome: Outcome,
        /// How often the listener was called.
        attempts: u32,
        /// The error or panic message of a dead letter, or what was exceeded, the first 1,000
        /// characters; otherwise empty.
        error: String,
        /// When it ended.
        at: Duration,
    },
    /// The bus was closed, and the lane never had it.
    Refused,
    /// The event is a replay for another listener.
    NotReplayed,
    /// The listener is disabled, by its policy or by configuration.
    Disabled,
}

impl Explanation {
    fn of(id: EventId, record: Record, topology: &Topology) -> Self {
        let rows = topology.rows().iter();
        let rows: Vec<&Row> = rows.filter(|row| row.event == record.event).collect();
        let listeners = rows.iter().filter_map(|row| Explained::of(row, &record));
        let listeners = listeners.collect();
        let mut explanation = Self {
            event: record.event,
            id,
            cause: record.cause,
            replay_of: record.replay_of,
            accepted_at: record.accepted_at,
            age: Instant::now().duration_since(record.begun),
            listeners,
            forgotten: record.forgotten,
        };
        if record.only.is_none() {
            explanation.order(&rows);
        }
        explanation
    }

    /// Says of what waits there which listeners it waits for. The rows are those of the event.
    fn order(&mut self, rows: &[&Row]) {
        let open = self.listeners.iter().filter(|one| !one.is_over());
        let open: HashSet<Cow<'static, str>> = open.map(|one| one.listener.clone()).collect();
        for (explained, row) in self.listeners.iter_mut().zip(rows) {
            let after = row.lane.as_ref().map_or(&[][..], |lane| &lane.after);
            let waits_for = after.iter().filter(|name| open.contains(*name));
            let listeners: Vec<_> = waits_for.cloned().collect();
            if explained.standing == Standing::Waiting && !listeners.is_empty() {
                explained.standing = Standing::After { listeners };
            }
        }
    }

    /// Says of what waits there that the listener is paused.
    fn pause(&mut self, listener: &str) {
        let mut listeners = self.listeners.iter_mut();
        let paused = listeners.find(|explained| explained.listener == listener);
        if let Some(explained) = paused.filter(|one| one.standing == Standing::Waiting) {
            explained.standing = Standing::Paused;
        }
    }

    /// What is told of one listener.
    pub fn listener(&self, listener: &str) -> Option<&Explained> {
        self.listeners
            .iter()
            .find(|explained| explained.listener == listener)
    }
}

impl Explained {
    /// None for a row that names no listener.
    fn of(row: &Row, record: &Record) -> Option<Self> {
        let listener = row.listener.as_ref()?;
        let mut explained = Self {
            inline: row.lane.is_none(),
            calls: Vec::new(),
            standing: match &record.only {
                _ if !row.enabled => Standing::Disabled,
                Some(only) if **only != **listener => Standing::NotReplayed,
                _ if record.refused => Standing::Refused,
                _ => Standing::Waiting,
            },
            listener: listener.clone(),
        };
        let steps = record.steps.iter();
        for noted in steps.filter(|noted| *noted.listener == **listener) {
            explained.add(noted, noted.at.duration_since(record.begun));
            // A listener that blocks its thread may go on after it was abandoned.
            if matches!(explained.standing, Standing::Ended { .. }) {
                break;
            }
        }
        Some(explained)
    }

    /// Whether those that come after it have nothing to wait for.
    fn is_over(&self) -> bool {
        matches!(
            self.standing,
            Standing::Ended { .. } | Standing::Refused | Standing::Disabled
        )
    }

    fn add(&mut self, noted: &Noted, at: Duration) {
        self.standing = match &noted.what {
            &What::Started { attempt } => {
                self.calls.push(Call {
                    attempt,
                    started: at,
                    ended: None,
                    error: None,
                });
                Standing::Running { attempt, since: at }
            }
            What::Retrying {
                attempt,
                error,
                pause,
            } => {
                self.end_call(at, error);
                Standing::Retrying {
                    attempt: attempt + 1,
                    due: at + *pause,
                    error: error.to_string(),
                }
            }
            What::Ended {
                outcome,
                attempts,
                error,
            } => {
                self.end_call(at, error);
                Standing::Ended {
                    outcome: *outcome,
                    attempts: *attempts,
                    error: error.to_string(),
                    at,
                }
            }
        };
    }

    /// Ends the last call, unless it has ended: a time-out may end an event in the pause between two.
    fn end_call(&mut self, at: Duration, error: &str) {
        if let Some(call) = self.calls.last_mut().filter(|call| call.ended.is_none()) {
            call.ended = Some(at);
            call.error = (!error.is_empty()).then(|| error.to_owned());
        }
    }
}
