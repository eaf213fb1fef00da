//! [`Runs`]: what waits in a lane that takes its events as they come.
//!
//! A lane without keys, with one worker and nothing to replace, needs no queue of its own: it holds the
//! router's batches, which all such lanes share, and which events of each are its to handle.

use std::{collections::VecDeque, mem, ops::Range, sync::Arc};

use crate::{Envelope, Outcome, Reason, guard::guarded};

/// Events that the router gives to all lanes at once.
pub(crate) type Events<E> = Arc<Vec<Arc<Envelope<E>>>>;

/// Some of a router's batch.
pub(crate) struct Run<E> {
    pub(crate) batch: Events<E>,
    pub(crate) range: Range<usize>,
}

impl<E> Clone for Run<E> {
    fn clone(&self) -> Self {
        Self {
            batch: Arc::clone(&self.batch),
            range: self.range.clone(),
        }
    }
}

impl<E> Run<E> {
    /// A batch of one event.
    pub(crate) fn of(envelope: &Arc<Envelope<E>>) -> Self {
        Self {
            batch: Arc::new(vec![Arc::clone(envelope)]),
            range: 0..1,
        }
    }

    /// None of the events of a batch, before the first.
    pub(crate) fn before(batch: Events<E>) -> Self {
        Self { batch, range: 0..0 }
    }

    pub(crate) fn events(&self) -> &[Arc<Envelope<E>>] {
        &self.batch[self.range.clone()]
    }

    /// The first so many of these.
    fn first(&self, most: usize) -> Self {
        let end = self.range.end.min(self.range.start + most);
        Self {
            batch: Arc::clone(&self.batch),
            range: self.range.start..end,
        }
    }
}

/// What waits in a lane that takes its events as they come, and the run that its worker has.
pub(crate) struct Runs<E> {
    waiting: VecDeque<Run<E>>,
    /// How many events are in `waiting`: a lane that is full may hold as many runs as events.
    queued: usize,
    in_hand: Option<Run<E>>,
    capacity: usize,
    /// Whether the worker waits to be woken.
    asleep: bool,
    paused: bool,
    closed: bool,
}

/// What a worker finds.
pub(crate) enum NextRun<E> {
    Run(Run<E>),
    Nothing,
    /// Nothing, and there will be nothing more.
    End,
}

impl<E> Runs<E> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            queued: 0,
            in_hand: None,
            capacity,
            asleep: false,
            paused: false,
            closed: false,
        }
    }

    /// Takes the first of `events` that there is room for; returns how many, and how the others end.
    /// Of the run that the worker has, it has begun so many.
    pub(crate) fn push(&mut self, events: &Run<E>, begun: usize) -> (usize, Outcome) {
        if self.closed {
            return (0, Outcome::Abandoned);
        }
        let room = self.capacity.saturating_sub(self.count(begun));
        let length = events.range.len().min(room);
        if length > 0 {
            self.waiting.push_back(events.first(length));
            self.queued += length;
        }
        (length, Outcome::Dead(Reason::Overflowed))
    }

    /// How many wait.
    fn count(&self, begun: usize) -> usize {
        let in_hand = self
            .in_hand
            .as_ref()
            .map_or(0, |run| run.range.len() - begun);
        in_hand + self.queued
    }

    /// The event that has `index` in the run that the worker has.
    pub(crate) fn in_hand(&self, index: usize) -> Option<&Arc<Envelope<E>>> {
        self.in_hand.as_ref()?.events().get(index)
    }

    /// Gives the worker its next run; the one it had it has to let go of.
    pub(crate) fn next(&mut self) -> (NextRun<E>, Option<Run<E>>) {
        let ended = self.in_hand.take();
        let next = if self.paused {
            None
        } else {
            self.waiting.pop_front()
        };
        let next = match next {
            Some(run) => {
                self.queued -= run.range.len();
                self.in_hand = Some(run.clone());
                self.asleep = false;
                NextRun::Run(run)
            }
            None if self.closed && self.waiting.is_empty() => NextRun::End,
            None => NextRun::Nothing,
        };
        (next, ended)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep
    }

    pub(crate) fn sleep(&mut self) {
        self.asleep = true;
    }

    /// Whether to wake the worker: it sleeps and there is something to do.
    pub(crate) fn wake(&mut self) -> bool {
        !self.paused && !self.waiting.is_empty() && mem::take(&mut self.asleep)
    }

    /// Hands out nothing more until told otherwise, and says whether to wake the worker.
    pub(crate) fn pause(&mut self, paused: bool) -> bool {
        self.paused = paused;
        mem::take(&mut self.asleep)
    }

    /// How many wait, and whether the lane is paused.
    pub(crate) fn state(&self, begun: usize) -> (usize, bool) {
        (self.count(begun), self.paused)
    }

    /// Takes nothing more, and says whether to wake the worker.
    pub(crate) fn close(&mut self) -> bool {
        self.closed = true;
        mem::take(&mut self.asleep)
    }

    /// Takes nothing more, and gives up what waits and the run that the worker has, which it keeps.
    pub(crate) fn abandon(&mut self) -> Vec<Run<E>> {
        self.closed = true;
        self.queued = 0;
        let waiting = mem::take(&mut self.waiting);
        self.in_hand.iter().cloned().chain(waiting).collect()
    }

    /// What the worker had when its task went away.
    pub(crate) fn leave(&mut self) -> Option<Run<E>> {
        self.in_hand.take()
    }
}

/// Lets go of a batch. The drop of each event may panic, and two panics at once would end the process.
pub(crate) fn let_go<E>(events: Events<E>) {
    if let Some(events) = Arc::into_inner(events) {
        for envelope in events {
            let _ = guarded(|| drop(envelope));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, EventId, delivery::Origin, outcome::Marks};

    struct Ping;

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    fn run_of(length: u64) -> Run<Ping> {
        let envelope = |number| {
            let header = Origin::default().header::<Ping>(EventId::new(1, number));
            Arc::new(Envelope::new(
                header,
                Marks::new(Arc::from(["mail".into()]), 0),
                Ping,
            ))
        };
        Run {
            batch: Arc::new((0..length).map(envelope).collect()),
            range: 0..length as usize,
        }
    }

    fn in_waiting(runs: &Runs<Ping>) -> usize {
        runs.waiting.iter().map(|run| run.range.len()).sum()
    }

    /// Every push had added up all runs that waited, so a lane that was full of single events took them all the
    /// longer the fuller it was, and a bus under overload did little else.
    #[test]
    fn the_number_of_those_that_wait_is_kept_and_right() {
        let mut runs = Runs::new(100);
        for length in [3, 1, 60] {
            assert_eq!(runs.push(&run_of(length), 0).0, length as usize);
            assert_eq!(runs.queued, in_waiting(&runs));
        }
        assert!(matches!(runs.next().0, NextRun::Run(_)));
        assert_eq!((runs.queued, runs.count(0), runs.count(2)), (61, 64, 62));
        let overflowed = (38, Outcome::Dead(Reason::Overflowed));
        assert_eq!(runs.push(&run_of(50), 2), overflowed);
        assert_eq!((runs.queued, in_waiting(&runs)), (99, 99));
        assert_eq!(runs.push(&run_of(1), 2).0, 0);
        assert_eq!(runs.push(&run_of(2), 3).0, 1);
        assert_eq!(runs.abandon().len(), 5);
        assert_eq!((runs.queued, in_waiting(&runs)), (0, 0));
    }
}
