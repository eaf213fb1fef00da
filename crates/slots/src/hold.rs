//! What a booking is about to change.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;
use vacancy_cache::{Cover, Hold};

use crate::{
    appointment::Appointment,
    events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
    slots_cache::SlotsCache,
};

/// An event about a booking, which can be held for before it happens: see [`SlotsCache::hold`].
pub trait BookingEvent {
    /// The appointment that takes or frees slots, and before it the one that it replaces, if any.
    fn appointments(&self) -> Vec<&Appointment>;
}

impl BookingEvent for AppointmentBooked {
    fn appointments(&self) -> Vec<&Appointment> {
        vec![&self.appointment]
    }
}

impl BookingEvent for AppointmentRescheduled {
    fn appointments(&self) -> Vec<&Appointment> {
        vec![&self.previous, &self.appointment]
    }
}

impl BookingEvent for AppointmentCancelled {
    fn appointments(&self) -> Vec<&Appointment> {
        vec![&self.appointment]
    }
}

/// The slots that a booking is about to change: nothing that is loaded for them is kept or shared, in any
/// process.
///
/// Dispatching the event releases it. One that is dropped is not released, since the booking may be on its
/// way: it ends at its time.
#[must_use = "the booking has to be committed before the hold is over"]
pub struct SlotsHold {
    slots: SlotsCache,
    hold: Hold,
}

impl SlotsHold {
    pub(crate) fn new(slots: SlotsCache, hold: Hold) -> Self {
        Self { slots, hold }
    }

    /// When it ends by itself. A transaction that may last longer had better not be committed.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.hold.until()
    }

    /// Ends it now. Only for a booking that is sure not to happen: its transaction was rolled back.
    pub fn abandon(self) {
        self.slots.abandon(&self.hold);
    }
}

impl fmt::Debug for SlotsHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotsHold")
            .field("until", &self.hold.until())
            .finish_non_exhaustive()
    }
}

/// The holds that no event has released yet, by what they are about.
///
/// An event releases a hold of the same reach. Where several are about the same, it does not matter whose
/// it is, as long as the one that lasts longest stays longest.
#[derive(Default)]
pub(crate) struct Holds(Mutex<HashMap<Arc<[Cover]>, Vec<Hold>>>);

impl Holds {
    pub(crate) fn add(&self, hold: Hold) {
        let now = Instant::now();
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.retain(|_, same| {
            same.retain(|hold| hold.until() > now);
            !same.is_empty()
        });
        let same = holds.entry(hold.covers().into()).or_default();
        same.push(hold);
    }

    /// The hold of this reach that ends first.
    pub(crate) fn take(&self, covers: &[Cover]) -> Option<Hold> {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.is_empty() {
            return None;
        }
        let same = holds.get_mut(covers)?;
        let first = (0..same.len()).min_by_key(|&at| same[at].until())?;
        let hold = same.swap_remove(first);
        if same.is_empty() {
            holds.remove(covers);
        }
        Some(hold)
    }

    pub(crate) fn remove(&self, hold: &Hold) {
        // Which of several of the same reach goes is of no matter.
        drop(self.take(hold.covers()));
    }
}
