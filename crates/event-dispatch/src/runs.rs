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
    /// All events of a batch.
    pub(crate) fn all(events: Vec<Arc<Envelope<E>>>) -> Self {
        Self {
            range: 0..events.len(),
            batch: Arc::new(events),
        }
    }

    /// None of the events of a batch, before the first.
    pub(crate) fn before(batch: Events<E>) -> Self {
        Self { batch, range: 0..0 }
    }

    pub(crate) fn events(&self) -> &[Arc<Envelope<E>>] {
        &self.batch[self.range.clone()]
    }

    /// Which of its route's events the first is; 0 if the lane has not been given them by the router.
    fn number(&self) -> u64 {
        self.events()
            .first()
            .map_or(0, |envelope| envelope.marks().number())
    }

    /// All but the first so many of these.
    pub(crate) fn from(mut self, first: usize) -> Self {
        self.range.start = self.range.end.min(self.range.start + first);
        self
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
    /// Whether what is done of that run passes without a mark, and how many of its events have been counted or are
    /// not to be.
    plain: bool,
    counted: usize,
    /// How many events of that run had ended when the lane was given up: the others are abandoned.
    cut: Option<usize>,
    /// The route's events with a smaller number have been given to the lane, and have ended here.
    given: u64,
    passed: u64,
    capacity: usize,
    /// Whether the worker waits to be woken.
    asleep: bool,
    paused: bool,
    closed: bool,
}

/// What a worker finds.
pub(crate) enum NextRun<E> {
    /// And whether what is done of it needs no mark.
    Run(Run<E>, bool),
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
            plain: false,
            counted: 0,
            cut: None,
            given: 0,
            passed: 0,
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
        if let Some(last) = events.events().last() {
            self.given = self.given.max(last.marks().number() + 1);
        }
        let room = self.capacity.saturating_sub(self.count(begun));
        let length = events.range.len().min(room);
        if length > 0 {
            self.waiting.push_back(events.first(length));
            self.queued += length;
        }
        (length, Outcome::Dead(Reason::Overflowed))
    }

    /// Whether it is more than half full.
    pub(crate) fn is_crowded(&self, begun: usize) -> bool {
        self.count(begun) > self.capacity / 2
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

    /// Whether the lane has been given the route's event of that number.
    pub(crate) fn is_given(&self, number: u64) -> bool {
        number < self.given
    }

    /// Whether the route's event of that number has ended here. Of the run that the worker has, it has ended so many.
    pub(crate) fn has_passed(&self, number: u64, ended: usize) -> bool {
        let in_hand = |run: &Run<E>| {
            let first = run.number();
            first > 0 && first <= number && number - first < self.ended(ended) as u64
        };
        number < self.passed || self.in_hand.as_ref().is_some_and(in_hand)
    }

    /// How many events of the run in hand have ended here that were not abandoned.
    fn ended(&self, ended: usize) -> usize {
        self.cut.map_or(ended, |cut| cut.min(ended))
    }

    /// How many of the events that have passed have not been counted.
    pub(crate) fn uncounted(&self, ended: usize) -> u64 {
        match self.in_hand.is_some() && self.plain {
            true => self.ended(ended).saturating_sub(self.counted) as u64,
            false => 0,
        }
    }

    /// Counts the events that have passed, once; those before `next` are not to be counted later.
    #[must_use]
    pub(crate) fn count_passed(&mut self, ended: usize, next: usize) -> u64 {
        let uncounted = self.uncounted(ended);
        self.counted = next;
        uncounted
    }

    /// Ends the run that the worker has, of which it has ended so many.
    fn end(&mut self, ended: usize) -> Option<Run<E>> {
        let ended = self.ended(ended);
        let run = self.in_hand.take()?;
        let number = run.number();
        if number > 0 {
            self.passed = number + ended as u64;
        }
        Some(run)
    }

    /// Gives the worker its next run, which is `plain` if what is done of it needs no mark; the one it had, of which it
    /// has ended so many, it has to let go of.
    pub(crate) fn next(&mut self, ended: usize, plain: bool) -> (NextRun<E>, Option<Run<E>>) {
        let ended = self.end(ended);
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
                self.plain = plain && run.number() > 0;
                self.counted = 0;
                NextRun::Run(run, self.plain)
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

    /// Takes nothing more, and gives up what waits and what has not ended of the run that the worker has, which it keeps.
    pub(crate) fn abandon(&mut self, ended: usize) -> Vec<Run<E>> {
        self.closed = true;
        self.queued = 0;
        let cut = *self.cut.get_or_insert(ended);
        let waiting = mem::take(&mut self.waiting);
        let in_hand = self.in_hand.iter().map(|run| run.clone().from(cut));
        in_hand.chain(waiting).collect()
    }

    /// What the worker had when its task went away, and how much of it has ended.
    pub(crate) fn leave(&mut self, ended: usize) -> Option<(Run<E>, usize)> {
        let cut = self.ended(ended);
        self.end(ended).map(|run| (run, cut))
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
                Marks::single("mail".into(), false),
                Ping,
            ))
        };
        Run {
            batch: Arc::new((0..length).map(envelope).collect()),
            range: 0..length as usize,
        }
    }

    /// The route's events from `first` on.
    fn numbered(first: u64, length: u64) -> Run<Ping> {
        let run = run_of(length);
        for (number, envelope) in (first..).zip(run.events()) {
            envelope.marks().set_number(number);
        }
        run
    }

    fn next(runs: &mut Runs<Ping>, ended: usize, plain: bool) -> Option<(usize, bool)> {
        match runs.next(ended, plain).0 {
            NextRun::Run(run, plain) => Some((run.events().len(), plain)),
            _ => None,
        }
    }

    #[test]
    fn a_lane_that_is_more_than_half_full_is_crowded() {
        let mut runs = Runs::new(5);
        runs.push(&numbered(1, 2), 0);
        assert!(!runs.is_crowded(0));
        runs.push(&numbered(3, 1), 0);
        assert!(runs.is_crowded(0));
        assert_eq!(next(&mut runs, 0, true), Some((2, true)));
        assert!(runs.is_crowded(0));
        assert!(!runs.is_crowded(1), "what has begun waits no more");
    }

    #[test]
    fn an_event_passes_when_the_worker_has_ended_it_and_counts_once() {
        let mut runs = Runs::new(100);
        assert!(!runs.is_given(0));
        runs.push(&numbered(1, 3), 0);
        runs.push(&numbered(4, 2), 0);
        assert!(runs.is_given(5) && !runs.is_given(6));
        assert!(!runs.has_passed(1, 0));
        assert_eq!(next(&mut runs, 0, true), Some((3, true)));
        let passed = |runs: &Runs<Ping>, ended| (0..7).filter(|n| runs.has_passed(*n, ended)).max();
        assert_eq!(passed(&runs, 0), None);
        assert_eq!((passed(&runs, 2), runs.uncounted(2)), (Some(2), 2));
        // The third is counted by itself.
        assert_eq!((runs.count_passed(2, 3), runs.uncounted(3)), (2, 0));
        assert_eq!(next(&mut runs, 3, false), Some((2, false)));
        assert_eq!((passed(&runs, 0), passed(&runs, 1)), (Some(3), Some(4)));
        assert_eq!(runs.uncounted(2), 0, "what is marked counts by itself");
        assert_eq!(next(&mut runs, 2, true), None);
        assert_eq!((passed(&runs, 0), runs.uncounted(9)), (Some(5), 0));
    }

    #[test]
    fn what_the_router_has_not_given_passes_nothing() {
        let mut runs = Runs::new(100);
        runs.push(&numbered(1, 2), 0);
        runs.push(&run_of(2), 0);
        assert_eq!(next(&mut runs, 0, true), Some((2, true)));
        assert_eq!(next(&mut runs, 2, true), Some((2, false)));
        assert!(!runs.has_passed(3, 2) && !runs.is_given(3));
        assert_eq!(next(&mut runs, 2, true), None);
        assert!(runs.has_passed(2, 0) && !runs.has_passed(3, 0));

        let mut runs = Runs::new(100);
        runs.push(&run_of(3), 0);
        assert_eq!(next(&mut runs, 0, true), Some((3, false)));
        assert!(!runs.has_passed(1, 2));
    }

    #[test]
    fn what_has_not_passed_when_the_lane_is_given_up_never_does() {
        let mut runs = Runs::new(100);
        runs.push(&numbered(1, 4), 0);
        runs.push(&numbered(5, 2), 0);
        assert_eq!(next(&mut runs, 0, true), Some((4, true)));
        let numbers = |left: Vec<Run<Ping>>| -> Vec<u64> {
            let events = left.iter().flat_map(Run::events);
            events.map(|envelope| envelope.marks().number()).collect()
        };
        assert_eq!(numbers(runs.abandon(1)), [2, 3, 4, 5, 6]);
        assert_eq!(numbers(runs.abandon(3)), [2, 3, 4], "it keeps what it has");
        assert!(runs.has_passed(1, 3) && !runs.has_passed(2, 3));
        assert_eq!(runs.uncounted(3), 1);
        assert_eq!(runs.push(&numbered(7, 1), 0), (0, Outcome::Abandoned));
        assert!(!runs.is_given(7), "it was given up before");
        let left = runs
            .leave(3)
            .map(|(run, ended)| (run.events().len(), ended));
        assert_eq!(left, Some((4, 1)));
        assert!(runs.has_passed(1, 0) && !runs.has_passed(2, 0));
        assert!(runs.leave(3).is_none());
    }

    #[test]
    fn a_worker_is_woken_once_and_only_for_something() {
        let mut runs = Runs::new(100);
        runs.sleep();
        assert!(!runs.wake(), "there is nothing");
        runs.push(&run_of(1), 0);
        assert!(runs.is_asleep() && runs.wake() && !runs.is_asleep());
        assert!(!runs.wake(), "it has been");
        runs.sleep();
        assert!(runs.pause(true) && !runs.pause(true));
        runs.sleep();
        assert!(!runs.wake(), "the lane is paused");
        assert!(runs.close() && !runs.close());
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
        assert!(matches!(runs.next(0, true).0, NextRun::Run(_, false)));
        assert_eq!((runs.queued, runs.count(0), runs.count(2)), (61, 64, 62));
        let overflowed = (38, Outcome::Dead(Reason::Overflowed));
        assert_eq!(runs.push(&run_of(50), 2), overflowed);
        assert_eq!((runs.queued, in_waiting(&runs)), (99, 99));
        assert_eq!(runs.push(&run_of(1), 2).0, 0);
        assert_eq!(runs.push(&run_of(2), 3).0, 1);
        assert_eq!(runs.abandon(3).len(), 5);
        assert_eq!((runs.queued, in_waiting(&runs)), (0, 0));
    }
}
