//! The order in which requests were begun and answered.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what happens. A moment that somebody saw before another one is the smaller.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

/// When something happened, by its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Clock {
    pub(crate) fn now(&self) -> Moment {
        Moment(self.0.fetch_add(1, Ordering::SeqCst))
    }
}
