//! What the guard has written, which is what the bus has to hear of.

use vacancy_dispatch::{Bus, Receipt};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent,
};

/// What a transaction has changed: the event to dispatch once it is committed.
///
/// [`Writer`](crate::Writer) does both as one; this is for a transaction that is committed by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "nobody hears of it until it is dispatched, after the commit"]
pub enum Change {
    /// An appointment was booked.
    Booked(AppointmentBooked),
    /// An appointment was moved.
    Rescheduled(AppointmentRescheduled),
    /// An appointment was cancelled.
    Cancelled(AppointmentCancelled),
    /// Nothing was changed now: it is what the operation gave when it was first asked for, or an appointment
    /// that had been cancelled before.
    Repeated(Appointment),
}

impl Change {
    /// The appointment as it is now.
    #[must_use]
    pub const fn appointment(&self) -> &Appointment {
        match self {
            Self::Booked(booked) => &booked.appointment,
            Self::Rescheduled(rescheduled) => &rescheduled.appointment,
            Self::Cancelled(cancelled) => &cancelled.appointment,
            Self::Repeated(appointment) => appointment,
        }
    }

    /// Tells the bus, unless nothing was changed. Only once the transaction is committed.
    ///
    /// Between the commit and this call no request may be dropped, or nobody hears of what was committed.
    pub fn dispatch(self, bus: &Bus) -> Option<Receipt> {
        match self {
            Self::Booked(booked) => Some(bus.dispatch(booked)),
            Self::Rescheduled(rescheduled) => Some(bus.dispatch(rescheduled)),
            Self::Cancelled(cancelled) => Some(bus.dispatch(cancelled)),
            Self::Repeated(_) => None,
        }
    }
}

/// What it takes and frees; nothing where it is a repetition.
impl BookingEvent for Change {
    fn appointments(&self) -> Vec<&Appointment> {
        match self {
            Self::Booked(booked) => booked.appointments(),
            Self::Rescheduled(rescheduled) => rescheduled.appointments(),
            Self::Cancelled(cancelled) => cancelled.appointments(),
            Self::Repeated(_) => Vec::new(),
        }
    }
}
