//! How an event ends at a lane: settled once, counted, told, and given to the lanes that come after.

use std::sync::{
    Arc,
    atomic::{Ordering, fence},
};

use super::Lane;
use crate::{Abandoned, Envelope, Event, Outcome, Stage};

impl<E: Event> Lane<E> {
    /// Tells the observers of a step before the event's end.
    pub(crate) fn tell(&self, envelope: &Envelope<E>, stage: Stage<'_>) {
        self.ends
            .observers
            .tell(envelope.header(), Some(&self.listener), stage);
    }

    /// Settles the event here, if it has no outcome yet, and gives it to the lanes that come after.
    pub(crate) fn end(
        &self,
        envelope: &Arc<Envelope<E>>,
        outcome: Outcome,
        attempts: u32,
        error: String,
    ) {
        let settled = self.settle(envelope, outcome, attempts, error);
        if settled && !envelope.header().is_replay() {
            for follower in self.followers() {
                follower.arrive(envelope);
            }
        }
    }

    /// Settles the event as done, if it has no outcome yet; what most events come to.
    pub(crate) fn done(&self, envelope: &Arc<Envelope<E>>, attempts: u32) {
        if self.ends.observers.is_empty() && self.followers().is_empty() {
            let slot = envelope.header().slot(self.slot);
            self.counters.count(Outcome::Done);
            if !envelope.marks().settle_plainly(slot, Outcome::Done) {
                self.counters.discount_done();
            }
        } else {
            self.end(envelope, Outcome::Done, attempts, String::new());
        }
    }

    /// Counts and records an outcome, if the event has none yet.
    pub(crate) fn settle(
        &self,
        envelope: &Arc<Envelope<E>>,
        outcome: Outcome,
        attempts: u32,
        error: String,
    ) -> bool {
        let slot = envelope.header().slot(self.slot);
        envelope.marks().settle(slot, outcome, || {
            self.counters.count(outcome);
            let stage = Stage::Ended {
                outcome,
                attempts,
                error: &error,
            };
            self.tell(envelope, stage);
            match outcome {
                Outcome::Dead(reason) => {
                    let (parcel, listener) = (Arc::clone(envelope) as _, self.listener.clone());
                    let letters = &self.ends.dead_letters;
                    let letter = letters.bury(parcel, listener, reason, error, attempts);
                    // Here, so that whoever waits for the outcome finds the failure dispatched.
                    self.ends.tell_failure(self.on_failure, letter, envelope);
                }
                Outcome::Abandoned => self.ends.abandoned.name(Abandoned {
                    event: E::NAME,
                    id: envelope.id(),
                    listener: self.listener.clone(),
                }),
                _ => {}
            }
        })
    }

    /// Called by each lane that this one comes after, once the event has ended there.
    fn arrive(&self, envelope: &Arc<Envelope<E>>) {
        // Of two that end at once, at least one has to see both.
        fence(Ordering::SeqCst);
        let marks = envelope.marks();
        let mut predecessors = self.predecessors.iter();
        if predecessors.all(|slot| marks.outcome(*slot).is_some()) && marks.queue(self.slot) {
            self.take_one(envelope);
        }
    }

    /// Abandons the event here and at the lanes that come after, without giving it to these.
    pub(crate) fn abandon_one(&self, envelope: &Arc<Envelope<E>>) {
        self.settle(envelope, Outcome::Abandoned, 0, String::new());
        if !envelope.header().is_replay() {
            for follower in self.followers() {
                follower.abandon_one(envelope);
            }
        }
    }

    /// Whether the event has its outcome here already, since it was abandoned.
    pub(crate) fn has_ended(&self, envelope: &Envelope<E>) -> bool {
        let slot = envelope.header().slot(self.slot);
        self.progress.abandoned.load(Ordering::Relaxed) && envelope.marks().outcome(slot).is_some()
    }
}
