//! [`Wake`]: on which thread an event is given to its listeners; and [`Nudge`], which sees to it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// On which thread an event that finds the bus idle is given to its listeners.
///
/// tokio keeps the task that was woken last for the thread that woke it, where no other thread finds it. On a runtime of
/// one thread both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Wake {
    /// On the thread that dispatched it, once the task that runs there waits or ends: for publishers that soon await
    /// something, as request handlers do. It costs least, and a burst is handled where the processor has it in its
    /// cache.
    #[default]
    Thrifty,
    /// On the first thread that is free: for publishers that go on computing after a dispatch, or dispatch more events
    /// than the [`capacity`](crate::Policy::capacity) of their listeners without a pause. It costs one wake more, and
    /// usually that of a thread.
    Prompt,
}

/// A task that does nothing: woken after the router, it takes its place, and the router becomes one that other threads
/// find.
#[derive(Default)]
pub(crate) struct Nudge {
    woken: Notify,
    ended: AtomicBool,
}

impl Nudge {
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Called when nothing is left to wake.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.woken.notify_one();
    }

    /// Does nothing until the bus is gone.
    pub(crate) async fn run(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            self.woken.notified().await;
        }
    }
}
