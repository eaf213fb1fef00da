//! [`Bus`]: takes events and routes them to their listeners.
//!
//! # Invariants
//!
//! 1. The set of routes is fixed when the bus is built, so `dispatch` finds one without a lock.
//! 2. Tasks hold the core, handles hold the core and the [`Handles`]; the core holds no handle. So the
//!    last handle closes the intake, and the tasks end when they have drained. A worker in a seat holds the
//!    core, which holds its lane; the seat lets go of it when it ends or its task is gone, so the core goes
//!    last.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    BusBuilder, DeadLetter, Envelope, Event, EventId, EventStream, FlightRecorder, Ledger, Receipt,
    Stage, Topology,
    delivery::Origin,
    ends::Ends,
    envelope::{Acceptance, Header},
    guard::guarded,
    kept::Kept,
    outcome::Marks,
    route::{AnyRoute, Route},
    stream::Taps,
    wake::Nudge,
    watch::Watch,
};

/// Takes events and routes them to the listeners they were registered for.
///
/// A handle: `clone` is cheap, and all clones are one bus. It owns one task for every type of event
/// and [`concurrency`](crate::Policy::concurrency) tasks for every listener, on the tokio runtime it
/// was built in; and on a runtime of several threads one more, which looks every 5 ms whether a listener
/// blocks others, until a second after the last event; one that is [prompt](crate::Wake::Prompt) owns yet another. When the last handle is dropped, the bus takes no more events, delivers those that
/// it has, and ends its tasks; [`shutdown`](Self::shutdown) does that with a deadline and a report.
///
/// A listener that dispatches should use [`Delivery::current`](crate::Delivery::current) instead of
/// a handle of its own, which would keep the bus open.
#[derive(Clone)]
pub struct Bus {
    pub(crate) handles: Arc<Handles>,
}

impl Bus {
    /// Begins a bus without listeners.
    pub fn builder() -> BusBuilder {
        BusBuilder::new()
    }

    /// Runs the inline listeners of `event`, queues it for the others and returns without waiting for
    /// them.
    ///
    /// It neither blocks nor panics, whatever listeners do, except that an inline listener takes the
    /// time it takes. A listener whose lane is full does not see the event: it becomes a dead letter
    /// with [`Reason::Overflowed`](crate::Reason::Overflowed), and the other listeners are
    /// unaffected. Called inside a listener, the new event is caused by the one being handled.
    ///
    /// The receipt may be dropped. After [`shutdown`](Self::shutdown) has begun nothing is queued and
    /// the receipt says [`Report::Closed`](crate::Report::Closed); inline listeners still run.
    pub fn dispatch<E: Event>(&self, event: E) -> Receipt {
        self.handles.core.dispatch(event, Origin::here())
    }

    /// Begins a live view of the events of one type; a lossy one.
    ///
    /// It needs no registration. After the bus was closed, it ends at once.
    pub fn stream<E: Event>(&self) -> EventStream<E> {
        self.handles.core.stream()
    }

    /// Who listens to what, and how.
    pub fn topology(&self) -> Topology {
        self.handles.core.topology.clone()
    }

    /// What became of every event at every listener so far.
    pub fn ledger(&self) -> Ledger {
        let core = &self.handles.core;
        let mut entries = Vec::new();
        let mut refused = core.refused.load(Ordering::Relaxed);
        for route in &core.in_order {
            refused += route.count(&mut entries);
        }
        Ledger {
            entries,
            refused,
            unheard: core.unheard.load(Ordering::Relaxed),
            untold: core.untold.load(Ordering::Relaxed),
            dead_letters_evicted: core.ends.dead_letters.evicted(),
        }
    }

    /// The newest dead letters, the oldest of them first.
    pub fn dead_letters(&self) -> Vec<Arc<DeadLetter>> {
        self.handles.core.ends.dead_letters.all()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.handles.core;
        f.debug_struct("Bus")
            .field("incarnation", &format_args!("{:016x}", core.incarnation))
            .field("events", &core.in_order.len())
            .field("closed", &core.closed.load(Ordering::Relaxed))
            .finish()
    }
}

/// What all handles of a bus share. Its drop closes the bus.
pub(crate) struct Handles {
    pub(crate) core: Arc<Core>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.core.close();
    }
}

/// What handles, tasks and deliveries share.
pub(crate) struct Core {
    pub(crate) incarnation: u64,
    pub(crate) sequence: AtomicU64,
    pub(crate) max_causation_depth: u32,
    pub(crate) routes: Routes,
    /// The same routes, in order of registration.
    pub(crate) in_order: Vec<Arc<dyn AnyRoute>>,
    /// Streams of events that have no route.
    pub(crate) unrouted: DashMap<TypeId, Arc<dyn AnyTaps>>,
    pub(crate) has_unrouted: AtomicBool,
    pub(crate) topology: Topology,
    pub(crate) ends: Arc<Ends>,
    pub(crate) recorder: Option<FlightRecorder>,
    pub(crate) kept: Kept,
    pub(crate) refused: AtomicU64,
    pub(crate) unheard: AtomicU64,
    /// Failures that found the intake of those who listen to them full.
    pub(crate) untold: AtomicU64,
    pub(crate) closed: AtomicBool,
    /// How many tasks of the bus have not ended.
    pub(crate) tasks: AtomicUsize,
    /// Notified when the last task has ended, and when what was left has been abandoned.
    pub(crate) ended: Notify,
    pub(crate) aborts: Mutex<Vec<AbortHandle>>,
    pub(crate) watch: Arc<Watch>,
    /// Of a bus that is to be prompt.
    pub(crate) nudge: Option<Arc<Nudge>>,
    /// Set once a shutdown's deadline has passed and what was left has been abandoned.
    pub(crate) gave_up: AtomicBool,
}

impl Core {
    pub(crate) fn next_id(&self) -> EventId {
        EventId::new(
            self.incarnation,
            self.sequence.fetch_add(1, Ordering::Relaxed),
        )
    }

    pub(crate) fn dispatch<E: Event>(self: &Arc<Self>, event: E, origin: Origin) -> Receipt {
        match self.route::<E>() {
            Some(route) => route.dispatch(self, event, origin),
            None => self.dispatch_unheard(event, origin),
        }
    }

    /// How many events dispatched now would not find their intake full.
    pub(crate) fn room_for<E: Event>(&self) -> usize {
        self.route::<E>().map_or(usize::MAX, Route::room)
    }

    fn route<E: Event>(&self) -> Option<&Route<E>> {
        let route: &dyn Any = &**self.routes.get(&TypeId::of::<E>())?;
        route.downcast_ref()
    }

    fn dispatch_unheard<E: Event>(&self, event: E, origin: Origin) -> Receipt {
        let id = self.next_id();
        let closed = self.closed.load(Ordering::Acquire);
        let counter = if closed { &self.refused } else { &self.unheard };
        counter.fetch_add(1, Ordering::Relaxed);
        let header = origin.header::<E>(id);
        let stage = if closed {
            Stage::Refused
        } else {
            Stage::Dispatched
        };
        self.ends.observers.tell(&header, None, stage);
        let wanted = self.has_unrouted.load(Ordering::Acquire) || self.kept.are_wanted();
        let event = if wanted && !closed {
            self.offer_unrouted(header, event)
        } else {
            Some(event)
        };
        // The drop may panic.
        let _ = guarded(|| drop(event));
        if closed {
            let _ = guarded(|| {
                tracing::warn!(event = E::NAME, %id, "dispatched after the bus was closed");
            });
            return Receipt::closed(id);
        }
        Receipt::unheard(id)
    }

    /// Gives an event without a route to its streams and to a test, or back.
    fn offer_unrouted<E: Event>(&self, header: Header, event: E) -> Option<E> {
        let taps = self.unrouted_taps::<E>();
        if taps.is_none() && !self.kept.are_wanted() {
            return Some(event);
        }
        header.accepted.set(Acceptance::clock());
        let envelope = Arc::new(Envelope::new(header, Marks::new(Arc::default(), 0), event));
        self.kept.keep(&envelope);
        if let Some(taps) = taps {
            taps.offer(&[envelope]);
        }
        None
    }

    fn unrouted_taps<E: Event>(&self) -> Option<Arc<Taps<E>>> {
        let taps = Arc::clone(self.unrouted.get(&TypeId::of::<E>())?.value());
        let taps: Arc<dyn Any + Send + Sync> = taps;
        taps.downcast().ok()
    }

    fn stream<E: Event>(&self) -> EventStream<E> {
        if let Some(route) = self.route::<E>() {
            return route.taps().stream();
        }
        drop(
            self.unrouted
                .entry(TypeId::of::<E>())
                .or_insert_with(|| Arc::new(Taps::<E>::new())),
        );
        self.has_unrouted.store(true, Ordering::Release);
        let taps = self
            .unrouted_taps::<E>()
            .unwrap_or_else(|| Arc::new(Taps::new()));
        // After the entry was made: either this sees that the bus is closed, or closing sees it.
        if self.closed.load(Ordering::SeqCst) {
            taps.close();
        }
        taps.stream()
    }

    /// Takes no more events, and lets the tasks end once they have delivered those that wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for route in &self.in_order {
            route.close();
        }
        // Collected first: closing wakes readers, which is the application's code.
        let unrouted: Vec<_> = self
            .unrouted
            .iter()
            .map(|taps| Arc::clone(taps.value()))
            .collect();
        for taps in unrouted {
            taps.close();
        }
    }

    /// Called when one of the tasks is gone.
    pub(crate) fn task_ended(&self) {
        if self.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ended.notify_waiters();
            self.watch.end();
            if let Some(nudge) = &self.nudge {
                nudge.end();
            }
        }
    }

    pub(crate) fn adopt(&self, task: AbortHandle) {
        let mut aborts = self.aborts.lock().unwrap_or_else(PoisonError::into_inner);
        // Else those of relieved routers would pile up.
        aborts.retain(|task| !task.is_finished());
        aborts.push(task);
    }
}

/// The streams of an event type, forgotten.
pub(crate) trait AnyTaps: Any + Send + Sync {
    fn close(&self);
}

impl<E: Event> AnyTaps for Taps<E> {
    fn close(&self) {
        Self::close(self);
    }
}

/// Routes by event type.
pub(crate) type Routes = HashMap<TypeId, Arc<dyn AnyRoute>, BuildHasherDefault<TypeIdHasher>>;

/// Takes the hash that a `TypeId` already is.
#[derive(Default)]
pub(crate) struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
