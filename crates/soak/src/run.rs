//! [`Run`]: one bus under load, from its first event to its last task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    runtime::Handle,
    sync::RwLock,
    task::JoinSet,
    time::{Instant, sleep},
};
use vacancy_dispatch::{Entry, Ledger};

use crate::{
    listeners::{Beside, Cast, Faults},
    seen::Seen,
    tally::Tally,
    traffic::{PUBLISHERS, Traffic},
};

/// How long a bus may take to come to rest once nothing is dispatched.
const REST: Duration = Duration::from_secs(60);

/// How long between two looks at a bus that comes to rest.
const LOOK: Duration = Duration::from_millis(5);

/// One bus under load.
pub(crate) struct Run {
    traffic: Arc<Traffic>,
    seen: Arc<[Arc<Seen>]>,
    actors: JoinSet<anyhow::Result<()>>,
    tasks_before: usize,
}

/// What the end of a run has shown.
pub(crate) struct Ending {
    pub(crate) ledger: Ledger,
    /// In what the ledger is not exact.
    pub(crate) differences: Vec<String>,
    /// How many tasks there are more than before the bus.
    pub(crate) tasks_left: usize,
}

impl Run {
    /// Builds a bus and begins to dispatch on it.
    pub(crate) fn begin(beside: Beside, per_second: u64, dice: &mut Rng) -> anyhow::Result<Self> {
        let tasks_before = tasks();
        let tally = Arc::new(Tally::default());
        let (bus, seen) = Cast::build(beside, &tally)?;
        let traffic = Arc::new(Traffic {
            bus,
            tally,
            per_second,
            gate: RwLock::new(()),
            stopped: AtomicBool::new(false),
        });
        let mut actors = JoinSet::new();
        for _ in 0..PUBLISHERS {
            let publisher = Arc::clone(&traffic).publish(dice.fork());
            actors.spawn(async move {
                publisher.await;
                Ok(())
            });
        }
        // An operator would trouble the lanes of the quiet run.
        if !matches!(beside, Beside::Faults(Faults::Inert)) {
            actors.spawn(Arc::clone(&traffic).operate(dice.fork()));
        }
        Ok(Self {
            traffic,
            seen,
            actors,
            tasks_before,
        })
    }

    /// Dispatches more than any lane has room for, as fast as it can.
    pub(crate) async fn flood(&self, dice: &mut Rng) {
        self.traffic.flood(dice).await;
    }

    /// How many events were dispatched from outside.
    pub(crate) fn booked(&self) -> u64 {
        self.traffic.tally.booked.load(Ordering::Relaxed)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.traffic.bus.ledger()
    }

    /// The counts of one listener of [`Booked`](crate::events::Booked).
    pub(crate) fn seen(&self, listener: &str) -> Option<&Seen> {
        let mut seen = self.seen.iter();
        seen.find(|seen| seen.listener == listener)
            .map(|seen| &**seen)
    }

    /// Has the bus rest until the ledger is exact, or has had the time for it; returns in what it is
    /// not, and how long it took.
    pub(crate) async fn rest(&self) -> (Vec<String>, Duration) {
        let _closed = self.traffic.gate.write().await;
        let begun = Instant::now();
        loop {
            let differences = self.differences();
            if differences.is_empty() || begun.elapsed() > REST {
                return (differences, begun.elapsed());
            }
            sleep(LOOK).await;
        }
    }

    fn differences(&self) -> Vec<String> {
        self.traffic
            .tally
            .differences(&self.traffic.bus, &self.seen)
    }

    /// Stops dispatching, has the bus rest, shuts it down, and looks whether anything is left.
    pub(crate) async fn end(mut self) -> anyhow::Result<Ending> {
        self.traffic.stopped.store(true, Ordering::Relaxed);
        while let Some(actor) = self.actors.join_next().await {
            actor??;
        }
        let (mut differences, _) = self.rest().await;
        let report = self.traffic.bus.shutdown(REST).await;
        if !report.is_drained() {
            let abandoned = report.abandoned.len();
            differences.push(format!("{abandoned} abandoned, with nothing dispatched"));
        }
        differences.extend(self.differences());
        differences.dedup();
        let ledger = self.ledger();
        let tasks_before = self.tasks_before;
        drop(self);
        let begun = Instant::now();
        while tasks() > tasks_before && begun.elapsed() < REST {
            sleep(LOOK).await;
        }
        Ok(Ending {
            ledger,
            differences,
            tasks_left: tasks().saturating_sub(tasks_before),
        })
    }
}

/// How many tasks the runtime has.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Whether an entry is a sibling's.
pub(crate) fn is_sibling(entry: &Entry) -> bool {
    crate::listeners::SIBLINGS.contains(&&*entry.listener)
}
