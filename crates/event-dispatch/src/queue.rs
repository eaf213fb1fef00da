//! [`Queue`]: what waits in a lane, and what its workers have taken.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    task::Waker,
};

use crate::{Envelope, Outcome, Overflow, Reason, guard::guarded, policy::Key};

/// What waits in a lane, and what its workers have taken.
pub(crate) struct Queue<E> {
    waiting: VecDeque<Waiting<E>>,
    /// Where an event with a coalescing key waits.
    places: HashMap<Key, u64>,
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

struct Waiting<E> {
    /// Ascending in the queue, so that a place is found by binary search.
    ticket: u64,
    keys: Keys,
    envelope: Arc<Envelope<E>>,
}

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
            && let Some(&ticket) = self.places.get(&key)
            && let Ok(place) = self
                .waiting
                .binary_search_by_key(&ticket, |waiting| waiting.ticket)
        {
            let waiting = &mut self.waiting[place];
            waiting.keys = keys;
            return Some((
                mem::replace(&mut waiting.envelope, envelope),
                Outcome::Coalesced,
            ));
        }
        let mut displaced = None;
        if self.waiting.len() >= self.capacity {
            match self.overflow {
                Overflow::DeadLetter => {
                    return Some((envelope, Outcome::Dead(Reason::Overflowed)));
                }
                Overflow::DropOldest => {
                    displaced = self
                        .remove(0)
                        .map(|oldest| (oldest.envelope, Outcome::Dropped));
                }
            }
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if let Some(key) = keys.coalesce {
            self.places.insert(key, ticket);
        }
        self.waiting.push_back(Waiting {
            ticket,
            keys,
            envelope,
        });
        displaced
    }

    /// Gives a worker as many events as its hands have room for.
    pub(crate) fn next(&mut self, hands: &mut Hands<E>) -> Next {
        while !hands.are_full() && !self.paused {
            let Some(next) = self.next_free(hands.worker) else {
                break;
            };
            hands.events.push(Arc::clone(&next.envelope));
            self.in_flight[hands.worker].push(InFlight {
                order: next.keys.order,
                envelope: next.envelope,
            });
        }
        // With order keys, what waits belongs to a worker that will come back for it.
        let over = self.closed && (!self.paused || self.waiting.is_empty());
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
    }

    /// What a worker had when its task went away.
    pub(crate) fn leave(&mut self, worker: usize) -> Vec<InFlight<E>> {
        mem::take(&mut self.in_flight[worker])
    }

    /// A worker to wake because another has ended something: that may have freed more than one key.
    pub(crate) fn heir(&mut self, hands: &Hands<E>) -> Option<Waker> {
        if self.waiting.is_empty() || hands.ended.iter().all(|ended| ended.order.is_none()) {
            return None;
        }
        let others = self.sleepers.iter_mut().enumerate();
        others
            .filter(|(index, _)| *index != hands.worker)
            .find_map(|(_, sleeper)| sleeper.take())
    }

    pub(crate) fn sleep(&mut self, hands: &Hands<E>, waker: &Waker) {
        self.sleepers[hands.worker] = Some(waker.clone());
    }

    /// As many sleeping workers as there is something to do for.
    pub(crate) fn wake(&mut self) -> Vec<Waker> {
        if self.paused {
            return Vec::new();
        }
        let sleepers = self.sleepers.iter_mut().filter_map(Option::take);
        sleepers.take(self.waiting.len()).collect()
    }

    /// Hands out nothing more until told otherwise, and returns the workers that this concerns.
    pub(crate) fn pause(&mut self, paused: bool) -> Vec<Waker> {
        self.paused = paused;
        self.sleepers.iter_mut().filter_map(Option::take).collect()
    }

    /// How many wait, how many are being handled, and whether the lane is paused.
    pub(crate) fn state(&self) -> (usize, usize, bool) {
        let running = self.in_flight.iter().map(Vec::len).sum();
        (self.waiting.len(), running, self.paused)
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
        let waiting = mem::take(&mut self.waiting);
        in_flight
            .chain(waiting.into_iter().map(|next| next.envelope))
            .collect()
    }

    /// Removes the first event whose order key no other worker is handling.
    fn next_free(&mut self, worker: usize) -> Option<Waiting<E>> {
        let Self {
            waiting, in_flight, ..
        } = self;
        let busy = |key: Key| {
            let others = in_flight.iter().enumerate();
            others
                .filter(|(index, _)| *index != worker)
                .flat_map(|(_, flights)| flights)
                .any(|flight| flight.order == Some(key))
        };
        let free = waiting
            .iter()
            .position(|next| next.keys.order.is_none_or(|key| !busy(key)))?;
        self.remove(free)
    }

    fn remove(&mut self, place: usize) -> Option<Waiting<E>> {
        let removed = self.waiting.remove(place)?;
        if let Some(key) = removed.keys.coalesce {
            self.places.remove(&key);
        }
        Some(removed)
    }
}
