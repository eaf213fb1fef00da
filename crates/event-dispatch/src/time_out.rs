//! [`TimeOut`]: the time that one event, and one attempt at it, may take.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::coop::unconstrained,
    time::{Sleep, sleep},
};

/// The time that one event, and one attempt at it, may take: counted from the first time that
/// something has to wait, so that no timer is made for a listener that does not.
pub(crate) struct TimeOut {
    event: Limit,
    attempt: Option<Limit>,
}

struct Limit {
    time: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Which time is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Event,
    Attempt,
}

impl TimeOut {
    pub(crate) fn new(event: Duration, attempt: Option<Duration>) -> Self {
        let limit = |time| Limit { time, sleep: None };
        Self {
            event: limit(event),
            attempt: attempt.map(limit),
        }
    }

    /// Begins the next attempt.
    pub(crate) fn next_attempt(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.sleep = None;
        }
    }

    /// Ready when the time is over for the attempt or for the event.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Over> {
        if self.event.poll(context).is_ready() {
            return Poll::Ready(Over::Event);
        }
        match &mut self.attempt {
            Some(attempt) => attempt.poll(context).map(|()| Over::Attempt),
            None => Poll::Pending,
        }
    }

    /// Ready when the time is over for the event.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.event.poll(context)
    }

    pub(crate) fn text(&self, over: Over) -> String {
        match (over, &self.attempt) {
            (Over::Attempt, Some(attempt)) => format!("attempt not done within {:?}", attempt.time),
            _ => format!("not done within {:?}", self.event.time),
        }
    }
}

impl Limit {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(time)));
        // A listener may have used up what tokio lets the task do before it yields, and would go on for ever.
        pin!(unconstrained(sleep.as_mut())).poll(context)
    }
}
