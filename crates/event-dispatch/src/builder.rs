//! [`BusBuilder`]: the listeners of a bus, checked when it is built.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};

#[cfg(feature = "testing")]
use crate::testing::Fake;
use crate::{
    BatchListener, Batching, Bus, Event, FlightRecorder, InlineListener, Listener, Observer,
    Policy, Row, Subscriber, Topology, Wake,
    bus::{Core, Handles, Routes},
    dead_letter::DeadLetters,
    draft::{AnyDraft, Draft, InlineDraft, LaneDraft},
    ends::{AbandonedLog, Ends},
    guard::guarded,
    handler::{Each, Whole},
    kept::Kept,
    observer::Observers,
    wake::Nudge,
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
    disabled: Vec<Cow<'static, str>>,
    recorder: Option<FlightRecorder>,
    wake: Wake,
    /// Makes the observer that times every listener, if that is wanted.
    pub(crate) stopwatches: Option<ObserverOfRows>,
}

/// Makes an observer that knows who listens to what.
type ObserverOfRows = fn(&[Row]) -> Box<dyn Observer>;

impl BusBuilder {
    pub(crate) fn new() -> Self {
        Self {
            drafts: Vec::new(),
            places: HashMap::new(),
            max_causation_depth: const { NonZeroU32::new(16).expect("16 is not zero") },
            dead_letter_capacity: const { NonZeroUsize::new(1024).expect("1024 is not zero") },
            observers: Vec::new(),
            disabled: Vec::new(),
            recorder: None,
            wake: Wake::default(),
            stopwatches: None,
        }
    }

    /// Adds a listener with the default [`Policy`].
    pub fn listen<E: Event, L: Listener<E>>(self, listener: L) -> Self {
        self.listen_with(listener, Policy::new())
    }

    /// Adds a listener with a policy of its own.
    pub fn listen_with<E: Event, L: Listener<E>>(mut self, listener: L, policy: Policy<E>) -> Self {
        let lane = LaneDraft::new(listener.name(), Each(listener), None, policy);
        self.draft::<E>().lanes.push(lane);
        self
    }

    /// Adds a listener that handles several events at once.
    pub fn listen_batches<E: Event, L: BatchListener<E>>(
        mut self,
        listener: L,
        batching: Batching,
        policy: Policy<E>,
    ) -> Self {
        let lane = LaneDraft::new(listener.name(), Whole(listener), Some(batching), policy);
        self.draft::<E>().lanes.push(lane);
        self
    }

    /// Adds an inline listener. Inline listeners run in the order in which they were added.
    pub fn inline<E: Event, L: InlineListener<E>>(mut self, listener: L) -> Self {
        self.draft::<E>().inline.push(InlineDraft::new(listener));
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

    /// Has the listener of that name take no part, of whichever events: for configuration. See
    /// [`Policy::enabled`].
    ///
    /// [`build`](Self::build) fails if nobody has that name, or if it is required.
    pub fn disable(mut self, listener: impl Into<Cow<'static, str>>) -> Self {
        self.disabled.push(listener.into());
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

    /// Sets on which thread an event that finds the bus idle is given to its listeners. Default:
    /// [`Wake::Thrifty`].
    pub fn wake(mut self, wake: Wake) -> Self {
        self.wake = wake;
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

    /// Keeps the steps of the newest events, so that [`Bus::explain`] can tell what became of them. A
    /// number says how many; by default nothing is kept. Called again, it takes the former's place.
    ///
    /// It is told as an observer is: it costs the publisher a lock and a look at the clock, and every
    /// step at a listener as much.
    pub fn flight_recorder(mut self, recorder: impl Into<FlightRecorder>) -> Self {
        self.recorder = Some(recorder.into());
        self
    }

    /// Builds the bus and starts its tasks on the current tokio runtime.
    ///
    /// Logs a warning for every event that was declared and has no listener.
    ///
    /// # Errors
    ///
    /// With [`BuildError`] if the listeners do not fit together, or outside a runtime with a timer.
    pub fn build(mut self) -> Result<Bus, BuildError> {
        self.disable_all()?;
        self.check()?;
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        // The only way to ask a runtime for a timer is to make one.
        guarded(|| drop(tokio::time::sleep(Duration::ZERO))).map_err(|_| BuildError::NoTimer)?;

        let mut rows = Vec::new();
        self.drafts
            .iter()
            .for_each(|draft| draft.describe(&mut rows));
        let mut observers: Vec<Box<dyn Observer>> = Vec::new();
        // Before the others, which may ask it.
        if let Some(recorder) = &self.recorder {
            observers.push(Box::new(recorder.clone()));
        }
        observers.append(&mut self.observers);
        observers.extend(self.stopwatches.map(|times| times(&rows)));
        let ends = Arc::new(Ends {
            dead_letters: DeadLetters::new(self.dead_letter_capacity),
            abandoned: AbandonedLog::default(),
            observers: Observers::new(observers),
            core: OnceLock::new(),
        });
        let mut routes = Routes::default();
        let mut in_order = Vec::new();
        let mut starts = Vec::new();
        for draft in self.drafts {
            if let Some((event, route, start)) = draft.build(&ends) {
                routes.insert(event, Arc::clone(&route));
                in_order.push(route);
                starts.push(start);
            }
        }
        for row in rows.iter().filter(|row| row.listener.is_none()) {
            tracing::warn!(event = row.event, "a declared event has no listener");
        }
        // On a single thread there is no other that could be found.
        let is_prompt =
            self.wake == Wake::Prompt && runtime.runtime_flavor() != RuntimeFlavor::CurrentThread;
        let nudge = is_prompt.then(Arc::<Nudge>::default);
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
            recorder: self.recorder,
            kept: Kept::default(),
            refused: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            ended: Notify::new(),
            aborts: Mutex::new(Vec::new()),
            watch: Arc::default(),
            nudge,
            gave_up: AtomicBool::new(false),
        });
        // A new core, so nobody has set it.
        let _ = core.ends.core.set(Arc::downgrade(&core));
        for start in starts {
            start(&core, &runtime);
        }
        // On a single thread, nobody could relieve who blocks it.
        let has_tasks = core.tasks.load(Ordering::Acquire) > 0;
        if has_tasks && runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            let watch = Arc::clone(&core.watch);
            runtime.spawn(watch.run(Arc::downgrade(&core), runtime.clone()));
            if let Some(nudge) = core.nudge.clone() {
                runtime.spawn(async move { nudge.run().await });
            }
        }
        Ok(Bus {
            handles: Arc::new(Handles { core }),
        })
    }

    fn disable_all(&mut self) -> Result<(), BuildError> {
        for listener in &self.disabled {
            let drafts = self.drafts.iter_mut();
            // All of them: one listener may hear several events.
            if drafts
                .filter_map(|draft| draft.disable(listener).then_some(()))
                .count()
                == 0
            {
                return Err(BuildError::NothingToDisable {
                    listener: listener.clone(),
                });
            }
        }
        Ok(())
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

    /// Who will listen to what, and how.
    #[cfg(feature = "testing")]
    pub(crate) fn topology(&self) -> Topology {
        let mut rows = Vec::new();
        for draft in &self.drafts {
            draft.describe(&mut rows);
        }
        Topology { rows: rows.into() }
    }

    /// Lets a fake stand in for every listener of this name.
    #[cfg(feature = "testing")]
    pub(crate) fn replace(&mut self, listener: &str, fake: &Fake) {
        for draft in &mut self.drafts {
            draft.replace(listener, fake);
        }
    }

    pub(crate) fn draft<E: Event>(&mut self) -> &mut Draft<E> {
        let place = match self.places.get(&TypeId::of::<E>()) {
            Some(place) => *place,
            None => {
                let place = self.drafts.len();
                self.drafts.push(Box::new(Draft::<E>::default()));
                self.places.insert(TypeId::of::<E>(), place);
                E::connect(self);
                place
            }
        };
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
    /// A required listener was disabled. Enable it, or do not require it.
    #[error("{event} requires {listener}, which is disabled")]
    RequiredIsDisabled {
        /// The name of the event.
        event: &'static str,
        /// The name of the listener.
        listener: Cow<'static, str>,
    },
    /// A listener was to be disabled that no event has. Look for a spelling mistake.
    #[error("no listener is named {listener}, so it cannot be disabled")]
    NothingToDisable {
        /// The name that nobody has.
        listener: Cow<'static, str>,
    },
    /// A listener comes after one that the event does not have.
    #[error("{listener} of {event} comes after {after}, which does not listen to it")]
    UnknownPredecessor {
        /// The name of the event.
        event: &'static str,
        /// The name of the listener.
        listener: Cow<'static, str>,
        /// The name that no listener of the event has.
        after: Cow<'static, str>,
    },
    /// Listeners of one event wait for each other.
    #[error("listeners of {event} wait for each other: {listeners}")]
    Circle {
        /// The name of the event.
        event: &'static str,
        /// Their names: each comes after the next, and the last is the first.
        listeners: String,
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
