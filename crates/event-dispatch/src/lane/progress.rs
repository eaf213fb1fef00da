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
    /// Set when the lane is given up, after which events may have their outcome already.
    pub(super) abandoned: AtomicBool,
}

impl Progress {
    /// For the next run, or none.
    pub(super) fn rewind(&self) {
        self.begun.store(0, Ordering::Relaxed);
        self.ended.store(0, Ordering::Relaxed);
    }
}
