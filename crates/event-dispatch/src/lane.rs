//! [`Lane`]: one listener's bounded queue, and the workers that empty it.
//!
//! # Invariants
//!
//! 1. An envelope that the lane took waits, is with a worker, or is settled at the lane's slot.
//!    So whoever ends the lane can name all that it did not do.
//! 2. The queue's lock is never held while code of the application runs or a value of it is dropped:
//!    keys are computed before, displaced envelopes are settled after.
//! 3. With one worker, events are handled in the order in which the router handed them over. With
//!    several, of two events with one order key the later starts after the earlier has ended.
//! 4. A lane that comes after others is given an event once, by the last of them to end it, and closes
//!    after the last of them.
//! 5. Workers end once the lane is closed and nothing waits. If they end otherwise, because their
//!    task was aborted or the runtime ended, the last of them settles what waits.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    task::{Context, Poll, Waker},
};

#[cfg(feature = "rate-limit")]
use crate::rate_limit::Limiter;
use crate::{
    Abandoned, Batching, Envelope, Event, LaneState, Outcome, Policy, Reason, Stage,
    ends::Ends,
    failed::OnFailure,
    guard::guarded,
    ledger::{Counters, Entry},
    pace::Pace,
    queue::{Hands, Keys, Next, Queue},
    runs::{NextRun, Run, Runs, let_go},
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
}

/// How far the worker is in its run, and whether it may go on; for lanes of runs.
#[derive(Default)]
struct Progress {
    begun: AtomicUsize,
    ended: AtomicUsize,
    paused: AtomicBool,
    /// Whether a worker may sleep although the router has brought something.
    to_wake: AtomicBool,
    /// Set when the lane is given up, after which events may have their outcome already.
    abandoned: AtomicBool,
}

impl Progress {
    /// For the next run, or none.
    fn rewind(&self) {
        self.begun.store(0, Ordering::Relaxed);
        self.ended.store(0, Ordering::Relaxed);
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
    /// asleep: the router polls or wakes them once all lanes have the events.
    pub(crate) fn take(&self, events: &Run<E>) {
        self.take_unless(events, false, |_| false);
    }

    /// Queues events, unless something says otherwise while the lane is locked.
    fn take_unless(
        &self,
        events: &Run<E>,
        wake: bool,
        refuse: impl FnOnce(&Store<E>) -> bool,
    ) -> bool {
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
        let mut store = self.lock();
        // What a key function has settled already has been accepted.
        if keys.iter().all(Option::is_some) && refuse(&store) {
            return false;
        }
        let wakers = match &mut *store {
            Store::Runs(runs) => {
                let begun = self.progress.begun.load(Ordering::Relaxed);
                let (taken, outcome) = runs.push(events, begun);
                let left = events.events()[taken..].iter();
                displaced.extend(left.map(|envelope| (Arc::clone(envelope), outcome)));
                match wake {
                    true => Wakers::One(runs.wake()),
                    false => {
                        let asleep = runs.is_asleep();
                        self.progress.to_wake.store(asleep, Ordering::Relaxed);
                        Wakers::One(None)
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
        drop(store);
        for (envelope, outcome) in displaced {
            self.end(&envelope, outcome, 0, String::new());
            let _ = guarded(|| drop(envelope));
        }
        wakers.wake();
        true
    }

    /// Queues one event.
    fn take_one(&self, envelope: &Arc<Envelope<E>>) {
        let events = Run::of(envelope);
        self.take_unless(&events, true, |_| false);
        let_go(events.batch);
    }

    /// Queues an event that goes to this listener only.
    ///
    /// False if the lane takes no more: under its lock, so that a shutdown names what was taken.
    pub(crate) fn replay(&self, envelope: &Arc<Envelope<E>>) -> bool {
        self.tell(envelope, Stage::Dispatched);
        self.counters.replayed.fetch_add(1, Ordering::Relaxed);
        let events = Run::of(envelope);
        let taken = self.take_unless(&events, true, Store::is_closed);
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

    /// Whether the lane has one worker, which is given runs.
    pub(crate) fn has_runs(&self) -> bool {
        matches!(&*self.lock(), Store::Runs(_))
    }

    /// Gives a lane of runs its worker.
    pub(crate) fn seat(&self, worker: impl Future<Output = ()> + Send + 'static) {
        // Once, when the bus is built.
        let _ = self.seat.set(Seat::new(worker));
    }

    /// Polls the worker in its own task.
    pub(crate) fn poll_at_home(&self, context: &Context<'_>) -> Poll<()> {
        let Some(seat) = self.seat.get() else {
            return Poll::Ready(());
        };
        let (begun, done) = (self.pace.begin(), self.counters.done());
        let polled = seat.poll_at_home(context);
        if let Some(begun) = begun {
            // The count may fall: an event counted too early, since somebody had abandoned it, is taken back.
            let events = self.counters.done().saturating_sub(done);
            self.pace.end(begun.elapsed(), events);
        }
        polled
    }

    /// Called when the worker's own task is gone, however it ended.
    pub(crate) fn home_is_gone(&self) {
        if let Some(seat) = self.seat.get() {
            seat.evict();
        }
    }

    /// Whether a worker may sleep although the router has brought something.
    pub(crate) fn is_to_wake(&self) -> bool {
        self.progress.to_wake.load(Ordering::Relaxed)
    }

    /// The seat of such a worker, if it has one.
    pub(crate) fn seat_to_wake(&self) -> Option<&Seat> {
        self.seat.get().filter(|_| self.is_to_wake())
    }

    /// Wakes a worker that sleeps, if there is something to do.
    pub(crate) fn wake(&self) {
        self.progress.to_wake.store(false, Ordering::Relaxed);
        let wakers = match &mut *self.lock() {
            Store::Runs(runs) => Wakers::One(runs.wake()),
            Store::Queue(queue) => Wakers::Some(queue.wake()),
        };
        wakers.wake();
    }

    /// Gives the worker of a lane of runs its next run, after which the one it had counts as ended;
    /// `None` if the lane is closed and empty.
    pub(crate) fn poll_run(&self, context: &mut Context<'_>) -> Poll<Option<Run<E>>> {
        let mut store = self.lock();
        let Store::Runs(runs) = &mut *store else {
            return Poll::Ready(None);
        };
        let (next, ended) = runs.next();
        if let NextRun::Nothing = next {
            runs.sleep(context.waker());
        }
        self.progress.to_wake.store(false, Ordering::Relaxed);
        self.progress.rewind();
        drop(store);
        if let Some(ended) = ended {
            let_go(ended.batch);
        }
        match next {
            NextRun::Run(run) => Poll::Ready(Some(run)),
            NextRun::End => Poll::Ready(None),
            NextRun::Nothing => Poll::Pending,
        }
    }

    /// Begins the event that has `index` in the worker's run, unless the lane is paused.
    pub(crate) fn begin(&self, index: usize) -> bool {
        self.progress.ended.store(index, Ordering::Relaxed);
        if self.progress.paused.load(Ordering::Relaxed) {
            return false;
        }
        self.progress.begun.store(index + 1, Ordering::Relaxed);
        true
    }

    /// Ready once the lane is not paused.
    pub(crate) fn poll_resumed(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.lock() {
            Store::Runs(runs) if runs.is_paused() => {
                runs.sleep(context.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Gives a worker its next events, after which those it had count as ended; false if the lane is
    /// closed and empty.
    pub(crate) fn poll_next(&self, hands: &mut Hands<E>, context: &mut Context<'_>) -> Poll<bool> {
        let mut store = self.lock();
        let Store::Queue(queue) = &mut *store else {
            return Poll::Ready(false);
        };
        queue.end(hands);
        let next = queue.next(hands);
        if next == Next::Nothing {
            queue.sleep(hands, context.waker());
        }
        let heir = queue.heir(hands);
        drop(store);
        if let Some(waker) = heir {
            waker.wake();
        }
        hands.let_go_of_ended();
        match next {
            Next::Events => Poll::Ready(true),
            Next::End => Poll::Ready(false),
            Next::Nothing => Poll::Pending,
        }
    }

    /// Fills a batch that has begun; ready when it is full, or nothing more will come.
    pub(crate) fn poll_more(&self, hands: &mut Hands<E>, context: &mut Context<'_>) -> Poll<()> {
        let mut store = self.lock();
        let Store::Queue(queue) = &mut *store else {
            return Poll::Ready(());
        };
        queue.next(hands);
        if hands.are_full() || queue.is_over() {
            return Poll::Ready(());
        }
        queue.sleep(hands, context.waker());
        Poll::Pending
    }

    /// Whether the listener may have to wait for its [`turn`](Self::turn).
    pub(crate) fn is_limited(&self) -> bool {
        #[cfg(feature = "rate-limit")]
        return self.limiter.is_some();
        #[cfg(not(feature = "rate-limit"))]
        false
    }

    /// Waits until the listener may be called once more.
    pub(crate) async fn turn(&self) {
        #[cfg(feature = "rate-limit")]
        if let Some(limiter) = &self.limiter {
            limiter.turn().await;
        }
    }

    /// Stops handing out events, or goes on.
    pub(crate) fn pause(&self, paused: bool) {
        let mut store = self.lock();
        self.progress.paused.store(paused, Ordering::Relaxed);
        let wakers = match &mut *store {
            Store::Runs(runs) => Wakers::One(runs.pause(paused)),
            Store::Queue(queue) => Wakers::Some(queue.pause(paused)),
        };
        drop(store);
        wakers.wake();
    }

    /// What waits and runs now.
    pub(crate) fn state(&self) -> LaneState {
        let (waiting, running, paused) = match &*self.lock() {
            Store::Runs(runs) => {
                let begun = self.progress.begun.load(Ordering::Relaxed);
                let ended = self.progress.ended.load(Ordering::Relaxed);
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

    /// Takes no more events. Workers end once they have handled those that wait.
    pub(crate) fn close(&self) {
        let wakers = match &mut *self.lock() {
            Store::Runs(runs) => Wakers::One(runs.close()),
            Store::Queue(queue) => Wakers::Some(queue.close()),
        };
        wakers.wake();
    }

    /// Closes the lane and abandons what waits and what is being handled.
    pub(crate) fn abandon(&self) {
        self.progress.abandoned.store(true, Ordering::Relaxed);
        let (mut runs, mut events) = (Vec::new(), Vec::new());
        match &mut *self.lock() {
            Store::Runs(store) => runs = store.abandon(),
            Store::Queue(store) => events = store.abandon(),
        }
        self.abandon_runs(runs);
        for envelope in events {
            self.abandon_one(&envelope);
            let _ = guarded(|| drop(envelope));
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
        let (mut run, mut events) = (None, Vec::new());
        match &mut *self.lock() {
            Store::Runs(store) => {
                run = store.leave();
                self.progress.rewind();
            }
            Store::Queue(store) => events = store.leave(worker),
        }
        self.abandon_runs(run);
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

    fn predecessor_ended(&self) {
        if self.open_predecessors.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    pub(crate) fn ledger_entry(&self) -> Entry {
        let mut entry = Entry::new(E::NAME, self.listener.clone());
        self.counters.fill(&mut entry);
        entry
    }
}

/// Workers to wake once the lane is not locked any more.
enum Wakers {
    One(Option<Waker>),
    Some(Vec<Waker>),
}

impl Wakers {
    fn wake(self) {
        match self {
            Self::One(waker) => waker.into_iter().for_each(Waker::wake),
            Self::Some(wakers) => wakers.into_iter().for_each(Waker::wake),
        }
    }
}
