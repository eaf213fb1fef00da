//! [`Reply`]: what the desk answers.

use vacancy_slots::{AppointmentId, Interval, ResourceId, Slot};

/// What the desk answers: what has become of the request, and what the agent can say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) say: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open(Vec<Slot>),
    Booked(Visit),
    Rescheduled(Visit),
    Cancelled(AppointmentId),
}

/// An appointment as the caller will hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visit {
    /// Its id, by which the agent can move or cancel it.
    pub appointment: AppointmentId,
    /// When it is.
    pub interval: Interval,
    /// Who serves it, where that is to be told.
    pub resource: Option<ResourceId>,
}

impl Visit {
    /// An appointment of which the caller hears the time.
    #[must_use]
    pub fn new(appointment: impl Into<AppointmentId>, interval: Interval) -> Self {
        Self {
            appointment: appointment.into(),
            interval,
            resource: None,
        }
    }

    /// Says who serves it.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        self.resource = Some(resource.into());
        self
    }
}

impl Reply {
    /// These times are free, the best first; none means that nothing is. The agent is told of
    /// [`MAX_OFFERS`](crate::MAX_OFFERS) of them.
    #[must_use]
    pub fn open(slots: impl IntoIterator<Item = Slot>) -> Self {
        Self::of(Outcome::Open(slots.into_iter().collect()))
    }

    /// It is booked.
    #[must_use]
    pub fn booked(visit: Visit) -> Self {
        Self::of(Outcome::Booked(visit))
    }

    /// It is moved. `visit` is the appointment as it is now, with another id where one was given.
    #[must_use]
    pub fn rescheduled(visit: Visit) -> Self {
        Self::of(Outcome::Rescheduled(visit))
    }

    /// It is cancelled, or was already.
    #[must_use]
    pub fn cancelled(appointment: impl Into<AppointmentId>) -> Self {
        Self::of(Outcome::Cancelled(appointment.into()))
    }

    /// Gives the agent another sentence than ours, which is plain English.
    #[must_use]
    pub fn say(mut self, sentence: impl Into<String>) -> Self {
        self.say = Some(sentence.into());
        self
    }

    fn of(outcome: Outcome) -> Self {
        Self { outcome, say: None }
    }

    /// The appointment that it is about, if it is about one.
    pub(crate) fn appointment(&self) -> Option<&AppointmentId> {
        match &self.outcome {
            Outcome::Open(_) => None,
            Outcome::Booked(visit) | Outcome::Rescheduled(visit) => Some(&visit.appointment),
            Outcome::Cancelled(appointment) => Some(appointment),
        }
    }
}
