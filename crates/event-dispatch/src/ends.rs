//! [`Ends`]: what a bus keeps of events that ended badly, and whom it tells.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Abandoned, dead_letter::DeadLetters, observer::Observers};

/// What a bus keeps of events that ended badly, and whom it tells of every end.
pub(crate) struct Ends {
    pub(crate) dead_letters: DeadLetters,
    pub(crate) abandoned: AbandonedLog,
    pub(crate) observers: Observers,
}

/// Names every event that was abandoned, whoever abandoned it.
#[derive(Default)]
pub(crate) struct AbandonedLog(Mutex<Vec<Abandoned>>);

impl AbandonedLog {
    fn lock(&self) -> MutexGuard<'_, Vec<Abandoned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self, abandoned: Abandoned) {
        self.lock().push(abandoned);
    }

    pub(crate) fn all(&self) -> Vec<Abandoned> {
        self.lock().clone()
    }
}
