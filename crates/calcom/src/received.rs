//! [`Received`]: what a webhook came to.

use std::fmt;

use http::StatusCode;
use vacancy_dispatch::{Bus, Receipt, Unreachable};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, SlotsCache,
};

use crate::{defect::Defect, memory::Claim, place::Unresolved, trigger::Trigger};

/// What a webhook came to: what to invalidate, and what to dispatch.
///
/// [`apply`](Self::apply) does both. Invalidations run with every delivery, copies included. Events come with
/// one of the copies: with this one, or not at all. Dropped without [`apply`](Self::apply) or
/// [`keep`](Self::keep), it gives the events back, and the next copy has them.
#[derive(Debug)]
#[must_use = "nothing is invalidated or dispatched before it is applied"]
pub struct Received {
    pub(crate) trigger: Trigger,
    pub(crate) verdict: Verdict,
    pub(crate) events: Vec<BookingChange>,
    pub(crate) invalidations: Vec<Appointment>,
    pub(crate) widened: Vec<Widening>,
    pub(crate) claim: Option<Claim>,
}

/// What a webhook is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It is news: there are events to dispatch.
    Fresh,
    /// It is a copy of one that was received before. Everything is invalidated again.
    Duplicate,
    /// Something newer is known of the booking. Everything is invalidated again.
    Superseded,
    /// It changes what is free, but books and frees nothing: a request, a payment, an absence.
    Touched,
    /// It is not known whose it is, though somebody in it is known.
    Unresolved(Unresolved),
    /// It cannot be an event.
    Defective(Defect),
    /// There is nothing to do.
    Ignored(Ignored),
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// The trigger does not change what is free.
    NoEffect,
    /// The trigger is not known.
    UnknownTrigger,
    /// The directory knows neither the event type nor anybody in it, and the booking is not remembered.
    NobodyKnown,
}

/// Why more was invalidated than the booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Widening {
    /// It names no event type, or one that is not known: whatever its resources serve.
    MissingEventType,
    /// It was moved, and nobody knows from when: everything of its resources, at any time. In the event, the
    /// previous appointment has the new time, since an appointment needs one.
    OldTimesUnknown,
    /// A recurring series was cancelled, or may have been, and only one booking of it is named: everything of
    /// its resources, at any time. The events are about the named one alone.
    Series,
}

/// What happened to a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BookingChange {
    /// It was made.
    Booked(AppointmentBooked),
    /// It was moved.
    Rescheduled(AppointmentRescheduled),
    /// It is off.
    Cancelled(AppointmentCancelled),
}

/// What was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// What the webhook was taken for.
    pub verdict: Verdict,
    /// One receipt an event, in the order of [`Received::events`].
    pub receipts: Vec<Receipt>,
}

/// The bus was closed, so that not all events were accepted. Everything was invalidated.
///
/// Another copy of the webhook has the events again; answer with [`status`](Self::status), so that one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bus was closed before the events of the webhook were accepted")]
#[non_exhaustive]
pub struct Undelivered;

impl Received {
    /// What comes to nothing so far.
    pub(crate) const fn new(trigger: Trigger, verdict: Verdict) -> Self {
        Self {
            trigger,
            verdict,
            events: Vec::new(),
            invalidations: Vec::new(),
            widened: Vec::new(),
            claim: None,
        }
    }

    /// Adds an appointment near which nothing may be served any more, once.
    pub(crate) fn invalidate(&mut self, appointment: Appointment) {
        let same = |other: &Appointment| {
            (
                &other.tenant,
                &other.branch,
                &other.event_type,
                &other.resources,
            ) == (
                &appointment.tenant,
                &appointment.branch,
                &appointment.event_type,
                &appointment.resources,
            ) && (other.intervals(), other.buffers)
                == (appointment.intervals(), appointment.buffers)
        };
        if !self.invalidations.iter().any(same) {
            self.invalidations.push(appointment);
        }
    }

    /// What it says has happened.
    #[must_use]
    pub const fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// What it is taken for.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether it is a copy of one that was received before.
    #[must_use]
    pub fn duplicate(&self) -> bool {
        self.verdict == Verdict::Duplicate
    }

    /// What to dispatch. Empty unless it is [`Verdict::Fresh`].
    #[must_use]
    pub fn events(&self) -> &[BookingChange] {
        &self.events
    }

    /// Appointments near which nothing that is cached may be served any more: for
    /// [`SlotsCache::invalidate_around`].
    ///
    /// Some stand for what they may affect and were never booked. Where the time is not known they last for all
    /// time.
    #[must_use]
    pub fn invalidations(&self) -> &[Appointment] {
        &self.invalidations
    }

    /// Why more is invalidated than the booking.
    #[must_use]
    pub fn widened(&self) -> &[Widening] {
        &self.widened
    }

    /// The status to answer with, once it is applied: 422 for what is [`Verdict::Defective`], so that it shows
    /// in the sender's log, and 200 for all else, since sending it again would change nothing.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.verdict.status()
    }

    /// Invalidates, then dispatches, and waits for neither.
    ///
    /// # Consistency
    ///
    /// When it returns, no read of `slots` gives an answer from before, also where it is a copy or cannot be an
    /// event.
    ///
    /// # Errors
    ///
    /// [`Undelivered`] when the bus was closed.
    pub fn apply(self, slots: &SlotsCache, bus: &Bus) -> Result<Applied, Undelivered> {
        for appointment in &self.invalidations {
            slots.invalidate_around(appointment);
        }
        let dispatch = |change: &BookingChange| match change.clone() {
            BookingChange::Booked(booked) => bus.dispatch(booked),
            BookingChange::Rescheduled(rescheduled) => bus.dispatch(rescheduled),
            BookingChange::Cancelled(cancelled) => bus.dispatch(cancelled),
        };
        let receipts: Vec<_> = self.events.iter().map(dispatch).collect();
        let closed = |receipt: &Receipt| receipt.outcome("") == Err(Unreachable::Closed);
        if receipts.iter().any(closed) {
            return Err(Undelivered);
        }
        let verdict = self.verdict;
        self.keep();
        Ok(Applied { verdict, receipts })
    }

    /// Says that the events are in good hands: no copy has them any more.
    ///
    /// For an application that does not [`apply`](Self::apply) it, but stores the events. Invalidate before.
    pub fn keep(self) {
        if let Some(claim) = self.claim {
            claim.keep();
        }
    }
}

impl Verdict {
    /// See [`Received::status`].
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Defective(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::OK,
        }
    }

    /// What it is called in metrics, logs and answers.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::Touched => "touched",
            Self::Unresolved(_) => "unresolved",
            Self::Defective(_) => "defective",
            Self::Ignored(_) => "ignored",
        }
    }

    /// The reason of those that have one.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Unresolved(why) => Some(why.label()),
            Self::Defective(why) => Some(why.label()),
            Self::Ignored(why) => Some(why.label()),
            _ => None,
        }
    }
}

impl Ignored {
    /// What it is called in metrics, logs and answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoEffect => "no_effect",
            Self::UnknownTrigger => "unknown_trigger",
            Self::NobodyKnown => "nobody_known",
        }
    }
}

impl Widening {
    /// What it is called in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingEventType => "missing_event_type",
            Self::OldTimesUnknown => "old_times_unknown",
            Self::Series => "series",
        }
    }
}

impl Undelivered {
    /// 503, so that a sender that tries again does.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
