//! Which bookings are being written, and not yet told to everybody.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vacancy::slots::AppointmentId;

/// Bookings that may be in the diary already, and of which nobody has heard: whoever is offered their time is
/// offered it in good faith. A handle: `clone` is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashSet<AppointmentId>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct BeingWritten {
    all: UnderWay,
    id: AppointmentId,
}

impl UnderWay {
    /// From now on it may be in the diary. To be dropped once its event is dispatched.
    pub(crate) fn begin(&self, id: AppointmentId) -> BeingWritten {
        self.lock().insert(id.clone());
        BeingWritten {
            all: self.clone(),
            id,
        }
    }

    pub(crate) fn contains(&self, id: &AppointmentId) -> bool {
        self.lock().contains(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<AppointmentId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BeingWritten {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
