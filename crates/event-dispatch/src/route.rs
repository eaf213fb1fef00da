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

mod inline;
mod router;
mod spares;

use std::{
    any::Any,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

use tokio::runtime::Handle;

use self::inline::Inline;
use crate::{
    DeadLetter, Envelope, Event, LaneState, Reason, Receipt, ReplayError, Stage,
    bus::Core,
    delivery::{Current, Origin},
    draft::InlineDraft,
    duty::{Duty, Roster},
    ends::Ends,
    envelope::{Acceptance, Header},
    failed::OnFailure,
    guard::guarded,
    lane::Lane,
    ledger::{Deaths, Entry},
    outcome::{Marks, Place, Places},
    runs::{Run, let_go},
    stream::Taps,
    trace_context::TraceContext,
};

/// The way of one type of event to its listeners.
pub(crate) struct Route<E> {
    inline: Box<[Inline<E>]>,
    lanes: Box<[Arc<Lane<E>>]>,
    /// Inline listeners, then lanes: the order of the marks.
    places: Places,
    intake: Mutex<Intake<E>>,
    /// How many envelopes wait in the intake at most.
    bound: usize,
    roster: Roster,
    taps: Arc<Taps<E>>,
    ends: Arc<Ends>,
    on_failure: Option<OnFailure<E>>,
}

struct Intake<E> {
    batch: Batch<E>,
    /// When the first envelope of the batch was accepted.
    batch_accepted: u64,
    /// The batch that the router is giving to the lanes, and up to where it has.
    routing: Option<Run<E>>,
    /// Envelopes for the next events.
    spares: Vec<Arc<Envelope<E>>>,
    router: Option<Waker>,
    closed: bool,
    accepted: u64,
    /// How many of those have been queued.
    queued: u64,
    refused: u64,
}

type Batch<E> = Vec<Arc<Envelope<E>>>;

/// What the intake made of an envelope.
enum Admission {
    Queued,
    Kept,
    Overflowed,
    Refused,
}

impl<E> Intake<E> {
    /// The envelope of an event: a spare one, if there is one.
    #[inline]
    fn envelope(
        &mut self,
        header: Header,
        places: &Places,
        inline: usize,
        event: E,
    ) -> Arc<Envelope<E>> {
        if let Some(mut spare) = self.spares.pop()
            && let Some(envelope) = Arc::get_mut(&mut spare)
        {
            envelope.renew(header, inline, event);
            return spare;
        }
        // Built in place: an event may be large.
        let marks = Marks::new(Arc::clone(places), inline);
        Arc::new(Envelope::new(header, marks, event))
    }
}

impl<E: Event> Route<E> {
    pub(crate) fn new(
        inline: Vec<InlineDraft<E>>,
        lanes: Vec<Arc<Lane<E>>>,
        ends: Arc<Ends>,
        on_failure: Option<OnFailure<E>>,
    ) -> Self {
        let places = inline.iter().map(|inline| Place::new(inline.name.clone()));
        let places = places.chain(lanes.iter().map(Lane::place)).collect();
        Self {
            places,
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
                spares: Vec::new(),
                router: None,
                closed: false,
                accepted: 0,
                queued: 0,
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
        let from_inline = origin.inline;
        let header = origin.header::<E>(core.next_id());
        self.ends.observers.tell(&header, None, Stage::Dispatched);
        let mut intake = self.lock();
        let envelope = intake.envelope(header, &self.places, self.inline.len(), event);
        if !self.inline.is_empty() {
            drop(intake);
            if too_deep && from_inline {
                self.bury_inline(&envelope);
            } else {
                self.run_inline(core, &envelope);
            }
            intake = self.lock();
        }
        match self.admit(core, intake, &envelope, too_deep) {
            Admission::Queued => {}
            Admission::Kept => {
                let bound = format!("more than {} events in a chain", core.max_causation_depth);
                self.bury_all(&envelope, Reason::CausationTooDeep, &bound);
                self.taps.offer(std::slice::from_ref(&envelope));
            }
            Admission::Overflowed => {
                self.bury_all(&envelope, Reason::Overflowed, "");
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
        Receipt::accepted(envelope)
    }

    /// How many events that come now would not overflow the intake. Inline listeners need no room there.
    pub(crate) fn room(&self) -> usize {
        match self.inline.is_empty() && !self.lanes.is_empty() {
            true => self.bound.saturating_sub(self.lock().batch.len()),
            false => usize::MAX,
        }
    }

    /// Buries at every lane an event that none of them is given.
    fn bury_all(&self, envelope: &Arc<Envelope<E>>, reason: Reason, error: &str) {
        let everywhere = self.lanes.iter().map(|lane| (&**lane, envelope));
        Lane::bury(everywhere, reason, error);
    }

    fn lock(&self) -> MutexGuard<'_, Intake<E>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(
        &self,
        core: &Core,
        mut intake: MutexGuard<'_, Intake<E>>,
        envelope: &Arc<Envelope<E>>,
        too_deep: bool,
    ) -> Admission {
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
        intake.queued += 1;
        envelope.marks().set_number(intake.queued);
        intake.batch.push(Arc::clone(envelope));
        let router = intake.router.take();
        drop(intake);
        if let Some(router) = router {
            router.wake();
            if let Some(nudge) = &core.nudge {
                nudge.wake();
            }
        }
        admission
    }

    /// Abandons, at every lane, what it has not been given, now that nobody will give it any more.
    fn abandon_all(&self, routing: Option<&Batch<E>>, batch: &Batch<E>) {
        for batch in routing.into_iter().chain([batch]) {
            for lane in &self.lanes {
                lane.abandon_rest(batch);
            }
        }
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
        self.lock().closed = true;
        // The lanes first: then they take nothing that leaves the intake, and it is clear what they have been given.
        for lane in &self.lanes {
            lane.abandon();
        }
        let mut intake = self.lock();
        let batch = mem::take(&mut intake.batch);
        let routing = intake.routing.as_ref().map(|run| Arc::clone(&run.batch));
        drop(intake);
        self.abandon_all(routing.as_deref(), &batch);
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
            .places
            .iter()
            .position(|place| place.name == letter.listener())
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
        let marks = Marks::single(self.places[slot].name.clone(), inline);
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
        Ok(Receipt::accepted(envelope))
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
