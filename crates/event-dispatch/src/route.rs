//! [`Route`]: the way of one type of event to its listeners, and the router that walks it.
//!
//! # Invariants
//!
//! 1. An accepted envelope is in `batch`, in `routing`, or has been given to every lane. The router
//!    clears `routing` only after the last lane has all of it, and another router goes on with it.
//! 2. The publisher wakes the router only when it put the first envelope into an empty batch and the
//!    router sleeps: one wake, whatever the number of listeners.
//! 3. The router runs code of the application in two places: key functions, and listeners whose workers it
//!    polls. Panics of both are caught, and a listener that blocks it costs it the duty.
//! 4. Whether an event is accepted is decided under the intake's lock, so after `close` has returned
//!    nothing more is accepted.

use std::{
    any::Any,
    borrow::Cow,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{runtime::Handle, task::coop::consume_budget};

use crate::{
    DeadLetter, Envelope, Event, InlineListener, LaneState, Outcome, Reason, Receipt, ReplayError,
    Stage,
    bus::Core,
    delivery::{Current, Origin, within},
    draft::InlineDraft,
    duty::{Duty, Relieved, Roster},
    ends::Ends,
    envelope::{Acceptance, Header},
    failed::OnFailure,
    guard::guarded,
    lane::Lane,
    ledger::{Deaths, Entry},
    outcome::Marks,
    runs::{Run, let_go},
    stream::Taps,
    task::{counted, spawn},
    trace_context::TraceContext,
    watch::Watch,
};

/// The way of one type of event to its listeners.
pub(crate) struct Route<E> {
    inline: Box<[Inline<E>]>,
    lanes: Box<[Arc<Lane<E>>]>,
    /// Inline listeners, then lanes: the order of the marks.
    names: Arc<[Cow<'static, str>]>,
    intake: Mutex<Intake<E>>,
    /// How many envelopes wait in the intake at most.
    bound: usize,
    roster: Roster,
    taps: Arc<Taps<E>>,
    ends: Arc<Ends>,
    on_failure: Option<OnFailure<E>>,
}

struct Inline<E> {
    name: Cow<'static, str>,
    listener: Box<dyn InlineListener<E>>,
    dead: Deaths,
    replayed: AtomicU64,
}

struct Intake<E> {
    batch: Batch<E>,
    /// When the first envelope of the batch was accepted.
    batch_accepted: u64,
    /// The batch that the router is giving to the lanes, and up to where it has.
    routing: Option<Run<E>>,
    router: Option<Waker>,
    closed: bool,
    accepted: u64,
    refused: u64,
}

type Batch<E> = Vec<Arc<Envelope<E>>>;

/// How many events the router gives to all lanes before it gives them the next.
const AT_ONCE: usize = 64;

/// What the intake made of an envelope.
enum Admission {
    Queued,
    Kept,
    Overflowed,
    Refused,
}

impl<E: Event> Route<E> {
    pub(crate) fn new(
        inline: Vec<InlineDraft<E>>,
        lanes: Vec<Arc<Lane<E>>>,
        ends: Arc<Ends>,
        on_failure: Option<OnFailure<E>>,
    ) -> Self {
        let names = inline.iter().map(|inline| &inline.name);
        let names = names
            .chain(lanes.iter().map(|lane| &lane.listener))
            .cloned()
            .collect();
        Self {
            names,
            bound: lanes
                .iter()
                .map(|lane| lane.policy.capacity.get())
                .max()
                .unwrap_or(0),
            inline: inline
                .into_iter()
                .map(|draft| Inline {
                    name: draft.name,
                    listener: draft.listener,
                    dead: Deaths::default(),
                    replayed: AtomicU64::new(0),
                })
                .collect(),
            lanes: lanes.into(),
            intake: Mutex::new(Intake {
                batch: Vec::new(),
                batch_accepted: 0,
                routing: None,
                router: None,
                closed: false,
                accepted: 0,
                refused: 0,
            }),
            roster: Roster::default(),
            taps: Arc::new(Taps::new()),
            ends,
            on_failure,
        }
    }

    pub(crate) fn taps(&self) -> &Arc<Taps<E>> {
        &self.taps
    }

    pub(crate) fn has_lanes(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Runs the inline listeners, queues the event for the lanes and wakes the router if it sleeps.
    pub(crate) fn dispatch(&self, core: &Arc<Core>, event: E, origin: Origin) -> Receipt {
        let too_deep = origin.depth > core.max_causation_depth;
        let header = Header {
            id: core.next_id(),
            name: E::NAME,
            version: E::VERSION,
            depth: origin.depth,
            accepted: Acceptance::default(),
            cause: origin.cause,
            trace: origin.trace,
            replay_of: None,
        };
        // Built in place: an event may be large.
        let envelope = Arc::new(Envelope::new(
            header,
            Marks::new(self.inline.len(), self.lanes.len()),
            event,
        ));
        self.ends
            .observers
            .tell(envelope.header(), None, Stage::Dispatched);
        if !self.inline.is_empty() {
            if too_deep && origin.inline {
                self.bury_inline(&envelope);
            } else {
                self.run_inline(core, &envelope);
            }
        }
        match self.admit(&envelope, too_deep) {
            Admission::Queued => {}
            Admission::Kept => {
                let bound = format!("more than {} events in a chain", core.max_causation_depth);
                self.settle_all(&envelope, Outcome::Dead(Reason::CausationTooDeep), &bound);
                self.taps.offer(std::slice::from_ref(&envelope));
            }
            Admission::Overflowed => {
                self.settle_all(&envelope, Outcome::Dead(Reason::Overflowed), "");
            }
            Admission::Refused => {
                let header = envelope.header();
                self.ends.observers.tell(header, None, Stage::Refused);
                // The subscriber is the application's code.
                let _ = guarded(|| {
                    tracing::warn!(
                        event = header.name,
                        id = %header.id,
                        "dispatched after the bus was closed"
                    );
                });
                return Receipt::closed(header.id);
            }
        }
        core.kept.keep(&envelope);
        Receipt::accepted(envelope, Arc::clone(&self.names))
    }

    fn run_inline(&self, core: &Arc<Core>, envelope: &Arc<Envelope<E>>) {
        let mut current = Some(Current::inline(Arc::clone(core), envelope));
        for slot in 0..self.inline.len() {
            self.run_one_inline(&mut current, envelope, slot);
        }
    }

    fn run_one_inline(
        &self,
        current: &mut Option<Box<Current>>,
        envelope: &Arc<Envelope<E>>,
        slot: usize,
    ) {
        let inline = &self.inline[slot];
        self.tell_inline(envelope, inline, Stage::Started { attempt: 1 });
        let ran = within(current, || inline.listener.handle(envelope.event()));
        match ran {
            Ok(()) => self.tell_inline(
                envelope,
                inline,
                Stage::Ended {
                    outcome: Outcome::Done,
                    attempts: 1,
                    error: "",
                },
            ),
            Err(panic) => self.inline_died(envelope, slot, Reason::Panicked, panic.message(), 1),
        }
    }

    fn tell_inline(&self, envelope: &Envelope<E>, inline: &Inline<E>, stage: Stage<'_>) {
        self.ends
            .observers
            .tell(envelope.header(), Some(&inline.name), stage);
    }

    fn bury_inline(&self, envelope: &Arc<Envelope<E>>) {
        for slot in 0..self.inline.len() {
            let error = "an inline listener dispatched beyond the bound".to_owned();
            self.inline_died(envelope, slot, Reason::CausationTooDeep, error, 0);
        }
    }

    fn inline_died(
        &self,
        envelope: &Arc<Envelope<E>>,
        slot: usize,
        reason: Reason,
        error: String,
        attempts: u32,
    ) {
        let inline = &self.inline[slot];
        inline.dead.count(reason);
        let outcome = Outcome::Dead(reason);
        let slot = envelope.header().slot(slot);
        envelope.marks().amend(slot, outcome);
        self.tell_inline(
            envelope,
            inline,
            Stage::Ended {
                outcome,
                attempts,
                error: &error,
            },
        );
        let parcel = Arc::clone(envelope) as _;
        let letters = &self.ends.dead_letters;
        let letter = letters.bury(parcel, inline.name.clone(), reason, error, attempts);
        self.ends.tell_failure(self.on_failure, letter, envelope);
    }

    /// Settles at every lane an event that none of them is given.
    fn settle_all(&self, envelope: &Arc<Envelope<E>>, outcome: Outcome, error: &str) {
        for lane in &self.lanes {
            lane.settle(envelope, outcome, 0, error.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Intake<E>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, envelope: &Arc<Envelope<E>>, too_deep: bool) -> Admission {
        let mut intake = self.lock();
        let admission = if intake.closed {
            intake.refused += 1;
            Admission::Refused
        } else {
            intake.accepted += 1;
            if too_deep || self.lanes.is_empty() {
                Admission::Kept
            } else if intake.batch.len() >= self.bound {
                Admission::Overflowed
            } else {
                Admission::Queued
            }
        };
        let accepted = &envelope.header().accepted;
        if !matches!(admission, Admission::Queued) {
            drop(intake);
            accepted.set(Acceptance::clock());
            return admission;
        }
        if intake.batch.is_empty() {
            intake.batch_accepted = Acceptance::clock();
        }
        accepted.set(intake.batch_accepted);
        intake.batch.push(Arc::clone(envelope));
        let router = intake.router.take();
        drop(intake);
        if let Some(router) = router {
            router.wake();
        }
        admission
    }

    /// The lanes that come after no other.
    fn first_lanes(&self) -> impl Iterator<Item = &Arc<Lane<E>>> {
        self.lanes.iter().filter(|lane| lane.is_first())
    }

    /// Abandons, at every lane, what the lanes have not been given or not finished.
    fn abandon_all(&self, routing: Option<&Batch<E>>, batch: &Batch<E>) {
        for envelope in routing.into_iter().flatten().chain(batch) {
            for lane in &self.lanes {
                lane.settle(envelope, Outcome::Abandoned, 0, String::new());
            }
        }
    }

    /// Starts a router, which goes on duty.
    pub(crate) fn start_router(self: &Arc<Self>, core: &Arc<Core>, runtime: &Handle, duty: Duty) {
        let (route, watch) = (Arc::clone(self), Arc::clone(&core.watch));
        let router = async move { route.run(&watch, duty).await };
        let route = Arc::clone(self);
        let ended = move || route.router_ended(duty);
        spawn(core, runtime, counted(core, router, ended));
    }

    /// Gives events to the lanes until the intake is closed and empty, or another router has taken over.
    async fn run(&self, watch: &Watch, mut duty: Duty) {
        let mut lingered = false;
        let mut room = 0;
        loop {
            while let Some(events) = self.next_of_batch() {
                for lane in self.first_lanes() {
                    lane.take(&events);
                }
                let relieved = self.run_lanes(&events, watch, &mut duty).is_err();
                let_go(events.batch);
                if relieved {
                    return;
                }
                consume_budget().await;
            }
            // Made here, since publishers wait for the lock.
            let mut empty = Some(Arc::new(Vec::with_capacity(room)));
            let next =
                poll_fn(|context| self.poll_batch(&mut empty, &mut lingered, watch, context));
            let Some(batch) = next.await else { return };
            lingered = false;
            room = batch.len();
            self.taps.offer(&batch);
            let_go(batch);
        }
    }

    /// The next events of the batch that is being given to the lanes: few enough to stay in the
    /// processor's cache until the last lane has handled them.
    fn next_of_batch(&self) -> Option<Run<E>> {
        let mut intake = self.lock();
        let routing = intake.routing.as_mut()?;
        let given = routing.range.end;
        if given == routing.batch.len() {
            let routed = intake.routing.take();
            drop(intake);
            routed.into_iter().for_each(|run| let_go(run.batch));
            return None;
        }
        routing.range = given..routing.batch.len().min(given + AT_ONCE);
        Some(routing.clone())
    }

    /// Lets the workers that sleep handle what they have been given: here, if they are quick.
    fn run_lanes(&self, events: &Run<E>, watch: &Watch, duty: &mut Duty) -> Result<(), Relieved> {
        for lane in self.first_lanes().filter(|lane| lane.pace.is_quick()) {
            let Some(seat) = lane.seat_to_wake() else {
                continue;
            };
            self.roster.poll_next(duty)?;
            if watch.is_awake() {
                let begun = lane.pace.begin();
                seat.poll_here();
                if let Some(begun) = begun {
                    lane.pace.end(begun.elapsed(), events.range.len() as u64);
                }
            }
            if !self.roster.has(*duty) {
                lane.pace.too_slow();
                return Err(Relieved);
            }
        }
        self.roster.poll_no_more(duty)?;
        // Last, since the task that was woken last waits for this thread.
        for lane in self.first_lanes().filter(|lane| lane.is_to_wake()) {
            lane.wake();
        }
        Ok(())
    }

    /// Called when a router's task is gone, however it ended.
    fn router_ended(&self, duty: Duty) {
        if !self.roster.has(duty) {
            return;
        }
        let mut intake = self.lock();
        intake.closed = true;
        let batch = mem::take(&mut intake.batch);
        let routing = intake.routing.take().map(|run| run.batch);
        drop(intake);
        self.abandon_all(routing.as_deref(), &batch);
        for lane in self.first_lanes() {
            lane.close();
        }
        self.taps.close();
        routing
            .into_iter()
            .chain([Arc::new(batch)])
            .for_each(let_go);
    }

    /// Takes what has been accepted in exchange for an empty batch.
    fn poll_batch(
        &self,
        empty: &mut Option<Arc<Batch<E>>>,
        lingered: &mut bool,
        watch: &Watch,
        context: &mut Context<'_>,
    ) -> Poll<Option<Arc<Batch<E>>>> {
        let mut intake = self.lock();
        if intake.batch.is_empty() {
            if intake.closed {
                return Poll::Ready(None);
            }
            // Once behind the tasks that are ready to run, the publisher perhaps among them: what it
            // dispatches meanwhile needs no wake.
            if !mem::replace(lingered, true) {
                drop(intake);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            intake.router = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !watch.is_awake() {
            drop(intake);
            // Behind the watch, which else would wait for this thread, and the first listener may block it.
            watch.call();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut batch = empty.take().unwrap_or_default();
        if let Some(batch) = Arc::get_mut(&mut batch) {
            mem::swap(batch, &mut intake.batch);
        }
        intake.routing = Some(Run {
            batch: Arc::clone(&batch),
            range: 0..0,
        });
        Poll::Ready(Some(batch))
    }
}

/// A route whose event type is forgotten.
pub(crate) trait AnyRoute: Any + Send + Sync {
    /// Accepts no more events; those accepted go on to the lanes.
    fn close(&self);
    /// Closes, and abandons all that has no outcome yet.
    fn abandon(&self);
    /// What the router does.
    fn duty(&self) -> Duty;
    /// Starts another router in place of one that still polls the worker it was seen with.
    fn relieve(self: Arc<Self>, seen: Duty, core: &Arc<Core>, runtime: &Handle);
    /// Pauses or resumes the lane of that name, and returns how many there are.
    fn pause(&self, listener: &str, paused: bool) -> usize;
    fn lane_states(&self) -> Vec<LaneState>;
    /// Gives the event of a dead letter to its listener once more.
    fn replay(&self, core: &Arc<Core>, letter: &DeadLetter) -> Result<Receipt, ReplayError>;
    /// Adds an entry for every listener, and returns how many dispatches were refused.
    fn count(&self, entries: &mut Vec<Entry>) -> u64;
}

impl<E: Event> AnyRoute for Route<E> {
    fn close(&self) {
        let mut intake = self.lock();
        intake.closed = true;
        let router = intake.router.take();
        drop(intake);
        if let Some(router) = router {
            router.wake();
        }
        if self.lanes.is_empty() {
            self.taps.close();
        }
    }

    fn abandon(&self) {
        let mut intake = self.lock();
        intake.closed = true;
        let batch = mem::take(&mut intake.batch);
        let routing = intake.routing.as_ref().map(|run| Arc::clone(&run.batch));
        drop(intake);
        // The intake before the lanes: what leaves it in between is found there.
        self.abandon_all(routing.as_deref(), &batch);
        for lane in &self.lanes {
            lane.abandon();
        }
        self.taps.close();
        routing
            .into_iter()
            .chain([Arc::new(batch)])
            .for_each(let_go);
    }

    fn duty(&self) -> Duty {
        self.roster.look()
    }

    fn relieve(self: Arc<Self>, seen: Duty, core: &Arc<Core>, runtime: &Handle) {
        if let Some(duty) = self.roster.relieve(seen) {
            self.start_router(core, runtime, duty);
            for lane in self.first_lanes() {
                lane.wake();
            }
        }
    }

    fn pause(&self, listener: &str, paused: bool) -> usize {
        let lanes = self.lanes.iter().filter(|lane| lane.listener == listener);
        lanes.map(|lane| lane.pause(paused)).count()
    }

    fn lane_states(&self) -> Vec<LaneState> {
        self.lanes.iter().map(|lane| lane.state()).collect()
    }

    fn replay(&self, core: &Arc<Core>, letter: &DeadLetter) -> Result<Receipt, ReplayError> {
        let parcel: Arc<dyn Any + Send + Sync> = Arc::clone(letter.parcel()) as _;
        let original: Arc<Envelope<E>> = parcel.downcast().map_err(|_| ReplayError::Gone)?;
        let slot = self
            .names
            .iter()
            .position(|name| name == letter.listener())
            .ok_or(ReplayError::Gone)?;
        let inline = slot < self.inline.len();
        let died = original.header();
        let header = Header {
            id: core.next_id(),
            name: E::NAME,
            version: E::VERSION,
            depth: died.depth,
            accepted: Acceptance::now(),
            cause: died.cause.clone(),
            trace: TraceContext::replaying(&died.trace),
            replay_of: Some(died.replay_of.unwrap_or(died.id)),
        };
        let marks = Marks::new(usize::from(inline), usize::from(!inline));
        let envelope = Arc::new(Envelope::replay(header, marks, original));
        if inline {
            let place = &self.inline[slot];
            place.replayed.fetch_add(1, Ordering::Relaxed);
            self.tell_inline(&envelope, place, Stage::Dispatched);
            let current = Current::inline(Arc::clone(core), &envelope);
            self.run_one_inline(&mut Some(current), &envelope, slot);
        } else {
            let lane = &self.lanes[slot - self.inline.len()];
            if !lane.replay(&envelope) {
                return Err(ReplayError::Closed);
            }
        }
        core.kept.keep(&envelope);
        Ok(Receipt::accepted(
            envelope,
            Arc::from([self.names[slot].clone()]),
        ))
    }

    fn count(&self, entries: &mut Vec<Entry>) -> u64 {
        // Outcomes before acceptances, so that nothing has more outcomes than acceptances.
        let lanes: Vec<Entry> = self.lanes.iter().map(|lane| lane.ledger_entry()).collect();
        let load = |inline: &Inline<E>| {
            let deaths = inline.dead.load();
            (deaths, inline.replayed.load(Ordering::Relaxed))
        };
        let inline: Vec<_> = self.inline.iter().map(load).collect();
        let intake = self.lock();
        let (accepted, refused) = (intake.accepted, intake.refused);
        drop(intake);
        for (inline, (deaths, replayed)) in self.inline.iter().zip(inline) {
            let mut entry = Entry::new(E::NAME, inline.name.clone());
            entry.bury(deaths);
            // An inline listener runs before the event is accepted, and also when it is refused.
            entry.replayed = replayed;
            entry.accepted = (accepted + refused + replayed).max(entry.dead);
            entry.done = entry.accepted - entry.dead;
            entries.push(entry);
        }
        for mut entry in lanes {
            entry.accepted = accepted + entry.replayed;
            entries.push(entry);
        }
        refused
    }
}
