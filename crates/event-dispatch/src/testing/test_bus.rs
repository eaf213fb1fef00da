//! [`TestBus`]: a bus that a test has built and can wait for.

use std::{fmt, ops::Deref, panic::Location, sync::Arc, time::Duration};

use crate::{
    Bus, BusBuilder, Topology,
    envelope::Parcel,
    testing::{Fake, Ran, ran::listeners_of, recording::Recording},
};

/// A bus under test: it keeps what it was given, and what its listeners did.
///
/// Dereferences to the [`Bus`], so `bus.dispatch(..)` works, and `bus.clone()` gives a handle for the
/// code under test. Nothing is global: each test has a bus of its own.
pub struct TestBus {
    bus: Bus,
    recording: Recording,
    patience: Duration,
}

/// A [`TestBus`] that is not built yet; made by [`TestBus::of`].
#[must_use = "a bus is made by `build`"]
pub struct TestBusBuilder {
    builder: BusBuilder,
    patience: Duration,
}

impl TestBus {
    /// Begins a bus with these listeners, the application's own.
    pub fn of(listeners: BusBuilder) -> TestBusBuilder {
        TestBusBuilder {
            builder: listeners,
            patience: Duration::from_secs(600),
        }
    }

    /// Waits until every event has an outcome at every listener, events that listeners dispatched
    /// meanwhile included, and gives what has happened since the bus was built or this was last called.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what has happened is left to the next call.
    ///
    /// # Panics
    ///
    /// If something is still pending after 10 min of tokio's time, or what
    /// [`settles_within`](TestBusBuilder::settles_within) says, with a list of it.
    #[track_caller]
    pub fn settled(&self) -> impl Future<Output = Ran> + Send + '_ {
        let asked = Location::caller();
        async move {
            match tokio::time::timeout(self.patience, self.quiet()).await {
                Ok(events) => self.take(events),
                Err(_) => panic!(
                    "the bus has not settled within {:?}, at {asked}; what still waits:\n{}",
                    self.patience,
                    self.pending()
                ),
            }
        }
    }

    /// Waits until nothing is pending, and says how many events that are.
    async fn quiet(&self) -> usize {
        let mut settled = 0;
        loop {
            // A listener dispatches before it is done, so what it dispatched is kept by then.
            let events = self.bus.handles.core.kept.from(settled);
            if events.is_empty() {
                return settled;
            }
            for event in &events {
                event.marks().all_settled().await;
            }
            settled += events.len();
        }
    }

    fn take(&self, events: usize) -> Ran {
        let mut events = self.bus.handles.core.kept.take(events);
        events.sort_by_key(|event| event.header().id);
        let ids = events.iter().map(|event| event.header().id);
        let runs = self.recording.take(ids);
        Ran::new(runs, events, self.topology())
    }

    fn pending(&self) -> String {
        let events: Vec<Arc<dyn Parcel>> = self.bus.handles.core.kept.from(0);
        let topology = self.topology();
        let mut text = String::new();
        for event in events {
            let header = event.header();
            let rows = topology.rows().iter();
            let rows = rows.filter(|row| row.event == header.name && row.enabled);
            let listeners = rows.filter_map(|row| row.listener.as_deref());
            for (listener, how) in self.recording.pending(header.id, listeners) {
                let sequence = header.id.sequence();
                text += &format!("  {}#{sequence} at {listener}: {how}\n", header.name);
            }
        }
        text
    }
}

impl Deref for TestBus {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        &self.bus
    }
}

impl fmt::Debug for TestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBus")
            .field("bus", &self.bus)
            .finish_non_exhaustive()
    }
}

impl TestBusBuilder {
    /// Lets a fake stand in for the listener of this name, at every event that it listens to.
    ///
    /// # Panics
    ///
    /// If there is no listener of that name, with the names that there are; or if it is an inline one
    /// and the fake is neither [`Fake::done`] nor [`Fake::panics`].
    #[track_caller]
    pub fn fake(mut self, listener: &str, fake: Fake) -> Self {
        let topology = self.builder.topology();
        assert!(
            listeners_of(&topology, None).any(|name| name == listener),
            "no listener is named {listener}; there are: {}",
            names(&topology)
        );
        let mut rows = topology.rows().iter();
        let inline = rows.find(|row| {
            row.lane.is_none() && row.listener.as_deref().is_some_and(|name| name == listener)
        });
        if let Some(row) = inline {
            assert!(
                fake.suits_inline(),
                "{listener} listens to {} inline: its fake can be done or panic, and nothing else",
                row.event
            );
        }
        self.builder.replace(listener, &fake);
        self
    }

    /// Sets how long [`TestBus::settled`] waits, in tokio's time. Default: 10 min, so that the pauses
    /// of any sensible policy pass.
    pub fn settles_within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Builds the bus and starts its tasks on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// If the listeners do not fit together, as [`BusBuilder::build`] says.
    #[must_use]
    #[track_caller]
    pub fn build(self) -> TestBus {
        let recording = Recording::default();
        let bus = match self.builder.observe(recording.clone()).build() {
            Ok(bus) => bus,
            Err(error) => panic!("the bus cannot be built: {error}"),
        };
        bus.handles.core.kept.want();
        TestBus {
            bus,
            recording,
            patience: self.patience,
        }
    }
}

impl fmt::Debug for TestBusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBusBuilder")
            .field("listeners", &names(&self.builder.topology()))
            .finish_non_exhaustive()
    }
}

/// The names of all listeners, each once.
pub(crate) fn names(topology: &Topology) -> String {
    let mut names: Vec<&str> = listeners_of(topology, None).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
