//! [`Observer`]: is told each step of each event, as it happens.
//!
//! # Invariants
//!
//! 1. An observer is the application's code: it runs guarded, and never under a lock of the bus.
//! 2. The end of an event at a listener is told before its outcome is visible, so whoever waits for a
//!    receipt finds it told.

use std::{sync::Arc, time::Duration, time::SystemTime};

use crate::{EventId, Outcome, envelope::Header, guard::guarded};

/// Is told each step of each event, as it happens.
///
/// Added by [`BusBuilder::observe`](crate::BusBuilder::observe). It is called on the thread that makes
/// the step, the publisher's among them: what it does delays that thread, so it should count, or hand
/// over to a task. A panic in it is caught and changes nothing. A bus without observers pays nothing
/// for them.
///
/// # Examples
///
/// ```
/// use vacancy_dispatch::{Bus, Observer, Step, Stage};
///
/// struct Print;
///
/// impl Observer for Print {
///     fn observe(&self, step: &Step<'_>) {
///         if let Stage::Ended { outcome, .. } = step.stage {
///             println!("{} at {}: {outcome}", step.event, step.listener.unwrap_or("-"));
///         }
///     }
/// }
///
/// let bus = Bus::builder().observe(Print);
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Told of one step. Steps of one event at one listener are told in order.
    fn observe(&self, step: &Step<'_>);
}

impl<O: Observer> Observer for Arc<O> {
    fn observe(&self, step: &Step<'_>) {
        (**self).observe(step);
    }
}

/// One step of one event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step<'a> {
    /// The name of the event.
    pub event: &'static str,
    /// The id of the event.
    pub id: EventId,
    /// The event whose listener dispatched this one, if a listener did.
    pub cause: Option<EventId>,
    /// The event that this one is a replay of, if it is one.
    pub replay_of: Option<EventId>,
    /// When `dispatch` took the event.
    pub accepted_at: SystemTime,
    /// The listener that the step belongs to; none for [`Stage::Refused`], and
    /// for [`Stage::Dispatched`] except of a replay.
    pub listener: Option<&'a str>,
    /// What happened.
    pub stage: Stage<'a>,
}

/// What happened in a [`Step`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// `dispatch` has taken the event; told before any listener has seen it. A replay is told with the
    /// listener that it goes to.
    Dispatched,
    /// The bus was closed, and no lane will have the event.
    Refused,
    /// The listener is called.
    Started {
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// An attempt failed, and another will follow.
    Retrying {
        /// Which attempt failed, from 1.
        attempt: u32,
        /// The error, its sources included.
        error: &'a str,
        /// How long the pause is before the next.
        pause: Duration,
    },
    /// The event has its outcome at the listener.
    Ended {
        /// The outcome.
        outcome: Outcome,
        /// How often the listener was called.
        attempts: u32,
        /// The error or panic message of a dead letter, or what was exceeded; otherwise empty.
        error: &'a str,
    },
}

/// The observers of a bus.
#[derive(Clone)]
pub(crate) struct Observers(Arc<[Box<dyn Observer>]>);

impl Observers {
    pub(crate) fn new(observers: Vec<Box<dyn Observer>>) -> Self {
        Self(observers.into())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells them; in a bus without observers, nothing.
    #[inline]
    pub(crate) fn tell(&self, header: &Header, listener: Option<&str>, stage: Stage<'_>) {
        if !self.0.is_empty() {
            self.tell_all(header, listener, stage);
        }
    }

    #[cold]
    fn tell_all(&self, header: &Header, listener: Option<&str>, stage: Stage<'_>) {
        let step = Step {
            event: header.name,
            id: header.id,
            cause: header.cause.as_ref().map(|cause| cause.id),
            replay_of: header.replay_of,
            accepted_at: header.accepted.at(),
            listener,
            stage,
        };
        for observer in &*self.0 {
            let _ = guarded(|| observer.observe(&step));
        }
    }
}
