//! [`Field`]: one contender with its listeners, its runtime, and the window that its publishers keep to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::dispatch::{Dispatcher, work::Handled};

/// How many events may be on their way at once: fewer than the smallest queue of any contender holds.
const WINDOW: u64 = 512;

/// How long nothing may be handled before events count as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// One contender, ready to be measured.
pub(crate) struct Field<D> {
    // The dispatcher first: its tasks end before their runtime does.
    pub(crate) dispatcher: D,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) runtime: Runtime,
}

impl<D: Dispatcher> Field<D> {
    pub(crate) fn new(listeners: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made here");
        let handled = Handled::new(listeners);
        let dispatcher = runtime.block_on(D::start(handled.works()));
        Self {
            dispatcher,
            traffic: Arc::new(Traffic {
                name: D::NAME,
                published: AtomicU64::new(0),
                handled,
            }),
            runtime,
        }
    }
}

/// What was published and what of it was handled.
pub(crate) struct Traffic {
    name: &'static str,
    published: AtomicU64,
    pub(crate) handled: Handled,
}

impl Traffic {
    /// Counts `events` as published, once the window has room for them.
    ///
    /// Call it before publishing, for as many events at once that its own cost does not show.
    pub(crate) async fn admit(&self, events: u64) {
        let published = self.published.fetch_add(events, Ordering::Relaxed) + events;
        self.reach(published.saturating_sub(WINDOW)).await;
    }

    /// Waits until all listeners have handled all that was published.
    ///
    /// # Panics
    ///
    /// When events were lost or handled twice: then a figure would not say what it seems to.
    pub(crate) async fn drained(&self) {
        let published = self.published.load(Ordering::Relaxed);
        self.reach(published).await;
        if let Some(fastest) = self.handled.fastest() {
            assert_eq!(fastest, published, "{} handled events twice", self.name);
        }
    }

    /// Waits until all listeners have handled so many events, and lets other tasks run meanwhile.
    async fn reach(&self, due: u64) {
        let mut seen = 0;
        let mut since = None;
        while let Some(slowest) = self.handled.slowest().filter(|slowest| *slowest < due) {
            yield_now().await;
            if slowest > seen {
                (seen, since) = (slowest, None);
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            assert!(
                waited < PATIENCE,
                "{} lost {} events",
                self.name,
                due - slowest
            );
        }
    }
}
