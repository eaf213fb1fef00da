//! [`Ends`]: what a bus keeps of events that ended badly, and whom it tells.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::Ordering};

use crate::{
    Abandoned, DeadLetter, Envelope, Event, Failed, bus::Core, dead_letter::DeadLetters,
    delivery::Origin, failed::OnFailure, observer::Observers,
};

/// What a bus keeps of events that ended badly, and whom it tells of every end.
pub(crate) struct Ends {
    pub(crate) dead_letters: DeadLetters,
    pub(crate) abandoned: AbandonedLog,
    pub(crate) observers: Observers,
    /// The bus itself, which holds this; set before there are events.
    pub(crate) core: OnceLock<Weak<Core>>,
}

impl Ends {
    /// Tells those who listen to failures, unless the bus is closed or the chain is at its end.
    pub(crate) fn tell_failure<E: Event>(
        &self,
        on_failure: Option<OnFailure<E>>,
        letter: Arc<DeadLetter>,
        envelope: &Arc<Envelope<E>>,
    ) {
        let Some(on_failure) = on_failure else { return };
        let Some(core) = self.core.get().and_then(Weak::upgrade) else {
            return;
        };
        let origin = Origin::caused_by(envelope.header());
        if origin.depth > core.max_causation_depth || core.closed.load(Ordering::Acquire) {
            return;
        }
        on_failure(&core, Failed::new(letter, Arc::clone(envelope)), origin);
    }
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
