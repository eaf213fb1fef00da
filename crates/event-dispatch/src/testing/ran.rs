//! [`Ran`]: what the listeners of a bus did, for assertions.

use std::{any::Any, fmt, sync::Arc};

use crate::{
    Envelope, Event, Topology,
    envelope::Parcel,
    testing::{Runs, recording::Run, test_bus::names},
};

/// What the listeners of a bus did; made by [`TestBus::settled`](crate::testing::TestBus::settled).
///
/// Its assertions panic with what did run. Its `Display` is a table of it: a line for each listener of
/// each event, in the order in which they ended.
pub struct Ran {
    runs: Vec<Run>,
    events: Vec<Arc<dyn Parcel>>,
    topology: Topology,
}

impl Ran {
    pub(crate) fn new(runs: Vec<Run>, events: Vec<Arc<dyn Parcel>>, topology: Topology) -> Self {
        Self {
            runs,
            events,
            topology,
        }
    }

    /// What one listener did, to make assertions of.
    ///
    /// # Panics
    ///
    /// If no listener has that name.
    #[must_use = "assertions follow: `.once()`, `.done()`"]
    #[track_caller]
    pub fn ran(&self, listener: &str) -> Runs<'_> {
        self.expect_listener(listener);
        Runs::of(self, listener)
    }

    /// Asserts that a listener was not called.
    ///
    /// # Panics
    ///
    /// If it was, or if no listener has that name.
    #[track_caller]
    pub fn not_run(&self, listener: &str) {
        self.ran(listener).never();
    }

    /// Asserts that all that ran, and all that ended without having run, was named by an assertion.
    ///
    /// # Panics
    ///
    /// If something was not.
    #[track_caller]
    pub fn nothing_else(&self) {
        let others: Vec<&Run> = self.runs.iter().filter(|run| !run.is_asserted()).collect();
        assert!(
            others.is_empty(),
            "there is more than was asserted:\n{}",
            Table(&others)
        );
    }

    /// The events of one type that the bus accepted, in the order of their dispatch, whether anybody
    /// listens or not; replays are not among them.
    #[must_use]
    pub fn dispatched<E: Event>(&self) -> Vec<Arc<Envelope<E>>> {
        let events = self.events.iter();
        events
            .filter(|event| !event.header().is_replay())
            .filter_map(|event| {
                let event: Arc<dyn Any + Send + Sync> = Arc::<dyn Parcel>::clone(event);
                event.downcast().ok()
            })
            .collect()
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    #[track_caller]
    pub(crate) fn expect_listener(&self, listener: &str) {
        assert!(
            listeners_of(&self.topology, None).any(|name| name == listener),
            "no listener is named {listener}; there are: {}",
            names(&self.topology)
        );
    }

    pub(crate) fn listens(&self, listener: &str, event: &str) -> bool {
        listeners_of(&self.topology, Some(event)).any(|name| name == listener)
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs.is_empty() {
            return writeln!(f, "  nothing");
        }
        let runs: Vec<&Run> = self.runs.iter().collect();
        Table(&runs).fmt(f)
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

/// The names of the listeners of one event, or of all.
pub(crate) fn listeners_of<'a>(
    topology: &'a Topology,
    event: Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    let rows = topology.rows().iter();
    let rows = rows.filter(move |row| event.is_none_or(|event| row.event == event));
    rows.filter_map(|row| row.listener.as_deref())
}

/// Runs as lines: the event, the listener, how it went.
struct Table<'a>(&'a [&'a Run]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<String> = self.0.iter().map(|run| run.of()).collect();
        let widths = events.iter().map(|event| event.chars().count());
        let event_width = widths.max().unwrap_or(0);
        let widths = self.0.iter().map(|run| run.listener.chars().count());
        let listener_width = widths.max().unwrap_or(0);
        for (run, event) in self.0.iter().zip(events) {
            let listener = &run.listener;
            writeln!(
                f,
                "  {event:event_width$}  {listener:listener_width$}  {run}"
            )?;
        }
        Ok(())
    }
}
