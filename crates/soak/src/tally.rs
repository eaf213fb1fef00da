//! [`Tally`]: the program's own counts, held against the bus's ledger.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use vacancy_dispatch::{Bus, Entry, Event, Failed};

use crate::{
    events::{Booked, Invoiced},
    seen::Seen,
};

/// The program's own counts of one bus.
#[derive(Default)]
pub(crate) struct Tally {
    /// How many [`Booked`] were dispatched.
    pub(crate) booked: AtomicU64,
    /// How many [`Invoiced`] were dispatched.
    pub(crate) invoiced: AtomicU64,
    /// How many dead letters were replayed.
    pub(crate) replayed: AtomicU64,
}

impl Tally {
    /// In what the ledger differs from this, from the listeners and from the observer; empty if it is
    /// exact. For a moment at which nothing is dispatched.
    pub(crate) fn differences(&self, bus: &Bus, seen: &[Arc<Seen>]) -> Vec<String> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let ledger = bus.ledger();
        let dead = |entry: &Entry| (entry.event == Booked::NAME).then_some(entry.dead);
        let died: u64 = ledger.entries.iter().filter_map(dead).sum();
        let mut differences = Vec::new();
        for entry in &ledger.entries {
            let mut differs = |what: String| {
                differences.push(format!("{} at {}: {what}", entry.event, entry.listener));
            };
            let (accepted, settled) = (entry.accepted, entry.settled());
            if accepted != settled {
                differs(format!("{accepted} accepted, {settled} settled"));
            }
            let dispatched = match entry.event {
                Booked::NAME => load(&self.booked),
                Invoiced::NAME => load(&self.invoiced),
                Failed::<Booked>::NAME => died - ledger.untold,
                _ => 0,
            };
            if accepted - entry.replayed != dispatched {
                let once = accepted - entry.replayed;
                differs(format!("{once} accepted, {dispatched} dispatched"));
            }
            let mut seen = seen.iter();
            match seen.find(|seen| (seen.event, seen.listener) == (entry.event, &*entry.listener)) {
                Some(seen) => seen.differences(entry).into_iter().for_each(differs),
                None => differs("nobody counts".to_owned()),
            }
        }
        let replayed = (ledger.totals().replayed, load(&self.replayed));
        if replayed.0 != replayed.1 {
            let (ledger, own) = replayed;
            differences.push(format!("ledger {ledger} replayed, the operator {own}"));
        }
        let astray = ledger.refused + ledger.unheard;
        if astray != 0 {
            differences.push(format!("{astray} refused or unheard"));
        }
        differences
    }
}
