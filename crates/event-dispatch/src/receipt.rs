//! [`Receipt`]: what `dispatch` returns; and [`Report`], what it comes to.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{EventId, Outcome, envelope::Parcel};

/// Says what becomes of one dispatched event.
///
/// Dropping it is fire and forget: waiting never changes what happens. `clone` is cheap and keeps
/// the event alive.
#[derive(Clone)]
pub struct Receipt {
    id: EventId,
    state: State,
}

#[derive(Clone)]
enum State {
    Closed,
    Unheard,
    Accepted(Arc<dyn Parcel>),
}

impl Receipt {
    pub(crate) fn closed(id: EventId) -> Self {
        Self {
            id,
            state: State::Closed,
        }
    }

    pub(crate) fn unheard(id: EventId) -> Self {
        Self {
            id,
            state: State::Unheard,
        }
    }

    pub(crate) fn accepted(parcel: Arc<dyn Parcel>) -> Self {
        Self {
            id: parcel.header().id,
            state: State::Accepted(parcel),
        }
    }

    /// The id of the event.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Waits until the event has an outcome at every listener.
    ///
    /// Returns at once if the bus was closed or nobody listens. Every listener has a time-out, so
    /// this ends, unless a listener blocks its thread; who begins to wait just as the event ends may then be woken
    /// only when that listener comes back. A listener that waits for its own event waits
    /// for itself, until its time-out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn settled(&self) -> Report {
        match &self.state {
            State::Closed => Report::Closed,
            State::Unheard => Report::Settled(Outcomes {
                outcomes: Vec::new(),
            }),
            State::Accepted(parcel) => {
                let marks = parcel.marks();
                marks.all_settled().await;
                let places = marks.places().iter();
                let outcomes = places
                    .enumerate()
                    .filter_map(|(slot, place)| Some((place.name.clone(), marks.outcome(slot)?)));
                Report::Settled(Outcomes {
                    outcomes: outcomes.collect(),
                })
            }
        }
    }

    /// Waits until the event has an outcome at one listener.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    ///
    /// # Errors
    ///
    /// At once, with [`Unreachable`], if the event will never have an outcome there.
    pub async fn reached(&self, listener: &str) -> Result<Outcome, Unreachable> {
        let (parcel, slot) = self.place(listener)?;
        let marks = parcel.marks();
        Ok(marks.wait(|| marks.outcome(slot)).await)
    }

    /// The event's outcome at one listener, if it has one by now.
    ///
    /// # Errors
    ///
    /// With [`Unreachable`], if the event will never have an outcome there.
    pub fn outcome(&self, listener: &str) -> Result<Option<Outcome>, Unreachable> {
        let (parcel, slot) = self.place(listener)?;
        Ok(parcel.marks().outcome(slot))
    }

    fn place(&self, listener: &str) -> Result<(&Arc<dyn Parcel>, usize), Unreachable> {
        match &self.state {
            State::Closed => Err(Unreachable::Closed),
            State::Unheard => Err(Unreachable::NoSuchListener),
            State::Accepted(parcel) => parcel
                .marks()
                .places()
                .iter()
                .position(|place| place.name == listener)
                .map(|slot| (parcel, slot))
                .ok_or(Unreachable::NoSuchListener),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// The bus was closed. Inline listeners have run, nothing was queued.
    Closed,
    /// The event was accepted and has an outcome at every listener.
    Settled(Outcomes),
}

impl Report {
    /// Whether the bus was closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the event was accepted and every listener is [`Outcome::Done`].
    pub fn all_done(&self) -> bool {
        match self {
            Self::Closed => false,
            Self::Settled(_) => self.outcomes().all(|(_, outcome)| outcome == Outcome::Done),
        }
    }

    /// Each listener's name and outcome: inline listeners first, both in order of registration.
    pub fn outcomes(&self) -> impl Iterator<Item = (&str, Outcome)> {
        let outcomes = match self {
            Self::Closed => &[][..],
            Self::Settled(outcomes) => &outcomes.outcomes[..],
        };
        outcomes.iter().map(|(name, outcome)| (&**name, *outcome))
    }

    /// The outcome at one listener.
    pub fn outcome(&self, listener: &str) -> Option<Outcome> {
        self.outcomes()
            .find_map(|(name, outcome)| (name == listener).then_some(outcome))
    }
}

/// The outcomes of one event; read through [`Report::outcomes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    outcomes: Vec<(Cow<'static, str>, Outcome)>,
}

/// Why an event will never have an outcome at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The bus was closed when the event was dispatched. Inline listeners have run.
    #[error("the bus was closed")]
    Closed,
    /// No listener of the event has that name.
    #[error("the event has no such listener")]
    NoSuchListener,
}
