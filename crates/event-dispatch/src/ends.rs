//! [`Ends`]: what a bus keeps of events that ended badly, and whom it tells.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::Ordering};

use crate::{
    Abandoned, Envelope, Event,
    bus::Core,
    dead_letter::{DeadLetters, Death},
    failed::OnFailure,
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
    /// Buries what lanes of one event type gave up on, and tells those who listen to failures, unless the bus is
    /// closed or the chain is at its end.
    pub(crate) fn bury<'a, E: Event>(
        &self,
        on_failure: Option<OnFailure<E>>,
        deaths: impl Iterator<Item = Death>,
        envelopes: impl Iterator<Item = &'a Arc<Envelope<E>>>,
    ) {
        let letters = self.dead_letters.bury(deaths);
        let Some(on_failure) = on_failure else { return };
        let Some(core) = self.core.get().and_then(Weak::upgrade) else {
            return;
        };
        if core.closed.load(Ordering::Acquire) {
            return;
        }
        let failures = letters.into_iter().zip(envelopes);
        let mut may_go_on =
            failures.filter(|(_, envelope)| envelope.header().depth < core.max_causation_depth);
        on_failure(&core, &mut may_go_on);
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
