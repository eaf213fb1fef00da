//! [`Lane`]: one listener's bounded queue, and the workers that empty it.
//!
//! # Invariants
//!
//! 1. An envelope that the lane took waits, is with a worker, has passed, or is settled at the lane's slot.
//!    So whoever ends the lane can name all that it did not do.
//! 2. The queue's lock is never held while code of the application runs or a value of it is dropped:
//!    keys are computed before, displaced envelopes are settled after.
//! 3. With one worker, events are handled in the order in which the router handed them over. With
//!    several, of two events with one order key the later starts after the earlier has ended.
//! 4. A lane that comes after others is given an event once, by the last of them to end it, and closes
//!    after the last of them.
//! 5. What a quick listener has done passes: the worker says in `progress` how far it is, with no more than a store.
//!    Whoever asks, counts or abandons looks there under the lock; what has not passed when the lane is given up is
//!    abandoned, and does not count as done even if the worker is done with it meanwhile.
//! 6. Workers end once the lane is closed and nothing waits. If they end otherwise, because their
//!    task was aborted or the runtime ended, the last of them settles what waits.

mod progress;
mod settlement;
mod supply;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use self::progress::Progress;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::Limiter;
use crate::{
    Batching, Envelope, Event, LaneState, Outcome, Policy, Reason, Stage,
    delivery::Courier,
    ends::Ends,
    envelope::Parcel,
    failed::OnFailure,
    guard::guarded,
    ledger::{Counters, Entry},
    outcome::{Passage, Place},
    pace::Pace,
    queue::{Keys, Queue},
    runs::{Run, Runs, let_go},
    seat::Seat,
};

/// One listener's bounded queue.
pub(crate) struct Lane<E> {
    pub(crate) listener: Cow<'static, str>,
    pub(crate) policy: Policy<E>,
    pub(crate) batching: Option<Batching>,
    /// The lane's place among the marks of an envelope.
    slot: usize,
    store: Mutex<Store<E>>,
    progress: Progress,
    workers: AtomicUsize,
    /// The worker of a lane of runs; set once, before there are events.
    seat: OnceLock<Seat>,
    pub(crate) pace: Pace,
    counters: Counters,
    ends: Arc<Ends>,
    on_failure: Option<OnFailure<E>>,
    /// The marks of the lanes that this one comes after.
    predecessors: Box<[usize]>,
    /// How many of those have not ended.
    open_predecessors: AtomicUsize,
    /// Those that come after this one; set once, before there are events.
    followers: OnceLock<Box<[Arc<Lane<E>>]>>,
    #[cfg(feature = "rate-limit")]
    limiter: Option<Limiter>,
}

/// Where the events of a lane wait.
enum Store<E> {
    Runs(Runs<E>),
    Queue(Queue<E>),
}

impl<E> Store<E> {
    fn is_closed(&self) -> bool {
        match self {
            Self::Runs(runs) => runs.is_closed(),
            Self::Queue(queue) => queue.is_closed(),
        }
    }

    fn is_crowded(&self, progress: &Progress) -> bool {
        match self {
            Self::Runs(runs) => runs.is_crowded(progress.begun.load(Ordering::Relaxed)),
            Self::Queue(queue) => queue.is_crowded(),
        }
    }
}

impl<E: Event> Lane<E> {
    pub(crate) fn new(
        listener: Cow<'static, str>,
        policy: Policy<E>,
        batching: Option<Batching>,
        slot: usize,
        predecessors: Box<[usize]>,
        ends: Arc<Ends>,
        on_failure: Option<OnFailure<E>>,
    ) -> Self {
        let workers = policy.concurrency.get();
        Self {
            listener,
            batching,
            slot,
            store: Mutex::new(match policy.is_plain() && batching.is_none() {
                true => Store::Runs(Runs::new(policy.capacity.get())),
                false => Store::Queue(Queue::new(policy.capacity.get(), policy.overflow, workers)),
            }),
            progress: Progress::default(),
            #[cfg(feature = "rate-limit")]
            limiter: policy.rate_limit.map(Limiter::new),
            policy,
            workers: AtomicUsize::new(workers),
            seat: OnceLock::new(),
            pace: Pace::default(),
            counters: Counters::default(),
            ends,
            on_failure,
            open_predecessors: AtomicUsize::new(predecessors.len()),
            predecessors,
            followers: OnceLock::new(),
        }
    }

    /// The lane as who asks for outcomes knows it.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let name = self.listener.clone();
        match self.is_first() && self.has_runs() {
            true => {
                let lane: Arc<dyn Passage> = Arc::clone(self) as _;
                Place::passing(name, Arc::downgrade(&lane))
            }
            false => Place::new(name),
        }
    }

    /// Says which lanes come after this one.
    pub(crate) fn precede(&self, followers: Box<[Arc<Self>]>) {
        // A lane is connected once, when the bus is built.
        let _ = self.followers.set(followers);
    }

    fn followers(&self) -> &[Arc<Self>] {
        self.followers.get().map_or(&[], |followers| followers)
    }

    /// Whether the router gives it its events; those that come after others get them from these.
    pub(crate) fn is_first(&self) -> bool {
        self.predecessors.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Store<E>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what the router has; events that do not fit, or are displaced, are settled. Workers are left
    /// asleep: the router polls or wakes them once all lanes have the events. False if the lane is crowded now.
    pub(crate) fn take(&self, events: &Run<E>) -> bool {
        !matches!(self.take_unless(events, false, |_| false), Taken::Crowded)
    }

    /// Queues events, unless something says otherwise while the lane is locked.
    fn take_unless(
        &self,
        events: &Run<E>,
        wake: bool,
        refuse: impl FnOnce(&Store<E>) -> bool,
    ) -> Taken {
        // Without key functions nothing of the application runs, and no buffer is needed.
        let keyed = self.policy.order_key.is_some() || self.policy.coalesce_key.is_some();
        let keys: Vec<Option<Keys>> = if keyed {
            events
                .events()
                .iter()
                .map(|envelope| self.keys(envelope))
                .collect()
        } else {
            vec![]
        };

        let mut displaced: Vec<(Arc<Envelope<E>>, Outcome)> = Vec::new();
        let (mut left, mut outcome) = (&[][..], Outcome::Abandoned);
        let mut store = self.lock();
        // What a key function has settled already has been accepted.
        if keys.iter().all(Option::is_some) && refuse(&store) {
            return Taken::Refused;
        }
        let wakers = match &mut *store {
            Store::Runs(runs) => {
                let begun = self.progress.begun.load(Ordering::Relaxed);
                let taken;
                (taken, outcome) = runs.push(events, begun);
                left = &events.events()[taken..];
                match wake {
                    true => Wakers::Home(runs.wake()),
                    false => {
                        let asleep = runs.is_asleep();
                        self.progress.to_wake.store(asleep, Ordering::Relaxed);
                        Wakers::Home(false)
                    }
                }
            }
            Store::Queue(queue) => {
                for (index, envelope) in events.events().iter().enumerate() {
                    let keys = match keyed {
                        true => keys[index],
                        false => Some(Keys::default()),
                    };
                    let Some(keys) = keys else { continue };
                    displaced.extend(queue.push(Arc::clone(envelope), keys));
                }
                self.progress.to_wake.store(!wake, Ordering::Relaxed);
                match wake {
                    true => Wakers::Some(queue.wake()),
                    false => Wakers::Some(Vec::new()),
                }
            }
        };
        let taken = match store.is_crowded(&self.progress) {
            true => Taken::Crowded,
            false => Taken::Roomy,
        };
        drop(store);
        let left = left.iter().map(|envelope| (envelope, outcome));
        let others = displaced
            .iter()
            .map(|(envelope, outcome)| (envelope, *outcome));
        self.end_untaken(left.chain(others));
        for (envelope, _) in displaced {
            let _ = guarded(|| drop(envelope));
        }
        self.wake_all(wakers);
        taken
    }

    /// Queues an event that goes to this listener only.
    ///
    /// False if the lane takes no more: under its lock, so that a shutdown names what was taken.
    pub(crate) fn replay(&self, envelope: &Arc<Envelope<E>>) -> bool {
        self.tell(envelope, Stage::Dispatched);
        self.counters.replayed.fetch_add(1, Ordering::Relaxed);
        let events = Run::all(vec![Arc::clone(envelope)]);
        let taken = !matches!(
            self.take_unless(&events, true, Store::is_closed),
            Taken::Refused
        );
        let_go(events.batch);
        if !taken {
            self.counters.replayed.fetch_sub(1, Ordering::Relaxed);
            self.tell(envelope, Stage::Refused);
        }
        taken
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
                self.end(
                    envelope,
                    Outcome::Dead(Reason::Panicked),
                    0,
                    panic.message(),
                );
                None
            }
        }
    }

    /// Stops handing out events, or goes on.
    pub(crate) fn pause(&self, paused: bool) {
        let mut store = self.lock();
        self.progress.paused.store(paused, Ordering::Relaxed);
        let wakers = match &mut *store {
            Store::Runs(runs) => Wakers::Home(runs.pause(paused)),
            Store::Queue(queue) => Wakers::Some(queue.pause(paused)),
        };
        drop(store);
        self.wake_all(wakers);
    }

    /// What waits and runs now.
    pub(crate) fn state(&self) -> LaneState {
        let (waiting, running, paused) = match &*self.lock() {
            Store::Runs(runs) => {
                let begun = self.progress.begun.load(Ordering::Relaxed);
                let ended = self.progress.ended();
                let (waiting, paused) = runs.state(begun);
                (waiting, begun.saturating_sub(ended), paused)
            }
            Store::Queue(queue) => queue.state(),
        };
        LaneState {
            event: E::NAME,
            listener: self.listener.clone(),
            waiting,
            running,
            paused,
        }
    }

    /// Takes no more events. Workers end once they have handled those that wait.
    pub(crate) fn close(&self) {
        let wakers = match &mut *self.lock() {
            Store::Runs(runs) => Wakers::Home(runs.close()),
            Store::Queue(queue) => Wakers::Some(queue.close()),
        };
        self.wake_all(wakers);
    }

    /// Closes the lane and abandons what waits and what is being handled.
    pub(crate) fn abandon(&self) {
        let (mut runs, mut events) = (Vec::new(), Vec::new());
        let mut store = self.lock();
        self.progress.abandoned.store(true, Ordering::Relaxed);
        match &mut *store {
            Store::Runs(store) => runs = store.abandon(self.progress.ended()),
            Store::Queue(store) => events = store.abandon(),
        }
        drop(store);
        self.abandon_runs(runs);
        for envelope in events {
            self.abandon_one(&envelope);
            let _ = guarded(|| drop(envelope));
        }
    }

    /// Abandons what the lane has not been given of a batch, now that nobody will give it any more.
    pub(crate) fn abandon_rest(&self, batch: &[Arc<Envelope<E>>]) {
        let given = match &*self.lock() {
            // In order.
            Store::Runs(runs) if self.is_first() => {
                batch.partition_point(|envelope| runs.is_given(envelope.marks().number()))
            }
            _ => 0,
        };
        for envelope in &batch[given..] {
            self.settle(envelope, Outcome::Abandoned, 0, String::new());
        }
    }

    fn abandon_runs(&self, runs: impl IntoIterator<Item = Run<E>>) {
        for run in runs {
            for envelope in run.events() {
                self.abandon_one(envelope);
            }
            let_go(run.batch);
        }
    }

    /// Called when a worker's task is gone, however it ended.
    pub(crate) fn worker_ended(&self, worker: usize) {
        let (mut left, mut events) = (None, Vec::new());
        match &mut *self.lock() {
            Store::Runs(store) => {
                let ended = self.progress.ended();
                let counted = store.count_passed(ended, ended);
                self.counters.count_done(counted);
                left = store.leave(ended);
                self.progress.rewind();
            }
            Store::Queue(store) => events = store.leave(worker),
        }
        if let Some((run, ended)) = left {
            Self::wake_waiting(&run.events()[..ended]);
            self.abandon_runs([run.from(ended)]);
        }
        for ended in events {
            self.abandon_one(&ended.envelope);
            let _ = guarded(|| drop(ended));
        }
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.abandon();
            for follower in self.followers() {
                follower.predecessor_ended();
            }
        }
    }

    fn wake_all(&self, wakers: Wakers) {
        match wakers {
            Wakers::Home(false) => {}
            Wakers::Home(true) => self.seat.get().into_iter().for_each(Seat::wake),
            Wakers::Some(wakers) => wakers.into_iter().for_each(Waker::wake),
        }
    }

    fn predecessor_ended(&self) {
        if self.open_predecessors.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    pub(crate) fn ledger_entry(&self) -> Entry {
        let mut entry = Entry::new(E::NAME, self.listener.clone());
        // Locked, so that nothing is counted between the two.
        let store = self.lock();
        self.counters.fill(&mut entry);
        if let Store::Runs(runs) = &*store {
            entry.done += runs.uncounted(self.progress.ended());
        }
        entry
    }
}

impl<E: Event> Passage for Lane<E> {
    fn has_passed(&self, number: u64) -> bool {
        match &*self.lock() {
            Store::Runs(runs) => runs.has_passed(number, self.progress.ended()),
            Store::Queue(_) => false,
        }
    }
}

/// The worker of a lane of runs delivers the event that it has begun last.
impl<E: Event> Courier for Lane<E> {
    fn parcel(self: Arc<Self>) -> Option<Arc<dyn Parcel>> {
        let Store::Runs(runs) = &*self.lock() else {
            return None;
        };
        let begun = self.progress.begun.load(Ordering::Relaxed);
        Some(Arc::clone(runs.in_hand(begun.checked_sub(1)?)?) as _)
    }
}

/// What a lane made of events.
enum Taken {
    /// They are queued, or settled.
    Roomy,
    /// So they are, and the lane is more than half full.
    Crowded,
    /// They are still for whoever gave them.
    Refused,
}

/// Workers to wake once the lane is not locked any more.
enum Wakers {
    /// The home of the worker that has a seat, or nobody.
    Home(bool),
    Some(Vec<Waker>),
}
