//! How the two caches did.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::counter;
use serde::{Deserialize, Serialize};

/// Which of the two caches a reader asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    #[default]
    Vacancy,
    Ttl,
}

/// How the two caches did so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) vacancy: Tally,
    pub(crate) ttl: Tally,
}

/// How one cache did so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    reads: AtomicU64,
    hits: AtomicU64,
    loads: AtomicU64,
    stale: AtomicU64,
}

/// The counts of one moment, as they are sent to the page.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    stale: Pair,
    reads: Pair,
    hits: Pair,
    loads: Pair,
}

#[derive(Debug, Serialize)]
struct Pair {
    vacancy: u64,
    ttl: u64,
}

impl Tally {
    /// The calendar was asked.
    pub(crate) fn loaded(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// A reader was answered: without the calendar, or with it; with so many offers that were taken
    /// when he asked.
    pub(crate) fn answered(&self, by: Contender, hit: bool, stale: usize) {
        let (tally, label) = match by {
            Contender::Vacancy => (&self.vacancy, "vacancy"),
            Contender::Ttl => (&self.ttl, "ttl"),
        };
        tally.reads.fetch_add(1, Ordering::Relaxed);
        tally.hits.fetch_add(u64::from(hit), Ordering::Relaxed);
        tally.stale.fetch_add(stale as u64, Ordering::Relaxed);
        counter!("booking_app_reads_total", "cache" => label).increment(1);
        counter!("booking_app_stale_offers_total", "cache" => label).increment(stale as u64);
    }

    pub(crate) fn report(&self) -> Report {
        let pair = |count: fn(&Tally) -> &AtomicU64| Pair {
            vacancy: count(&self.vacancy).load(Ordering::Relaxed),
            ttl: count(&self.ttl).load(Ordering::Relaxed),
        };
        Report {
            stale: pair(|tally| &tally.stale),
            reads: pair(|tally| &tally.reads),
            hits: pair(|tally| &tally.hits),
            loads: pair(|tally| &tally.loads),
        }
    }
}
