//! [`Seen`]: what one listener has counted itself, and what the observer was told of it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;
use vacancy_dispatch::{BoxError, Entry, Observer, Outcome, Skip, Stage, Step};

/// A minute, in nanoseconds: longer than anything takes that has a time-out.
const LONGEST: u64 = 60_000_000_000;

/// What one listener has counted itself, and what the observer was told of it.
pub(crate) struct Seen {
    pub(crate) event: &'static str,
    pub(crate) listener: &'static str,
    finished: AtomicU64,
    skipped: AtomicU64,
    /// By outcome, in the order of [`counts`].
    told: [AtomicU64; 6],
    latency: Mutex<Histogram<u64>>,
}

impl Seen {
    pub(crate) fn new(event: &'static str, listener: &'static str) -> Self {
        Self {
            event,
            listener,
            finished: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            told: Default::default(),
            latency: Mutex::new(
                Histogram::new_with_max(LONGEST, 3).expect("a minute has three digits"),
            ),
        }
    }

    /// Counts what a call came to.
    pub(crate) fn count(&self, result: &Result<(), BoxError>) {
        match result {
            Ok(()) => self.finish(1),
            Err(error) if error.is::<Skip>() => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
        }
    }

    pub(crate) fn finish(&self, events: u64) {
        self.finished.fetch_add(events, Ordering::Relaxed);
    }

    /// Notes how long an event took from `dispatch` to the end of this listener.
    pub(crate) fn took(&self, dispatched: Instant) {
        let nanos = dispatched.elapsed().as_nanos() as u64;
        self.latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .saturating_record(nanos);
    }

    /// The latencies since the last time, which are forgotten.
    pub(crate) fn take_latency(&self) -> Latency {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Latency(latency.clone());
        latency.reset();
        taken
    }

    /// In what the ledger differs from the listener's own count, and from what the observer was told.
    pub(crate) fn differences(&self, entry: &Entry) -> Vec<String> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let own = [
            ("done", entry.done, load(&self.finished)),
            ("skipped", entry.skipped, load(&self.skipped)),
        ];
        let own = own
            .into_iter()
            .filter(|(_, ledger, own)| ledger != own)
            .map(|(what, ledger, own)| format!("ledger {ledger} {what}, the listener {own}"));
        let told = counts(entry).into_iter().zip(&self.told);
        let told = told
            .map(|((what, ledger), told)| (what, ledger, load(told)))
            .filter(|(_, ledger, told)| ledger != told)
            .map(|(what, ledger, told)| format!("ledger {ledger} {what}, the observer {told}"));
        own.chain(told).collect()
    }
}

/// The entry's outcomes by name.
pub(crate) fn counts(entry: &Entry) -> [(&'static str, u64); 6] {
    [
        ("done", entry.done),
        ("dead", entry.dead),
        ("dropped", entry.dropped),
        ("skipped", entry.skipped),
        ("coalesced", entry.coalesced),
        ("abandoned", entry.abandoned),
    ]
}

/// The observer: notes each end where it happened.
pub(crate) struct Witness(pub(crate) Arc<[Arc<Seen>]>);

impl Observer for Witness {
    fn observe(&self, step: &Step<'_>) {
        let (Stage::Ended { outcome, .. }, Some(listener)) = (&step.stage, step.listener) else {
            return;
        };
        let place = match outcome {
            Outcome::Done => 0,
            Outcome::Dead(_) => 1,
            Outcome::Dropped => 2,
            Outcome::Skipped => 3,
            Outcome::Coalesced => 4,
            _ => 5,
        };
        let mut seen = self.0.iter();
        if let Some(seen) = seen.find(|seen| seen.listener == listener && seen.event == step.event)
        {
            seen.told[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How long events took.
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(quantile))
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both end at a minute");
    }

    /// The usual three quantiles.
    pub(crate) fn text(&self) -> String {
        format!(
            "p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}",
            self.at(0.5),
            self.at(0.99),
            self.at(0.999)
        )
    }
}
