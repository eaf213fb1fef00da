//! [`Bus::shutdown`]: close, drain until a deadline, and name what was abandoned.

use std::{
    borrow::Cow,
    mem,
    pin::pin,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use crate::{Bus, EventId};

/// How long aborted tasks may take to end. They do at once, unless a listener blocks its thread.
const ABORT_GRACE: Duration = Duration::from_millis(100);

/// What a shutdown came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Every event that a listener did not finish, once for each such listener.
    pub abandoned: Vec<Abandoned>,
}

impl ShutdownReport {
    /// Whether every listener finished every event.
    pub fn is_drained(&self) -> bool {
        self.abandoned.is_empty()
    }
}

/// An event that a listener had not finished when the bus was shut down. It may have been begun.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// The name of the event.
    pub event: &'static str,
    /// The id of the event.
    pub id: EventId,
    /// The name of the listener.
    pub listener: Cow<'static, str>,
}

impl Bus {
    /// Takes no more events, lets the listeners finish until `deadline` has passed, then aborts the
    /// rest and names what was abandoned.
    ///
    /// It returns as soon as everything is delivered. At the deadline the futures of the listeners are
    /// dropped before it returns, except that it waits no more than 100 ms for one that blocks its
    /// thread. Events that listeners dispatch meanwhile are refused: their receipts say
    /// [`Report::Closed`](crate::Report::Closed). Called again, it waits for the same end and returns
    /// the same report. Called by a listener, it waits for that listener, until the deadline.
    ///
    /// # Cancel safety
    ///
    /// The bus is closed at the first poll and stays so. If the future is dropped before its end,
    /// delivery goes on without a deadline; a second call sets a new one.
    ///
    /// # Panics
    ///
    /// When polled outside a tokio runtime with a timer.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let core = &self.handles.core;
        core.close();
        let gave_up = || core.gave_up.load(Ordering::Acquire);
        let drained = self.tasks_ended(gave_up);
        if tokio::time::timeout(deadline, drained).await.is_err() {
            self.abandon();
        }
        if gave_up() {
            let _ = tokio::time::timeout(ABORT_GRACE, self.tasks_ended(|| false)).await;
        }
        ShutdownReport {
            abandoned: core.ends.abandoned.all(),
        }
    }

    /// Waits until every task of the bus is gone, or `enough` says so.
    async fn tasks_ended(&self, enough: impl Fn() -> bool) {
        let core = &self.handles.core;
        loop {
            let mut ended = pin!(core.ended.notified());
            ended.as_mut().enable();
            if core.tasks.load(Ordering::Acquire) == 0 || enough() {
                return;
            }
            ended.await;
        }
    }

    fn abandon(&self) {
        let core = &self.handles.core;
        // Settled first, aborted second: then they are named in the order of their dispatch.
        for route in &core.in_order {
            route.abandon();
        }
        core.gave_up.store(true, Ordering::Release);
        let tasks = mem::take(&mut *core.aborts.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
        core.ended.notify_waiters();
    }
}
