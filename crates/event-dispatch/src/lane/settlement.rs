//! How an event ends at a lane: settled once, counted, told, and given to the lanes that come after.

use std::{
    iter,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use super::Lane;
use crate::{
    Abandoned, Envelope, Event, Outcome, Reason, Stage,
    dead_letter::Death,
    outcome::Marks,
    runs::{Run, let_go},
};

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
        if self.settle(envelope, outcome, attempts, error) {
            self.hand_on(&[envelope]);
        }
    }

    /// Ends what the lane has not taken, or has given up for others. What there was no room for is given to the lanes
    /// that come after all at once, or these would bury a flood one by one.
    pub(super) fn end_untaken<'a>(
        &'a self,
        events: impl Iterator<Item = (&'a Arc<Envelope<E>>, Outcome)>,
    ) {
        let no_room = events.filter(|(envelope, outcome)| {
            let no_room = *outcome == Outcome::Dead(Reason::Overflowed);
            if !no_room {
                self.end(envelope, *outcome, 0, String::new());
            }
            no_room
        });
        let here = no_room.map(|(envelope, _)| (self, envelope));
        let buried = Self::bury(here, Reason::Overflowed, "");
        if !self.followers().is_empty() {
            let buried = buried.into_iter().map(|(_, envelope)| envelope);
            self.hand_on(&buried.collect::<Vec<_>>());
        }
    }

    /// Gives what has ended here to the lanes that come after.
    fn hand_on(&self, envelopes: &[&Arc<Envelope<E>>]) {
        for follower in self.followers() {
            follower.arrive(envelopes);
        }
    }

    /// Whether nobody is to be told that an event is done.
    pub(super) fn ends_plainly(&self) -> bool {
        self.ends.observers.is_empty() && self.followers().is_empty()
    }

    /// Settles the event as done, if it has no outcome yet.
    pub(crate) fn done(&self, envelope: &Arc<Envelope<E>>, attempts: u32) {
        if self.ends_plainly() {
            self.done_plainly(envelope);
        } else {
            self.end(envelope, Outcome::Done, attempts, String::new());
        }
    }

    /// Settles the event as done, if it has no outcome yet and nobody is to be told; what most events come to.
    pub(crate) fn done_plainly(&self, envelope: &Envelope<E>) {
        let slot = envelope.marks().slot(self.slot);
        self.counters.count(Outcome::Done);
        if !envelope.marks().settle_plainly(slot, Outcome::Done) {
            self.counters.discount_done();
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
        let slot = envelope.marks().slot(self.slot);
        let claimed = envelope.marks().claim(slot);
        if claimed {
            self.count(envelope, outcome, attempts, &error);
            match outcome {
                Outcome::Dead(reason) => {
                    let death = self.death(envelope, reason, error, attempts);
                    // Here, so that whoever waits for the outcome finds the failure dispatched.
                    self.ends
                        .bury(self.on_failure, iter::once(death), iter::once(envelope));
                }
                Outcome::Abandoned => self.ends.abandoned.name(Abandoned {
                    event: E::NAME,
                    id: envelope.id(),
                    listener: self.listener.clone(),
                }),
                _ => {}
            }
            envelope.marks().show(slot, outcome);
        }
        claimed
    }

    /// Settles as dead what these lanes of one event type are not given; returns what had no outcome yet.
    pub(crate) fn bury<'a>(
        events: impl Iterator<Item = (&'a Self, &'a Arc<Envelope<E>>)>,
        reason: Reason,
        error: &str,
    ) -> Vec<(&'a Self, &'a Arc<Envelope<E>>)> {
        let outcome = Outcome::Dead(reason);
        let slot = |lane: &Self, envelope: &Envelope<E>| envelope.marks().slot(lane.slot);
        let claimed =
            events.filter(|(lane, envelope)| envelope.marks().claim(slot(lane, envelope)));
        let claimed: Vec<_> = claimed.collect();
        let Some((first, _)) = claimed.first() else {
            return claimed;
        };
        let deaths = claimed.iter().map(|(lane, envelope)| {
            lane.count(envelope, outcome, 0, error);
            lane.death(envelope, reason, error.to_owned(), 0)
        });
        let envelopes = claimed.iter().map(|(_, envelope)| *envelope);
        first.ends.bury(first.on_failure, deaths, envelopes);
        for (lane, envelope) in &claimed {
            envelope.marks().show(slot(lane, envelope), outcome);
        }
        claimed
    }

    fn count(&self, envelope: &Envelope<E>, outcome: Outcome, attempts: u32, error: &str) {
        self.counters.count(outcome);
        let stage = Stage::Ended {
            outcome,
            attempts,
            error,
        };
        self.tell(envelope, stage);
    }

    fn death(
        &self,
        envelope: &Arc<Envelope<E>>,
        reason: Reason,
        error: String,
        attempts: u32,
    ) -> Death {
        Death {
            parcel: Arc::clone(envelope) as _,
            listener: self.listener.clone(),
            reason,
            error,
            attempts,
        }
    }

    /// Called by each lane that this one comes after, once the events have ended there. A replay goes to one lane.
    fn arrive(&self, envelopes: &[&Arc<Envelope<E>>]) {
        // Of two lanes where an event ends at once, at least one has to see both.
        fence(Ordering::SeqCst);
        let envelopes = envelopes.iter().copied();
        let ready = envelopes
            .filter(|envelope| !envelope.header().is_replay() && self.is_next(envelope.marks()));
        let ready: Vec<_> = ready.cloned().collect();
        if !ready.is_empty() {
            let events = Run::all(ready);
            self.take_unless(&events, true, |_| false);
            let_go(events.batch);
        }
    }

    /// Whether an event comes here now: it has ended at all lanes that this one comes after, and nobody else has seen
    /// that.
    fn is_next(&self, marks: &Marks) -> bool {
        let mut predecessors = self.predecessors.iter();
        predecessors.all(|slot| marks.outcome(*slot).is_some()) && marks.queue(self.slot)
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

    /// Whether the lane has been given up, and what its worker has not ended with it.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.progress.abandoned.load(Ordering::Relaxed)
    }
}
