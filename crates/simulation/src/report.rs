//! What many runs have shown.

use std::{collections::BTreeMap, fmt};

use crate::{fault::Fault, simulation::Outcome, tally::Tally, violation::Promise};

/// What many runs have shown.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many there were.
    pub runs: u64,
    faults: [u64; Fault::KINDS.len()],
    tally: Tally,
    counts: BTreeMap<&'static str, u64>,
    broken: BTreeMap<Promise, u64>,
    /// The seeds with a stale read.
    pub stale: Vec<u64>,
    /// The seeds that ended in a panic.
    pub panicked: Vec<u64>,
}

impl Report {
    /// Adds the run of this seed.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        for planned in &outcome.plan {
            self.faults[planned.fault.kind()] += 1;
        }
        self.tally += outcome.tally;
        for (name, count) in &outcome.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for violation in &outcome.violations {
            *self.broken.entry(violation.promise).or_default() += 1;
        }
        if !outcome.violations.is_empty() {
            self.stale.push(seed);
        }
    }

    /// Adds what others have shown.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        let faults = self.faults.iter_mut().zip(other.faults);
        faults.for_each(|(sum, more)| *sum += more);
        self.tally += other.tally;
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (promise, count) in other.broken {
            *self.broken.entry(promise).or_default() += count;
        }
        self.stale.extend(other.stale);
        self.stale.sort_unstable();
        self.panicked.extend(other.panicked);
        self.panicked.sort_unstable();
    }

    /// Whether the runs have shown that the promises are kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.stale.is_empty() && self.panicked.is_empty() && self.missing().is_empty()
    }

    /// What had to happen and did not: without it, finding nothing means nothing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let faults = Fault::KINDS.iter().zip(self.faults);
        let tally = [
            ("reads bound by a promise", self.tally.guarded),
            ("commits under a hold", self.tally.held),
            ("confirmations", self.tally.confirmed),
            ("writers that died", self.tally.died),
        ];
        let counts = self.counts.iter().map(|(name, count)| (*name, *count));
        faults
            .map(|(name, count)| (*name, count))
            .chain(tally)
            .chain(counts)
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name)
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            reads,
            unread,
            guarded,
            commits,
            held,
            confirmed,
            died,
        } = self.tally;
        let mut row = |name: &str, count: u64| writeln!(f, "{name:28}{count:>14}");
        row("simulations", self.runs)?;
        row("reads checked", reads)?;
        row("  bound by a promise", guarded)?;
        row("reads without an answer", unread)?;
        row("commits", commits)?;
        row("  under a hold", held)?;
        row("  whose writer died", died)?;
        row("confirmations", confirmed)?;
        row("faults", self.faults.iter().sum())?;
        for (kind, count) in Fault::KINDS.iter().zip(self.faults) {
            row(&format!("  {kind}"), count)?;
        }
        for (name, count) in &self.counts {
            row(name, *count)?;
        }
        row("stale reads", self.broken.values().sum())?;
        for (promise, count) in &self.broken {
            row(&format!("  {promise:?}"), *count)?;
        }
        row("simulations with one", self.stale.len() as u64)?;
        row("simulations that panicked", self.panicked.len() as u64)?;
        let missing = self.missing();
        if !missing.is_empty() {
            writeln!(f, "never happened: {}", missing.join(", "))?;
        }
        if self.stale.is_empty() && self.runs > 0 {
            // The rule of three: with 95 % confidence it is less than this.
            let bound = 3.0 / self.runs as f64;
            writeln!(
                f,
                "fewer than {bound:.1e} of such simulations have one (95 %)"
            )?;
        }
        Ok(())
    }
}
