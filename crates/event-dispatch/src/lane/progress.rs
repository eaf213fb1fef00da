//! [`Progress`]: how far a worker is in its run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How far the worker is in its run, and whether it may go on; for lanes of runs.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) begun: AtomicUsize,
    pub(super) ended: AtomicUsize,
    pub(super) paused: AtomicBool,
    /// Whether a worker may sleep although the router has brought something.
    pub(super) to_wake: AtomicBool,
    /// Set, under the lane's lock, when the lane is given up: what has not ended is abandoned.
    pub(super) abandoned: AtomicBool,
}

impl Progress {
    /// How many events of the worker's run have ended.
    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// With what the event has come to: whoever sees that it has ended sees its mark, if it has one.
    pub(super) fn end(&self, ended: usize) {
        self.ended.store(ended, Ordering::Release);
    }

    /// For the next run, or none.
    pub(super) fn rewind(&self) {
        self.begun.store(0, Ordering::Relaxed);
        self.ended.store(0, Ordering::Relaxed);
    }
}
