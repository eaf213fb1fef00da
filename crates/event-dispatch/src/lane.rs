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
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{
    Abandoned, Envelope, Event, Outcome, Policy, Reason, Stage,
    ends::Ends,
    guard::guarded,
    ledger::{Counters, Entry},
    queue::{Keys, Next, Queue},
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
    ends: Arc<Ends>,
}

impl<E: Event> Lane<E> {
    pub(crate) fn new(
        listener: Cow<'static, str>,
        policy: Policy<E>,
        slot: usize,
        ends: Arc<Ends>,
    ) -> Self {
        let workers = policy.concurrency.get();
        Self {
            listener,
            slot,
            queue: Mutex::new(Queue::new(policy.capacity.get(), policy.overflow, workers)),
            policy,
            workers: AtomicUsize::new(workers),
            counters: Counters::default(),
            ends,
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
        let mut queue = self.lock();
        for (index, envelope) in batch.iter().enumerate() {
            let keys = if keyed {
                keys[index]
            } else {
                Some(Keys::default())
            };
            let Some(keys) = keys else { continue };
            displaced.extend(queue.push(Arc::clone(envelope), keys));
        }
        let wakers = queue.wake();
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

    /// Gives `worker` its next event, after which the one it had counts as ended; `None` if the lane
    /// is closed and empty.
    pub(crate) fn poll_next(
        &self,
        worker: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Arc<Envelope<E>>>> {
        let mut queue = self.lock();
        let ended = queue.end(worker);
        let poll = match queue.next(worker) {
            Next::Event(envelope) => Poll::Ready(Some(envelope)),
            Next::End => Poll::Ready(None),
            Next::Nothing => {
                queue.sleep(worker, context.waker());
                Poll::Pending
            }
        };
        let heir = queue.heir(worker, ended.as_ref());
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
        self.ends
            .observers
            .tell(envelope.header(), Some(&self.listener), stage);
    }

    /// Counts an outcome, if the event has none yet.
    pub(crate) fn settle(&self, envelope: &Envelope<E>, outcome: Outcome, attempts: u32) -> bool {
        envelope.marks().settle(self.slot, outcome, || {
            self.counters.count(outcome);
            if outcome == Outcome::Abandoned {
                self.ends.abandoned.name(Abandoned {
                    event: E::NAME,
                    id: envelope.id(),
                    listener: self.listener.clone(),
                });
            }
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
            self.ends
                .dead_letters
                .bury(parcel, self.listener.clone(), reason, error, attempts);
        })
    }

    /// Takes no more events. Workers end once they have handled those that wait.
    pub(crate) fn close(&self) {
        let wakers = self.lock().close();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Closes the lane and abandons what waits and what is being handled.
    pub(crate) fn abandon(&self) {
        let abandoned = self.lock().abandon();
        for envelope in abandoned {
            self.settle(&envelope, Outcome::Abandoned, 0);
            let _ = guarded(|| drop(envelope));
        }
    }

    /// Called when a worker's task is gone, however it ended.
    pub(crate) fn worker_ended(&self, worker: usize) {
        let ended = self.lock().end(worker);
        if let Some(ended) = ended {
            self.settle(&ended.envelope, Outcome::Abandoned, 0);
            let _ = guarded(|| drop(ended));
        }
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.abandon();
        }
    }

    pub(crate) fn ledger_entry(&self) -> Entry {
        let mut entry = Entry::new(E::NAME, self.listener.clone());
        self.counters.fill(&mut entry);
        entry
    }
}
