//! How a run is made.

use std::time::Duration;

use crate::history::Key;

/// What holds for every cell of the table.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) nodes: u8,
    /// Readers and writers of each node.
    pub(crate) readers: u32,
    pub(crate) writers: u32,
    pub(crate) keys: Key,
    /// How many reads a cell has to have.
    pub(crate) reads: u64,
    /// How many faults.
    pub(crate) injections: usize,
    /// What the nodes together aim at.
    pub(crate) reads_per_second: u32,
    pub(crate) lease: Duration,
    pub(crate) seed: u64,
}

impl Settings {
    /// How long a hold lasts that nobody releases.
    pub(crate) fn hold(&self) -> Duration {
        hold(self.lease)
    }

    /// How long the reads and faults of a cell take, if nothing delays them.
    pub(crate) fn duration(&self) -> Duration {
        let reading = Duration::from_secs_f64(self.reads as f64 / f64::from(self.reads_per_second));
        reading.max(troubled(self.lease, self.injections))
    }

    /// After that long without writes and faults, nothing that once was trusted is still trusted
    /// because of it.
    pub(crate) fn quiescence(&self) -> Duration {
        self.lease.max(self.hold()) * 5 / 4
    }
}

/// How long so many faults take, with the calm before each.
pub(crate) fn troubled(lease: Duration, injections: usize) -> Duration {
    lease.mul_f64(2.0 * injections as f64)
}

/// Longer than a commit takes, also while Redis is away.
pub(crate) fn hold(lease: Duration) -> Duration {
    lease * 4
}
