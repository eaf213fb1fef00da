//! [`Ledger`]: what became of every event at every listener.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Outcome, Reason};

/// What became of every event at every listener, at one moment.
///
/// Once nothing is waiting, `accepted` equals the sum of the outcomes for every entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// One entry for every listener of every event.
    pub entries: Vec<Entry>,
    /// How many events were dispatched after the bus was closed.
    pub refused: u64,
    /// How many events were dispatched that nobody is registered for.
    pub unheard: u64,
    /// How many dead letters [`Failed`](crate::Failed) did not tell of, since whoever listens to it was too far behind.
    pub untold: u64,
    /// How many dead letters were evicted to make room for newer ones.
    pub dead_letters_evicted: u64,
}

/// What became of the events of one type at one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name of the event.
    pub event: &'static str,
    /// The name of the listener.
    pub listener: Cow<'static, str>,
    /// Events that the listener was to handle, replays included.
    pub accepted: u64,
    /// Dead letters that were replayed to it.
    pub replayed: u64,
    /// Events counted as [`Outcome::Done`].
    pub done: u64,
    /// Events counted as [`Outcome::Dead`].
    pub dead: u64,
    /// Events counted as [`Outcome::Dropped`].
    pub dropped: u64,
    /// Events counted as [`Outcome::Skipped`].
    pub skipped: u64,
    /// Events counted as [`Outcome::Coalesced`].
    pub coalesced: u64,
    /// Events counted as [`Outcome::Abandoned`].
    pub abandoned: u64,
    /// The dead among them, in the order of [`REASONS`].
    dead_by_reason: [u64; REASONS.len()],
}

impl Entry {
    /// Every reason with the number of events that are [`dead`](Self::dead) because of it.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        std::iter::zip(REASONS, self.dead_by_reason)
    }

    /// Events that have an outcome.
    pub fn settled(&self) -> u64 {
        self.done + self.dead + self.dropped + self.skipped + self.coalesced + self.abandoned
    }

    /// Events that have no outcome yet.
    pub fn waiting(&self) -> u64 {
        self.accepted.saturating_sub(self.settled())
    }
}

impl Ledger {
    /// The entry of one listener of one event.
    pub fn entry(&self, event: &str, listener: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.event == event && entry.listener == listener)
    }

    /// Whether every accepted event has exactly one outcome at every listener.
    ///
    /// False while events are waiting. Once nothing is dispatched and nothing waits, it is true.
    pub fn balanced(&self) -> bool {
        self.entries
            .iter()
            .all(|entry| entry.accepted == entry.settled())
    }

    /// The sums over all entries, as an entry without names.
    pub fn totals(&self) -> Entry {
        let mut totals = Entry::new("", Cow::Borrowed(""));
        for entry in &self.entries {
            totals.accepted += entry.accepted;
            totals.replayed += entry.replayed;
            totals.done += entry.done;
            totals.dead += entry.dead;
            totals.dropped += entry.dropped;
            totals.skipped += entry.skipped;
            totals.coalesced += entry.coalesced;
            totals.abandoned += entry.abandoned;
            for (total, dead) in std::iter::zip(&mut totals.dead_by_reason, entry.dead_by_reason) {
                *total += dead;
            }
        }
        totals
    }
}

impl Entry {
    pub(crate) fn new(event: &'static str, listener: Cow<'static, str>) -> Self {
        Self {
            event,
            listener,
            accepted: 0,
            replayed: 0,
            done: 0,
            dead: 0,
            dropped: 0,
            skipped: 0,
            coalesced: 0,
            abandoned: 0,
            dead_by_reason: [0; REASONS.len()],
        }
    }

    /// Says how many are dead, and of what.
    pub(crate) fn bury(&mut self, deaths: [u64; REASONS.len()]) {
        self.dead = deaths.iter().sum();
        self.dead_by_reason = deaths;
    }
}

/// All reasons, each at its [`place`].
const REASONS: [Reason; 5] = [
    Reason::Failed,
    Reason::Panicked,
    Reason::TimedOut,
    Reason::Overflowed,
    Reason::CausationTooDeep,
];

fn place(reason: Reason) -> usize {
    match reason {
        Reason::Failed => 0,
        Reason::Panicked => 1,
        Reason::TimedOut => 2,
        Reason::Overflowed => 3,
        Reason::CausationTooDeep => 4,
    }
}

/// Counts dead letters by reason. How many there are in all is the sum, so the two cannot disagree.
#[derive(Default)]
pub(crate) struct Deaths([AtomicU64; REASONS.len()]);

impl Deaths {
    pub(crate) fn count(&self, reason: Reason) {
        self.0[place(reason)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> [u64; REASONS.len()] {
        self.0.each_ref().map(|dead| dead.load(Ordering::Relaxed))
    }
}

/// The counters of one lane. Each is raised by whoever settles the mark of an event.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) replayed: AtomicU64,
    done: AtomicU64,
    dead: Deaths,
    dropped: AtomicU64,
    skipped: AtomicU64,
    coalesced: AtomicU64,
    abandoned: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Done => &self.done,
            Outcome::Dead(reason) => return self.dead.count(reason),
            Outcome::Dropped => &self.dropped,
            Outcome::Skipped => &self.skipped,
            Outcome::Coalesced => &self.coalesced,
            Outcome::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Counts some that are done, where one worker at a time counts such.
    pub(crate) fn count_done(&self, events: u64) {
        self.done.store(self.done() + events, Ordering::Relaxed);
    }

    /// Takes back what was counted before somebody else had settled the event.
    pub(crate) fn discount_done(&self) {
        self.done.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn fill(&self, entry: &mut Entry) {
        entry.done = self.done.load(Ordering::Relaxed);
        entry.bury(self.dead.load());
        entry.dropped = self.dropped.load(Ordering::Relaxed);
        entry.skipped = self.skipped.load(Ordering::Relaxed);
        entry.coalesced = self.coalesced.load(Ordering::Relaxed);
        entry.abandoned = self.abandoned.load(Ordering::Relaxed);
        // Last, so that nothing has more outcomes than acceptances.
        entry.replayed = self.replayed.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_at_its_own_place() {
        for (index, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(place(reason), index);
        }
    }

    /// Counts that no other sum of some of them gives.
    fn entry(listener: &'static str, times: u64) -> Entry {
        let mut entry = Entry::new("ping", Cow::Borrowed(listener));
        entry.accepted = times * 1_000_000;
        entry.replayed = times * 3;
        entry.done = times * 10;
        entry.dropped = times * 100;
        entry.skipped = times * 1_000;
        entry.coalesced = times * 10_000;
        entry.abandoned = times * 100_000;
        entry.bury([times, 0, times, 0, 2 * times]);
        entry
    }

    #[test]
    fn totals_are_the_sums_over_all_entries() {
        let ledger = Ledger {
            entries: vec![entry("mail", 1), entry("sync", 2), entry("mail", 3)],
            refused: 0,
            unheard: 0,
            untold: 0,
            dead_letters_evicted: 0,
        };
        let sums = Entry {
            event: "",
            ..entry("", 6)
        };
        assert_eq!(ledger.totals(), sums);
        assert_eq!(ledger.entry("ping", "sync"), Some(&ledger.entries[1]));
        assert_eq!(ledger.entry("pong", "sync"), None);
        assert_eq!(ledger.entry("ping", "fence"), None);
    }

    #[test]
    fn what_has_no_outcome_waits_and_a_ledger_without_any_is_balanced() {
        let mut entry = entry("mail", 1);
        assert_eq!(entry.settled(), 111_114);
        assert_eq!(entry.waiting(), 888_886);
        let balanced = |entry: &Entry| {
            let ledger = Ledger {
                entries: vec![entry.clone()],
                refused: 0,
                unheard: 0,
                untold: 0,
                dead_letters_evicted: 0,
            };
            ledger.balanced()
        };
        assert!(!balanced(&entry));
        entry.accepted = entry.settled();
        assert!(balanced(&entry));
        assert_eq!(entry.waiting(), 0);
    }
}
