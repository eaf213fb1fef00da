//! [`Lane`]: one listener's bounded queue, and the workers that empty it.
//!
//! # Invariants
//!
//! 1. An envelope that the lane took is in `waiting`, in `in_flight`, or settled at the lane's slot.
//!    So whoever ends the lane can name all that it did not do.
//! 2. The queue's lock is never held while code of the application runs or a value of it is dropped:
//!    keys are computed before, displaced envelopes are settled after.
//! 3. With one worker, events are handled in the order in which the router handed them over. With
//!    several, of two events with one order key the later starts after the earlier has ended.
//! 4. Workers end once the lane is closed and nothing waits. If they end otherwise, because their
//!    task was aborted or the runtime ended, the last of them settles what waits.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{
    Abandoned, Envelope, Event, Outcome, Overflow, Policy, Reason, Stage,
    dead_letter::DeadLetters,
    guard::guarded,
    ledger::{Counters, Entry},
    observer::Observers,
    policy::Key,
};

/// One listener's bounded queue.
pub(crate) struct Lane<E> {
    pub(crate) listener: Cow<'static, str>,
    pub(crate) policy: Policy<E>,
    /// The lane's place among the marks of an envelope.
    slot: usize,
    queue: Mutex<Queue<E>>,
    workers: AtomicUsize,
    counters: Counters,
    dead_letters: Arc<DeadLetters>,
    observers: Observers,
}

struct Queue<E> {
    waiting: VecDeque<Waiting<E>>,
    /// Where an event with a coalescing key waits.
    places: HashMap<Key, u64>,
    next_ticket: u64,
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

struct InFlight<E> {
    order: Option<Key>,
    envelope: Arc<Envelope<E>>,
}

#[derive(Clone, Copy, Default)]
struct Keys {
    order: Option<Key>,
    coalesce: Option<Key>,
}

impl<E: Event> Lane<E> {
    pub(crate) fn new(
        listener: Cow<'static, str>,
        policy: Policy<E>,
        slot: usize,
        dead_letters: Arc<DeadLetters>,
        observers: Observers,
    ) -> Self {
        let workers = policy.concurrency.get();
        Self {
            listener,
            policy,
            slot,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                places: HashMap::new(),
                next_ticket: 0,
                in_flight: (0..workers).map(|_| None).collect(),
                sleepers: (0..workers).map(|_| None).collect(),
                closed: false,
            }),
            workers: AtomicUsize::new(workers),
            counters: Counters::default(),
            dead_letters,
            observers,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<E>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a batch; events that do not fit, or are displaced, are settled.
    pub(crate) fn take(&self, batch: &[Arc<Envelope<E>>]) {
        // Without key functions nothing of the application runs, and no buffer is needed.
        let keyed = self.policy.order_key.is_some() || self.policy.coalesce_key.is_some();
        let keys: Vec<Option<Keys>> = if keyed {
            batch.iter().map(|envelope| self.keys(envelope)).collect()
        } else {
            vec![]
        };

        let mut displaced: Vec<(Arc<Envelope<E>>, Outcome)> = Vec::new();
        let mut wakers: Vec<Waker> = Vec::new();
        let mut queue = self.lock();
        for (index, envelope) in batch.iter().enumerate() {
            let keys = if keyed {
                keys[index]
            } else {
                Some(Keys::default())
            };
            let Some(keys) = keys else { continue };
            displaced.extend(self.push(&mut queue, Arc::clone(envelope), keys));
        }
        let mut due = queue.waiting.len();
        for sleeper in &mut queue.sleepers {
            if due == 0 {
                break;
            }
            if let Some(waker) = sleeper.take() {
                wakers.push(waker);
                due -= 1;
            }
        }
        drop(queue);
        for (envelope, outcome) in displaced {
            match outcome {
                Outcome::Dead(reason) => self.bury(&envelope, reason, String::new(), 0),
                outcome => self.settle(&envelope, outcome, 0),
            };
            let _ = guarded(|| drop(envelope));
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The keys of an event, or nothing and a dead letter if a key function panicked.
    fn keys(&self, envelope: &Arc<Envelope<E>>) -> Option<Keys> {
        let event = envelope.event();
        let keys = guarded(|| Keys {
            order: self.policy.order_key.as_ref().map(|key| key.of(event)),
            coalesce: self.policy.coalesce_key.as_ref().map(|key| key.of(event)),
        });
        match keys {
            Ok(keys) => Some(keys),
            Err(panic) => {
                self.bury(envelope, Reason::Panicked, panic.0, 0);
                None
            }
        }
    }

    /// Queues one event and returns the one that it displaced, or itself.
    fn push(
        &self,
        queue: &mut Queue<E>,
        envelope: Arc<Envelope<E>>,
        keys: Keys,
    ) -> Option<(Arc<Envelope<E>>, Outcome)> {
        if queue.closed {
            return Some((envelope, Outcome::Abandoned));
        }
        if let Some(key) = keys.coalesce
            && let Some(&ticket) = queue.places.get(&key)
            && let Ok(place) = queue
                .waiting
                .binary_search_by_key(&ticket, |waiting| waiting.ticket)
        {
            let waiting = &mut queue.waiting[place];
            waiting.keys = keys;
            return Some((
                mem::replace(&mut waiting.envelope, envelope),
                Outcome::Coalesced,
            ));
        }
        let mut displaced = None;
        if queue.waiting.len() >= self.policy.capacity.get() {
            match self.policy.overflow {
                Overflow::DeadLetter => {
                    return Some((envelope, Outcome::Dead(Reason::Overflowed)));
                }
                Overflow::DropOldest => {
                    displaced = queue
                        .remove(0)
                        .map(|oldest| (oldest.envelope, Outcome::Dropped));
                }
            }
        }
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        if let Some(key) = keys.coalesce {
            queue.places.insert(key, ticket);
        }
        queue.waiting.push_back(Waiting {
            ticket,
            keys,
            envelope,
        });
        displaced
    }

    /// Gives `worker` its next event, after which the one it had counts as ended; `None` if the lane
    /// is closed and empty.
    pub(crate) fn poll_next(
        &self,
        worker: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Arc<Envelope<E>>>> {
        let mut queue = self.lock();
        let ended = queue.in_flight[worker].take();
        let next = queue.next_free();
        let poll = match next {
            Some(next) => {
                let envelope = Arc::clone(&next.envelope);
                queue.in_flight[worker] = Some(InFlight {
                    order: next.keys.order,
                    envelope: next.envelope,
                });
                Poll::Ready(Some(envelope))
            }
            // With order keys, what waits belongs to a worker that will come back for it.
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.sleepers[worker] = Some(context.waker().clone());
                Poll::Pending
            }
        };
        // The end of an event may have freed more than one key.
        let heir = if ended.as_ref().is_some_and(|ended| ended.order.is_some())
            && !queue.waiting.is_empty()
        {
            queue
                .sleepers
                .iter_mut()
                .enumerate()
                .find_map(|(index, sleeper)| {
                    if index == worker {
                        None
                    } else {
                        sleeper.take()
                    }
                })
        } else {
            None
        };
        drop(queue);
        if let Some(waker) = heir {
            waker.wake();
        }
        // Perhaps the last hold on the event, whose drop may panic.
        let _ = guarded(|| drop(ended));
        poll
    }

    /// Tells the observers of a step before the event's end.
    pub(crate) fn tell(&self, envelope: &Envelope<E>, stage: Stage<'_>) {
        self.observers
            .tell(envelope.header(), Some(&self.listener), stage);
    }

    /// Counts an outcome, if the event has none yet.
    pub(crate) fn settle(&self, envelope: &Envelope<E>, outcome: Outcome, attempts: u32) -> bool {
        envelope.marks().settle(self.slot, outcome, || {
            self.counters.count(outcome);
            let error = "";
            self.tell(
                envelope,
                Stage::Ended {
                    outcome,
                    attempts,
                    error,
                },
            );
        })
    }

    /// Makes a dead letter, if the event has no outcome yet.
    pub(crate) fn bury(
        &self,
        envelope: &Arc<Envelope<E>>,
        reason: Reason,
        error: String,
        attempts: u32,
    ) -> bool {
        let outcome = Outcome::Dead(reason);
        envelope.marks().settle(self.slot, outcome, || {
            self.counters.count(outcome);
            self.tell(
                envelope,
                Stage::Ended {
                    outcome,
                    attempts,
                    error: &error,
                },
            );
            let parcel = Arc::clone(envelope) as _;
            self.dead_letters
                .bury(parcel, self.listener.clone(), reason, error, attempts);
        })
    }

    /// Settles `envelope` as abandoned and names it, if it has no outcome yet.
    pub(crate) fn abandon_one(&self, envelope: &Envelope<E>, named: &mut Vec<Abandoned>) {
        if self.settle(envelope, Outcome::Abandoned, 0) {
            named.push(Abandoned {
                event: E::NAME,
                id: envelope.id(),
                listener: self.listener.clone(),
            });
        }
    }

    /// Takes no more events. Workers end once they have handled those that wait.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let wakers: Vec<Waker> = queue.sleepers.iter_mut().filter_map(Option::take).collect();
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Closes the lane and abandons what waits and what is being handled.
    pub(crate) fn abandon(&self, named: &mut Vec<Abandoned>) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.places.clear();
        let waiting = mem::take(&mut queue.waiting);
        let in_flight: Vec<Arc<Envelope<E>>> = queue
            .in_flight
            .iter()
            .flatten()
            .map(|flight| Arc::clone(&flight.envelope))
            .collect();
        drop(queue);
        for envelope in in_flight
            .into_iter()
            .chain(waiting.into_iter().map(|next| next.envelope))
        {
            self.abandon_one(&envelope, named);
            let _ = guarded(|| drop(envelope));
        }
    }

    /// Called when a worker's task is gone, however it ended.
    pub(crate) fn worker_ended(&self, worker: usize) {
        let ended = self.lock().in_flight[worker].take();
        if let Some(ended) = ended {
            self.settle(&ended.envelope, Outcome::Abandoned, 0);
            let _ = guarded(|| drop(ended));
        }
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.abandon(&mut Vec::new());
        }
    }

    pub(crate) fn ledger_entry(&self) -> Entry {
        let mut entry = Entry::new(E::NAME, self.listener.clone());
        self.counters.fill(&mut entry);
        entry
    }
}

impl<E> Queue<E> {
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
