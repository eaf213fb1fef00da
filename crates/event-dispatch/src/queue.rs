//! [`Queue`]: what waits in a lane, and what its workers have taken.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    task::Waker,
};

use crate::{Envelope, Outcome, Overflow, Reason, policy::Key};

/// What waits in a lane, and what its workers have taken.
pub(crate) struct Queue<E> {
    waiting: VecDeque<Waiting<E>>,
    /// Where an event with a coalescing key waits.
    places: HashMap<Key, u64>,
    next_ticket: u64,
    capacity: usize,
    overflow: Overflow,
    /// What each worker handles now.
    in_flight: Box<[Option<InFlight<E>>]>,
    /// Workers that found nothing to do.
    sleepers: Box<[Option<Waker>]>,
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

#[derive(Clone, Copy, Default)]
pub(crate) struct Keys {
    pub(crate) order: Option<Key>,
    pub(crate) coalesce: Option<Key>,
}

/// What a worker finds.
pub(crate) enum Next<E> {
    Event(Arc<Envelope<E>>),
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
            in_flight: (0..workers).map(|_| None).collect(),
            sleepers: (0..workers).map(|_| None).collect(),
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

    /// Gives `worker` its next event.
    pub(crate) fn next(&mut self, worker: usize) -> Next<E> {
        match self.next_free() {
            Some(next) => {
                let envelope = Arc::clone(&next.envelope);
                self.in_flight[worker] = Some(InFlight {
                    order: next.keys.order,
                    envelope: next.envelope,
                });
                Next::Event(envelope)
            }
            // With order keys, what waits belongs to a worker that will come back for it.
            None if self.closed => Next::End,
            None => Next::Nothing,
        }
    }

    /// Notes that `worker` is done with what it had, and gives that back.
    pub(crate) fn end(&mut self, worker: usize) -> Option<InFlight<E>> {
        self.in_flight[worker].take()
    }

    /// A worker to wake because `worker` has ended something: that may have freed more than one key.
    pub(crate) fn heir(&mut self, worker: usize, ended: Option<&InFlight<E>>) -> Option<Waker> {
        if ended.is_none_or(|ended| ended.order.is_none()) || self.waiting.is_empty() {
            return None;
        }
        let others = self.sleepers.iter_mut().enumerate();
        others
            .filter(|(index, _)| *index != worker)
            .find_map(|(_, sleeper)| sleeper.take())
    }

    pub(crate) fn sleep(&mut self, worker: usize, waker: &Waker) {
        self.sleepers[worker] = Some(waker.clone());
    }

    /// As many sleeping workers as there is something to do for.
    pub(crate) fn wake(&mut self) -> Vec<Waker> {
        let sleepers = self.sleepers.iter_mut().filter_map(Option::take);
        sleepers.take(self.waiting.len()).collect()
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

    /// Removes the first event whose order key is not being handled.
    fn next_free(&mut self) -> Option<Waiting<E>> {
        let Self {
            waiting, in_flight, ..
        } = self;
        let busy = |key: Key| {
            in_flight
                .iter()
                .flatten()
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
