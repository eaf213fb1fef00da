//! [`Ends`]: what a bus keeps of events that ended badly, and whom it tells.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::Ordering};

use crate::{
    Abandoned, DeadLetter, Envelope, Event, bus::Core, dead_letter::DeadLetters, failed::OnFailure,
    observer::Observers,
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
        let deepest = envelope.header().depth >= core.max_causation_depth;
        if !deepest && !core.closed.load(Ordering::Acquire) {
            on_failure(&core, letter, envelope);
        }
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
