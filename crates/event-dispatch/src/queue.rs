//! [`Queue`]: what waits in a lane, and what its workers have taken.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    task::Waker,
};

use crate::{Envelope, Outcome, Overflow, Reason, guard::guarded, lines::Lines, policy::Key};

/// What waits in a lane, and what its workers have taken.
pub(crate) struct Queue<E> {
    waiting: VecDeque<Waiting<E>>,
    /// What came before all that is in `waiting`, and waits for another event with its order key to end.
    aside: Lines<E>,
    /// Where an event with a coalescing key waits.
    places: HashMap<Key, Place>,
    next_ticket: u64,
    capacity: usize,
    overflow: Overflow,
    /// What each worker handles now.
    in_flight: Box<[Vec<InFlight<E>>]>,
    /// Workers that found nothing to do.
    sleepers: Box<[Option<Waker>]>,
    paused: bool,
    closed: bool,
}

/// An event that waits in a lane.
pub(crate) struct Waiting<E> {
    /// Ascending in the queue, so that a place is found by binary search.
    pub(crate) ticket: u64,
    keys: Keys,
    envelope: Arc<Envelope<E>>,
}

/// Where an event waits: its ticket, and its order key.
type Place = (u64, Option<Key>);

/// What a worker has taken.
pub(crate) struct InFlight<E> {
    order: Option<Key>,
    pub(crate) envelope: Arc<Envelope<E>>,
}

/// What one worker has in its hands.
pub(crate) struct Hands<E> {
    worker: usize,
    most: usize,
    /// What it handles.
    pub(crate) events: Vec<Arc<Envelope<E>>>,
    /// What it had before; kept for its room.
    ended: Vec<InFlight<E>>,
}

impl<E> Hands<E> {
    /// Of a worker that handles at most so many events at once.
    pub(crate) fn new(worker: usize, most: usize) -> Self {
        Self {
            worker,
            most,
            events: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub(crate) fn are_full(&self) -> bool {
        self.events.len() >= self.most
    }

    /// Lets go of what the worker has handled. The lane must not be locked: an event's drop may panic.
    pub(crate) fn let_go(&mut self) {
        while let Some(envelope) = self.events.pop() {
            let _ = guarded(|| drop(envelope));
        }
    }

    /// Lets go of what the queue has given back, before it is asked again. The lane must not be locked.
    pub(crate) fn let_go_of_ended(&mut self) {
        while let Some(ended) = self.ended.pop() {
            let _ = guarded(|| drop(ended));
        }
    }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Keys {
    pub(crate) order: Option<Key>,
    pub(crate) coalesce: Option<Key>,
}

/// What a worker finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Events,
    Nothing,
    /// Nothing, and there will be nothing more.
    End,
}

impl<E> Queue<E> {
    pub(crate) fn new(capacity: usize, overflow: Overflow, workers: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            aside: Lines::new(workers),
            places: HashMap::new(),
            next_ticket: 0,
            capacity,
            overflow,
            in_flight: (0..workers).map(|_| Vec::new()).collect(),
            sleepers: (0..workers).map(|_| None).collect(),
            paused: false,
            closed: false,
        }
    }

    /// Queues one event and returns the one that it displaced, or itself, and how that one ends.
    pub(crate) fn push(
        &mut self,
        envelope: Arc<Envelope<E>>,
        keys: Keys,
    ) -> Option<(Arc<Envelope<E>>, Outcome)> {
        if self.closed {
            return Some((envelope, Outcome::Abandoned));
        }
        if let Some(key) = keys.coalesce
            && let Some(place) = self.places.get(&key).copied()
        {
            let older = self.replace(place, keys, envelope);
            return older.map(|older| (older, Outcome::Coalesced));
        }
        let mut displaced = None;
        if self.len() >= self.capacity {
            match self.overflow {
                Overflow::DeadLetter => {
                    return Some((envelope, Outcome::Dead(Reason::Overflowed)));
                }
                Overflow::DropOldest => {
                    let oldest = self.aside.remove_oldest();
                    let oldest = oldest.or_else(|| self.waiting.pop_front());
                    displaced = oldest.map(|oldest| {
                        self.forget_place(oldest.keys);
                        (oldest.envelope, Outcome::Dropped)
                    });
                }
            }
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if let Some(key) = keys.coalesce {
            self.places.insert(key, (ticket, keys.order));
        }
        self.waiting.push_back(Waiting {
            ticket,
            keys,
            envelope,
        });
        displaced
    }

    /// How many events wait.
    fn len(&self) -> usize {
        self.waiting.len() + self.aside.len()
    }

    /// Whether it is more than half full. Where newer events take the place of older ones, nothing comes of that.
    pub(crate) fn is_crowded(&self) -> bool {
        self.overflow == Overflow::DeadLetter && self.len() > self.capacity / 2
    }

    /// Has an event wait in place of another, which it returns.
    fn replace(
        &mut self,
        (ticket, order): Place,
        keys: Keys,
        envelope: Arc<Envelope<E>>,
    ) -> Option<Arc<Envelope<E>>> {
        if let Some(key) = keys.coalesce {
            self.places.insert(key, (ticket, keys.order));
        }
        let newer = Waiting {
            ticket,
            keys,
            envelope,
        };
        let waiting = &mut self.waiting;
        let older = match waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket) {
            Ok(place) => mem::replace(&mut waiting[place], newer),
            Err(_) => {
                let older = order.and_then(|key| self.aside.remove(key, ticket));
                match keys.order {
                    Some(key) => self.aside.insert(key, newer, self.holder(key)),
                    // Where it belongs: all that is aside came before.
                    None => self.waiting.push_front(newer),
                }
                older?
            }
        };
        Some(older.envelope)
    }

    /// Gives a worker as many events as its hands have room for.
    pub(crate) fn next(&mut self, hands: &mut Hands<E>) -> Next {
        while !hands.are_full() && !self.paused {
            let Some(next) = self.next_free(hands.worker) else {
                break;
            };
            self.forget_place(next.keys);
            hands.events.push(Arc::clone(&next.envelope));
            self.in_flight[hands.worker].push(InFlight {
                order: next.keys.order,
                envelope: next.envelope,
            });
        }
        // With order keys, what waits belongs to a worker that will come back for it.
        let over = self.closed && (!self.paused || self.len() == 0);
        match (hands.events.is_empty(), over) {
            (false, _) => Next::Events,
            (true, false) => Next::Nothing,
            (true, true) => Next::End,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing more can come for a batch that waits for more.
    pub(crate) fn is_over(&self) -> bool {
        self.closed || self.paused
    }

    /// Notes that a worker is done with what it had, which it has to let go of.
    pub(crate) fn end(&mut self, hands: &mut Hands<E>) {
        mem::swap(&mut hands.ended, &mut self.in_flight[hands.worker]);
        let keys = hands.ended.iter().filter_map(|ended| ended.order);
        self.aside.release(keys, hands.worker);
    }

    /// What a worker had when its task went away.
    pub(crate) fn leave(&mut self, worker: usize) -> Vec<InFlight<E>> {
        let left = mem::take(&mut self.in_flight[worker]);
        let keys = left.iter().filter_map(|left| left.order);
        self.aside.release(keys, worker);
        left
    }

    /// A worker to wake because another has left something that it may begin: to end something may free more than one
    /// key.
    pub(crate) fn heir(&mut self) -> Option<Waker> {
        match self.paused || self.aside.free() == 0 {
            true => None,
            false => self.sleepers.iter_mut().find_map(Option::take),
        }
    }

    pub(crate) fn sleep(&mut self, hands: &Hands<E>, waker: &Waker) {
        self.sleepers[hands.worker] = Some(waker.clone());
    }

    /// As many sleeping workers as there is something to do for.
    pub(crate) fn wake(&mut self) -> Vec<Waker> {
        if self.paused {
            return Vec::new();
        }
        let mut free = self.waiting.len() + self.aside.free();
        let mut wakers = Vec::new();
        for (worker, sleeper) in self.sleepers.iter_mut().enumerate() {
            let own = self.aside.has_own(worker);
            if own || free > 0 {
                free -= usize::from(!own && sleeper.is_some());
                wakers.extend(sleeper.take());
            }
        }
        wakers
    }

    /// Hands out nothing more until told otherwise, and returns the workers that this concerns.
    pub(crate) fn pause(&mut self, paused: bool) -> Vec<Waker> {
        self.paused = paused;
        self.sleepers.iter_mut().filter_map(Option::take).collect()
    }

    /// How many wait, how many are being handled, and whether the lane is paused.
    pub(crate) fn state(&self) -> (usize, usize, bool) {
        let running = self.in_flight.iter().map(Vec::len).sum();
        (self.len(), running, self.paused)
    }

    /// Takes nothing more, and returns all workers that sleep.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        self.sleepers.iter_mut().filter_map(Option::take).collect()
    }

    /// Takes nothing more, and gives up what is being handled, which it keeps, and what waits.
    pub(crate) fn abandon(&mut self) -> Vec<Arc<Envelope<E>>> {
        self.closed = true;
        self.places.clear();
        let in_flight = self.in_flight.iter().flatten();
        let in_flight = in_flight.map(|flight| Arc::clone(&flight.envelope));
        let waiting = self
            .aside
            .take()
            .into_iter()
            .chain(mem::take(&mut self.waiting));
        in_flight.chain(waiting.map(|next| next.envelope)).collect()
    }

    /// Removes the first event whose order key no other worker is handling.
    fn next_free(&mut self, worker: usize) -> Option<Waiting<E>> {
        if let Some(next) = self.aside.next(worker) {
            return Some(next);
        }
        loop {
            let next = self.waiting.pop_front()?;
            let Some(key) = next.keys.order else {
                return Some(next);
            };
            match self.holder(key) {
                Some(holder) if holder != worker => self.aside.insert(key, next, Some(holder)),
                _ => return Some(next),
            }
        }
    }

    /// The worker that handles an event with that order key.
    fn holder(&self, key: Key) -> Option<usize> {
        let handles =
            |flights: &Vec<InFlight<E>>| flights.iter().any(|flight| flight.order == Some(key));
        self.in_flight.iter().position(handles)
    }

    fn forget_place(&mut self, keys: Keys) {
        if let Some(key) = keys.coalesce {
            self.places.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        task::Wake,
    };

    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{Event, EventId, delivery::Origin, outcome::Marks};

    const WORKERS: usize = 3;

    struct Ping;

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    fn envelope(number: u64) -> Arc<Envelope<Ping>> {
        let header = Origin::default().header::<Ping>(EventId::new(1, number));
        Arc::new(Envelope::new(
            header,
            Marks::single("mail".into(), false),
            Ping,
        ))
    }

    fn number(envelope: &Envelope<Ping>) -> u64 {
        envelope.id().sequence()
    }

    /// Says that its worker is awake.
    struct Bell(AtomicBool);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What somebody does to a queue.
    #[derive(Debug, Clone)]
    enum Act {
        Push {
            order: u8,
            coalesce: Option<u8>,
        },
        /// A worker ends what it has, and asks for more.
        Turn(usize),
        /// A worker asks for more, if it has not enough.
        Fill(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let ordered = (0_u8..4, option::of(0_u8..3));
        let act = prop_oneof![
            3 => ordered.prop_map(|(order, coalesce)| Act::Push { order, coalesce }),
            3 => (0..WORKERS).prop_map(Act::Turn),
            1 => (0..WORKERS).prop_map(Act::Fill),
        ];
        vec(act, 1..120)
    }

    /// The queue as a list through which each search goes from its begin.
    #[derive(Default)]
    struct Model {
        waiting: Vec<(u64, u8, Option<u8>)>,
        held: [Vec<(u64, u8)>; WORKERS],
    }

    impl Model {
        fn push(
            &mut self,
            new: (u64, u8, Option<u8>),
            capacity: usize,
            overflow: Overflow,
        ) -> Option<(u64, Outcome)> {
            let mut waiting = self.waiting.iter_mut();
            if new.2.is_some()
                && let Some(older) = waiting.find(|older| older.2 == new.2)
            {
                return Some((mem::replace(older, new).0, Outcome::Coalesced));
            }
            let mut displaced = None;
            if self.waiting.len() >= capacity {
                if overflow == Overflow::DeadLetter {
                    return Some((new.0, Outcome::Dead(Reason::Overflowed)));
                }
                displaced = Some((self.waiting.remove(0).0, Outcome::Dropped));
            }
            self.waiting.push(new);
            displaced
        }

        fn next(&mut self, worker: usize, most: usize) -> Vec<u64> {
            while self.held[worker].len() < most {
                let busy = |key: u8| {
                    let mut others = (0..WORKERS).filter(|other| *other != worker);
                    others.any(|other| self.held[other].iter().any(|held| held.1 == key))
                };
                let Some(free) = self.waiting.iter().position(|waiting| !busy(waiting.1)) else {
                    break;
                };
                let (number, order, _) = self.waiting.remove(free);
                self.held[worker].push((number, order));
            }
            self.held[worker].iter().map(|held| held.0).collect()
        }
    }

    /// A queue beside its model.
    struct Both {
        queue: Queue<Ping>,
        model: Model,
        hands: Vec<Hands<Ping>>,
        bells: Vec<Arc<Bell>>,
        most: usize,
    }

    impl Both {
        fn new(most: usize, capacity: usize, overflow: Overflow) -> Self {
            let bell = |_| Arc::new(Bell(AtomicBool::new(true)));
            Self {
                queue: Queue::new(capacity, overflow, WORKERS),
                model: Model::default(),
                hands: (0..WORKERS)
                    .map(|worker| Hands::new(worker, most))
                    .collect(),
                bells: (0..WORKERS).map(bell).collect(),
                most,
            }
        }

        /// What a lane does for a worker that asks.
        fn ask(&mut self, worker: usize, ends: bool) {
            let hands = &mut self.hands[worker];
            if ends {
                hands.let_go();
                self.queue.end(hands);
                self.model.held[worker].clear();
            }
            self.queue.next(hands);
            let got: Vec<_> = hands
                .events
                .iter()
                .map(|envelope| number(envelope))
                .collect();
            assert_eq!(got, self.model.next(worker, self.most));
            self.bells[worker]
                .0
                .store(!got.is_empty(), Ordering::Relaxed);
            // A worker that has something sleeps only to have more.
            let sleeps = match ends {
                true => got.is_empty(),
                false => !hands.are_full(),
            };
            if sleeps {
                let waker = Arc::clone(&self.bells[worker]).into();
                self.queue.sleep(hands, &waker);
            }
            if ends {
                self.queue.heir().into_iter().for_each(Waker::wake);
                self.hands[worker].let_go_of_ended();
            }
        }
    }

    #[test]
    fn a_queue_that_is_more_than_half_full_is_crowded() {
        for (overflow, expected) in [
            (Overflow::DeadLetter, [false, false, true, true, true]),
            (Overflow::DropOldest, [false; 5]),
        ] {
            let mut queue = Queue::new(5, overflow, WORKERS);
            let crowded = expected.map(|_| {
                queue.push(envelope(1), Keys::default());
                queue.is_crowded()
            });
            assert_eq!(crowded, expected);
        }
    }

    proptest! {
        /// Who searches all that waits from its begin finds the same, and no worker sleeps over what it may begin.
        #[test]
        fn a_queue_gives_what_a_search_from_the_begin_would_find(
            acts in acts(),
            most in 1_usize..4,
            capacity in 1_usize..12,
            drops in any::<bool>(),
        ) {
            let overflow = match drops {
                true => Overflow::DropOldest,
                false => Overflow::DeadLetter,
            };
            let mut both = Both::new(most, capacity, overflow);
            for (act, id) in acts.into_iter().zip(1..) {
                match act {
                    Act::Push { order, coalesce } => {
                        let keys = Keys { order: Some(Key::numbered(order)), coalesce: coalesce.map(Key::numbered) };
                        let displaced = both.queue.push(envelope(id), keys);
                        let displaced = displaced.map(|(envelope, outcome)| (number(&envelope), outcome));
                        prop_assert_eq!(displaced, both.model.push((id, order, coalesce), capacity, overflow));
                        both.queue.wake().into_iter().for_each(Waker::wake);
                    }
                    Act::Turn(worker) => both.ask(worker, true),
                    Act::Fill(worker) if !both.hands[worker].events.is_empty() => both.ask(worker, false),
                    Act::Fill(_) => {}
                }
                let running = both.model.held.iter().map(Vec::len).sum();
                prop_assert_eq!(both.queue.state(), (both.model.waiting.len(), running, false));
            }
            while let Some(worker) = both.bells.iter().position(|bell| bell.0.load(Ordering::Relaxed)) {
                both.ask(worker, true);
            }
            prop_assert_eq!(both.queue.state(), (0, 0, false));
        }

        /// Of what nobody has begun, and of what somebody has, each once.
        #[test]
        fn a_queue_that_is_given_up_gives_back_all_that_it_has(acts in acts(), most in 1_usize..4) {
            let mut both = Both::new(most, 100, Overflow::DeadLetter);
            for (act, id) in acts.into_iter().zip(1..) {
                match act {
                    Act::Push { order, .. } => {
                        let keys = Keys { order: Some(Key::numbered(order)), coalesce: None };
                        both.queue.push(envelope(id), keys);
                        both.model.push((id, order, None), 100, Overflow::DeadLetter);
                    }
                    Act::Turn(worker) | Act::Fill(worker) => both.ask(worker, true),
                }
            }
            let held = both.model.held.iter().flatten().map(|held| held.0);
            let expected: Vec<_> = held.chain(both.model.waiting.iter().map(|waiting| waiting.0)).collect();
            let given: Vec<_> = both.queue.abandon().iter().map(|envelope| number(envelope)).collect();
            prop_assert_eq!(given, expected);
            prop_assert!(both.queue.push(envelope(0), Keys::default()).is_some_and(|(_, outcome)| outcome == Outcome::Abandoned));
        }
    }
}
