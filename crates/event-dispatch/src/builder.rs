//! [`BusBuilder`]: the listeners of a bus, checked when it is built.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::{runtime::Handle, sync::Notify};

use crate::{
    Bus, Event, InlineListener, Listener, Observer, Policy, Subscriber, Topology,
    bus::{Core, Handles, Routes},
    dead_letter::DeadLetters,
    ends::{AbandonedLog, Ends},
    guard::guarded,
    lane::Lane,
    observer::Observers,
    route::{AnyRoute, Route},
    topology::{LaneRow, Row},
    worker,
};

/// The listeners of a bus that is not built yet; made by [`Bus::builder`].
///
/// A type that listens to one event needs no type arguments: `.listen(SendConfirmation::new())`. One
/// that listens to several says which: `.listen::<AppointmentBooked, _>(audit)`.
#[must_use = "a bus is made by `build`"]
pub struct BusBuilder {
    drafts: Vec<Box<dyn AnyDraft>>,
    places: HashMap<TypeId, usize>,
    max_causation_depth: NonZeroU32,
    dead_letter_capacity: NonZeroUsize,
    observers: Vec<Box<dyn Observer>>,
}

impl BusBuilder {
    pub(crate) fn new() -> Self {
        Self {
            drafts: Vec::new(),
            places: HashMap::new(),
            max_causation_depth: const { NonZeroU32::new(16).expect("16 is not zero") },
            dead_letter_capacity: const { NonZeroUsize::new(1024).expect("1024 is not zero") },
            observers: Vec::new(),
        }
    }

    /// Adds a listener with the default [`Policy`].
    pub fn listen<E: Event, L: Listener<E>>(self, listener: L) -> Self {
        self.listen_with(listener, Policy::new())
    }

    /// Adds a listener with a policy of its own.
    pub fn listen_with<E: Event, L: Listener<E>>(mut self, listener: L, policy: Policy<E>) -> Self {
        self.draft::<E>().lanes.push(LaneDraft {
            name: listener.name(),
            policy,
            start: Box::new(move |lane, core, runtime| start(lane, listener, core, runtime)),
        });
        self
    }

    /// Adds an inline listener. Inline listeners run in the order in which they were added.
    pub fn inline<E: Event, L: InlineListener<E>>(mut self, listener: L) -> Self {
        self.draft::<E>()
            .inline
            .push((listener.name(), Box::new(listener)));
        self
    }

    /// Adds all listeners of a subscriber.
    pub fn subscribe(self, subscriber: impl Subscriber) -> Self {
        subscriber.subscribe_to(self)
    }

    /// Says that the application will dispatch `E`. [`build`](Self::build) warns if nobody listens.
    pub fn declare<E: Event>(mut self) -> Self {
        self.draft::<E>();
        self
    }

    /// Says that `E` must have a listener of this name, or [`build`](Self::build) fails.
    pub fn require<E: Event>(mut self, listener: impl Into<Cow<'static, str>>) -> Self {
        self.draft::<E>().required.push(listener.into());
        self
    }

    /// Sets how long a chain of events may grow that listeners dispatch. Default: 16.
    ///
    /// An event beyond it becomes a dead letter at each of its listeners, with
    /// [`Reason::CausationTooDeep`](crate::Reason::CausationTooDeep) and the names in the chain.
    /// Inline listeners still run, unless it was an inline listener that dispatched it.
    pub fn max_causation_depth(mut self, depth: NonZeroU32) -> Self {
        self.max_causation_depth = depth;
        self
    }

    /// Sets how many dead letters are kept. Default: 1024. The oldest are evicted and counted.
    pub fn dead_letter_capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.dead_letter_capacity = capacity;
        self
    }

    /// Adds an observer, which is told each step of each event.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Builds the bus and starts its tasks on the current tokio runtime.
    ///
    /// Logs a warning for every event that was declared and has no listener.
    ///
    /// # Errors
    ///
    /// With [`BuildError`] if the listeners do not fit together, or outside a runtime with a timer.
    pub fn build(self) -> Result<Bus, BuildError> {
        self.check()?;
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        // The only way to ask a runtime for a timer is to make one.
        guarded(|| drop(tokio::time::sleep(Duration::ZERO))).map_err(|_| BuildError::NoTimer)?;

        let mut rows = Vec::new();
        let ends = Arc::new(Ends {
            dead_letters: DeadLetters::new(self.dead_letter_capacity),
            abandoned: AbandonedLog::default(),
            observers: Observers::new(self.observers),
        });
        let mut routes = Routes::default();
        let mut in_order = Vec::new();
        let mut starts = Vec::new();
        for draft in self.drafts {
            draft.describe(&mut rows);
            if let Some((event, route, start)) = draft.build(&ends) {
                routes.insert(event, Arc::clone(&route));
                in_order.push(route);
                starts.push(start);
            }
        }
        for row in rows.iter().filter(|row| row.listener.is_none()) {
            tracing::warn!(event = row.event, "a declared event has no listener");
        }
        let core = Arc::new(Core {
            incarnation: RandomState::new().hash_one(0_u8),
            sequence: AtomicU64::new(1),
            max_causation_depth: self.max_causation_depth.get(),
            routes,
            in_order,
            unrouted: DashMap::new(),
            has_unrouted: AtomicBool::new(false),
            topology: Topology { rows: rows.into() },
            ends,
            refused: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            ended: Notify::new(),
            aborts: Mutex::new(Vec::new()),
            gave_up: AtomicBool::new(false),
        });
        for start in starts {
            start(&core, &runtime);
        }
        Ok(Bus {
            handles: Arc::new(Handles { core }),
        })
    }

    fn check(&self) -> Result<(), BuildError> {
        let mut names = HashSet::new();
        for draft in &self.drafts {
            if !names.insert(draft.event()) {
                return Err(BuildError::NameTaken {
                    event: draft.event(),
                });
            }
            draft.check()?;
        }
        Ok(())
    }

    fn draft<E: Event>(&mut self) -> &mut Draft<E> {
        let place = *self.places.entry(TypeId::of::<E>()).or_insert_with(|| {
            self.drafts.push(Box::new(Draft::<E>::default()));
            self.drafts.len() - 1
        });
        let draft: &mut dyn Any = &mut *self.drafts[place];
        draft
            .downcast_mut()
            .expect("the place of an event type holds its draft")
    }
}

impl fmt::Debug for BusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<&str> = self.drafts.iter().map(|draft| draft.event()).collect();
        f.debug_struct("BusBuilder")
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

/// Why a bus was not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two listeners of one event have one name. Name one of them differently.
    #[error("two listeners of {event} are named {listener}")]
    DuplicateName {
        /// The name of the event.
        event: &'static str,
        /// The name that was given twice.
        listener: Cow<'static, str>,
    },
    /// A required listener was not added.
    #[error("{event} requires a listener named {listener}")]
    MissingListener {
        /// The name of the event.
        event: &'static str,
        /// The name of the missing listener.
        listener: Cow<'static, str>,
    },
    /// Two types of event have one [`Event::NAME`]. Name one of them differently.
    #[error("two types of event are named {event}")]
    NameTaken {
        /// The name that was given twice.
        event: &'static str,
    },
    /// `build` was called outside a tokio runtime, which the bus's tasks need.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// The tokio runtime was built without `enable_time`, which time-outs need.
    #[error("the tokio runtime has no timer")]
    NoTimer,
}

/// The listeners of one type of event.
struct Draft<E> {
    inline: Vec<(Cow<'static, str>, Box<dyn InlineListener<E>>)>,
    lanes: Vec<LaneDraft<E>>,
    required: Vec<Cow<'static, str>>,
}

struct LaneDraft<E> {
    name: Cow<'static, str>,
    policy: Policy<E>,
    start: StartLane<E>,
}

/// Starts the workers of a lane; it knows the type of the listener.
type StartLane<E> = Box<dyn FnOnce(Arc<Lane<E>>, &Arc<Core>, &Handle) + Send + Sync>;

/// Starts all tasks of a route.
type StartRoute = Box<dyn FnOnce(&Arc<Core>, &Handle)>;

impl<E> Default for Draft<E> {
    fn default() -> Self {
        Self {
            inline: Vec::new(),
            lanes: Vec::new(),
            required: Vec::new(),
        }
    }
}

impl<E: Event> Draft<E> {
    fn names(&self) -> impl Iterator<Item = &Cow<'static, str>> {
        let inline = self.inline.iter().map(|(name, _)| name);
        inline.chain(self.lanes.iter().map(|lane| &lane.name))
    }
}

/// A draft whose event type is forgotten.
trait AnyDraft: Any + Send + Sync {
    fn event(&self) -> &'static str;
    fn check(&self) -> Result<(), BuildError>;
    fn describe(&self, rows: &mut Vec<Row>);
    /// The route, unless nobody listens.
    fn build(self: Box<Self>, ends: &Arc<Ends>) -> Option<(TypeId, Arc<dyn AnyRoute>, StartRoute)>;
}

impl<E: Event> AnyDraft for Draft<E> {
    fn event(&self) -> &'static str {
        E::NAME
    }

    fn check(&self) -> Result<(), BuildError> {
        let mut names = HashSet::new();
        for name in self.names() {
            if !names.insert(name) {
                return Err(BuildError::DuplicateName {
                    event: E::NAME,
                    listener: name.clone(),
                });
            }
        }
        match self.required.iter().find(|name| !names.contains(name)) {
            Some(name) => Err(BuildError::MissingListener {
                event: E::NAME,
                listener: name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn describe(&self, rows: &mut Vec<Row>) {
        let row = |listener: Option<&Cow<'static, str>>, lane| Row {
            event: E::NAME,
            version: E::VERSION,
            listener: listener.cloned(),
            lane,
            required: listener.is_some_and(|name| self.required.contains(name)),
        };
        if self.inline.is_empty() && self.lanes.is_empty() {
            rows.push(row(None, None));
        }
        rows.extend(self.inline.iter().map(|(name, _)| row(Some(name), None)));
        rows.extend(self.lanes.iter().map(|lane| {
            let policy = &lane.policy;
            let how = LaneRow {
                capacity: policy.capacity,
                overflow: policy.overflow,
                concurrency: policy.concurrency,
                time_out: policy.time_out,
                retry: policy.retry,
                ordered: policy.order_key.is_some(),
                coalescing: policy.coalesce_key.is_some(),
            };
            row(Some(&lane.name), Some(how))
        }));
    }

    fn build(self: Box<Self>, ends: &Arc<Ends>) -> Option<(TypeId, Arc<dyn AnyRoute>, StartRoute)> {
        if self.inline.is_empty() && self.lanes.is_empty() {
            return None;
        }
        let mut lanes = Vec::new();
        let mut starts = Vec::new();
        for (index, draft) in self.lanes.into_iter().enumerate() {
            let slot = self.inline.len() + index;
            let lane = Lane::new(draft.name, draft.policy, slot, Arc::clone(ends));
            let lane = Arc::new(lane);
            lanes.push(Arc::clone(&lane));
            starts.push((lane, draft.start));
        }
        let route = Arc::new(Route::new(self.inline, lanes, Arc::clone(ends)));
        let routed = Arc::clone(&route);
        let start = move |core: &Arc<Core>, runtime: &Handle| {
            for (lane, start) in starts {
                start(lane, core, runtime);
            }
            if routed.has_lanes() {
                let router = Arc::clone(&routed);
                let ended = move || routed.router_ended();
                spawn(core, runtime, async move { router.run().await }, ended);
            }
        };
        Some((TypeId::of::<E>(), route, Box::new(start)))
    }
}

fn start<E: Event, L: Listener<E>>(
    lane: Arc<Lane<E>>,
    listener: L,
    core: &Arc<Core>,
    runtime: &Handle,
) {
    let listener = Arc::new(listener);
    for worker in 0..lane.policy.concurrency.get() {
        let work = worker::work(
            Arc::clone(&lane),
            Arc::clone(&listener),
            Arc::clone(core),
            worker,
        );
        let lane = Arc::clone(&lane);
        spawn(core, runtime, work, move || lane.worker_ended(worker));
    }
}

/// Starts a task that the core counts and may abort, and that runs `ended` however it ends.
fn spawn(
    core: &Arc<Core>,
    runtime: &Handle,
    task: impl Future<Output = ()> + Send + 'static,
    ended: impl FnOnce() + Send + 'static,
) {
    core.tasks.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    let guard = TaskGuard {
        core: Arc::clone(core),
        ended: Some(ended),
    };
    let task = runtime.spawn(async move {
        let _guard = guard;
        task.await;
    });
    core.adopt(task.abort_handle());
}

/// Reports the end of a task, also when it was aborted or its runtime ended.
struct TaskGuard<F: FnOnce()> {
    core: Arc<Core>,
    ended: Option<F>,
}

impl<F: FnOnce()> Drop for TaskGuard<F> {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended();
        }
        self.core.task_ended();
    }
}
