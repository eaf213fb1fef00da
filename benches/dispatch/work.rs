//! [`Work`]: what a listener does, and the count of what all of them did.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

use crate::dispatch::Booked;

/// What one listener does with an event: it reads it and raises a counter.
///
/// The counter is its own and shares no cache line, so that listeners which run side by side do not meet there.
#[derive(Debug, Clone)]
pub struct Work {
    counters: Arc<[Counter]>,
    listener: usize,
    starts: Arc<Starts>,
}

/// As large as what two cores fight over, the neighbour that is fetched ahead included.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Work {
    /// Does it.
    pub fn run(&self, event: &Booked) {
        if event.is_probe() {
            self.starts.note();
        }
        black_box(event.read());
        self.counters[self.listener]
            .0
            .fetch_add(1, Ordering::Release);
    }
}

/// What all listeners of one contender have done.
#[derive(Debug)]
pub(crate) struct Handled {
    counters: Arc<[Counter]>,
    starts: Arc<Starts>,
}

impl Handled {
    pub(crate) fn new(listeners: usize) -> Self {
        Self {
            counters: (0..listeners).map(|_| Counter::default()).collect(),
            starts: Arc::new(Starts::new()),
        }
    }

    pub(crate) fn works(&self) -> Vec<Work> {
        (0..self.listeners())
            .map(|listener| Work {
                counters: Arc::clone(&self.counters),
                listener,
                starts: Arc::clone(&self.starts),
            })
            .collect()
    }

    pub(crate) fn listeners(&self) -> usize {
        self.counters.len()
    }

    pub(crate) fn starts(&self) -> &Starts {
        &self.starts
    }

    /// How many events the listener that is furthest behind has handled; `None` without listeners.
    pub(crate) fn slowest(&self) -> Option<u64> {
        self.counts().min()
    }

    /// How many events the listener that is furthest ahead has handled; `None` without listeners.
    pub(crate) fn fastest(&self) -> Option<u64> {
        self.counts().max()
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.counters
            .iter()
            .map(|counter| counter.0.load(Ordering::Acquire))
    }
}

/// When the last listener of a probe started.
#[derive(Debug)]
pub(crate) struct Starts {
    origin: Instant,
    due: AtomicUsize,
    last: AtomicU64,
    all: Notify,
}

impl Starts {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            due: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            all: Notify::new(),
        }
    }

    /// Makes ready for one probe. There is one at a time.
    pub(crate) fn expect(&self, listeners: usize) {
        self.due.store(listeners, Ordering::Release);
    }

    /// Nanoseconds on the clock of the probes.
    pub(crate) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Only the last one reads the clock: the others would delay those behind them.
    fn note(&self) {
        if self.due.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.last.store(self.now(), Ordering::Release);
            self.all.notify_one();
        }
    }

    /// Waits until all listeners of the probe have started, and tells when the last one did.
    pub(crate) async fn last(&self) -> u64 {
        self.all.notified().await;
        self.last.load(Ordering::Acquire)
    }
}
