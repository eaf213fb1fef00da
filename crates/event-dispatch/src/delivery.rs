//! [`Delivery`]: what code running inside a listener can ask about the event it handles.
//!
//! # Invariants
//!
//! 1. A thread's current delivery is set around every poll of a listener's future and around every
//!    inline listener, and put back before [`within`] returns, also when the code panics.
//! 2. It is set for every event, so it is boxed, lives as long as its worker, and makes a [`Delivery`] only for
//!    who asks.

use std::{cell::RefCell, fmt, mem, sync::Arc, time::SystemTime};

use tracing::Span;

use crate::{
    Event, EventId, Receipt,
    bus::Core,
    envelope::{Acceptance, Envelope, Header, Link, Parcel},
    guard::{Panic, guarded},
    trace_context::TraceContext,
};

/// One event on its way to one listener, as seen from inside that listener.
///
/// `clone` is cheap. Moved to a spawned task, it lets that task dispatch events that keep their
/// cause. It does not keep the bus open.
#[derive(Clone)]
pub struct Delivery {
    core: Arc<Core>,
    parcel: Arc<dyn Parcel>,
    attempt: u32,
    inline: bool,
    trace: TraceContext,
}

impl Delivery {
    /// The delivery that the calling code is part of, if a listener is running on this thread.
    pub fn current() -> Option<Self> {
        CURRENT
            .try_with(|current| current.borrow().as_deref().and_then(Current::delivery))
            .ok()
            .flatten()
    }

    /// The id of the event being handled.
    pub fn id(&self) -> EventId {
        self.parcel.header().id
    }

    /// The event whose listener dispatched this one, if a listener did.
    pub fn cause(&self) -> Option<EventId> {
        self.parcel.header().cause.as_ref().map(|cause| cause.id)
    }

    /// How many events led to this one: 0 if no listener dispatched it.
    pub fn depth(&self) -> u32 {
        self.parcel.header().depth
    }

    /// The id under which the event was dispatched first, if this is a replay.
    pub fn replay_of(&self) -> Option<EventId> {
        self.parcel.header().replay_of
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When `dispatch` took the event.
    pub fn accepted_at(&self) -> SystemTime {
        self.parcel.header().accepted.at()
    }

    /// Dispatches `event` on the same bus, caused by this one, wherever it is called.
    ///
    /// Inside the listener, [`Bus::dispatch`](crate::Bus::dispatch) does the same.
    pub fn dispatch<E: Event>(&self, event: E) -> Receipt {
        let inline = CURRENT
            .try_with(|current| {
                current
                    .borrow()
                    .as_ref()
                    .is_some_and(|current| current.inline)
            })
            .unwrap_or_default();
        self.core.dispatch(
            event,
            Origin {
                inline,
                trace: self.trace_here(),
                ..self.origin()
            },
        )
    }

    /// The trace to go on with: the current span, if it is of this delivery's trace.
    pub(crate) fn trace_here(&self) -> TraceContext {
        TraceContext::current().within(&self.trace)
    }

    fn origin(&self) -> Origin {
        Origin {
            inline: self.inline,
            trace: self.trace.onward(),
            ..Origin::caused_by(self.parcel.header())
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("header", self.parcel.header())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Where a dispatch came from.
#[derive(Default)]
pub(crate) struct Origin {
    pub(crate) cause: Option<Link>,
    pub(crate) depth: u32,
    /// Whether the dispatch happens inside an inline listener, on top of another `dispatch`.
    pub(crate) inline: bool,
    pub(crate) trace: TraceContext,
}

impl Origin {
    /// The header of an event that was dispatched there.
    pub(crate) fn header<E: Event>(self, id: EventId) -> Header {
        Header {
            id,
            name: E::NAME,
            version: E::VERSION,
            depth: self.depth,
            accepted: Acceptance::default(),
            cause: self.cause,
            trace: self.trace,
            replay_of: None,
        }
    }

    /// The origin of a dispatch that an event leads to.
    pub(crate) fn caused_by(header: &Header) -> Self {
        Self {
            cause: Some(Link {
                id: header.id,
                name: header.name,
                parent: header.cause.clone().map(Arc::new),
            }),
            depth: header.depth.saturating_add(1),
            inline: false,
            trace: header.trace.onward(),
        }
    }

    /// The origin of a dispatch made here and now.
    pub(crate) fn here() -> Self {
        let origin = CURRENT
            .try_with(|current| current.borrow().as_deref().and_then(Current::origin))
            .ok()
            .flatten()
            .unwrap_or_default();
        // The current span is the subscriber's to tell, so nothing is borrowed here.
        let trace = TraceContext::current().or(&origin.trace);
        Self { trace, ..origin }
    }
}

/// Knows which event is being delivered.
pub(crate) trait Courier: Send + Sync {
    /// That event, if there is one.
    fn parcel(self: Arc<Self>) -> Option<Arc<dyn Parcel>>;
}

impl<E: Event> Courier for Envelope<E> {
    fn parcel(self: Arc<Self>) -> Option<Arc<dyn Parcel>> {
        Some(self)
    }
}

/// What a thread is delivering: an event on its way to one listener.
pub(crate) struct Current {
    core: Arc<Core>,
    courier: Arc<dyn Courier>,
    attempt: u32,
    inline: bool,
    /// That of the listener's span, if there is one.
    trace: TraceContext,
}

impl Current {
    pub(crate) fn new(core: Arc<Core>, courier: Arc<dyn Courier>) -> Box<Self> {
        Box::new(Self {
            core,
            courier,
            attempt: 1,
            inline: false,
            trace: Default::default(),
        })
    }

    pub(crate) fn inline<E: Event>(core: Arc<Core>, envelope: &Arc<Envelope<E>>) -> Box<Self> {
        let mut current = Self::new(core, Arc::clone(envelope) as _);
        current.inline = true;
        current
    }

    /// As before the first attempt at an event.
    pub(crate) fn reset(&mut self) {
        self.attempt = 1;
        self.trace = Default::default();
    }

    /// Begins an attempt at the event with this header, in a span that nobody has entered yet and that
    /// continues the event's trace.
    pub(crate) fn begin(&mut self, attempt: u32, header: &Header, span: &Span) {
        self.attempt = attempt;
        header.trace.leads_to(span);
        self.trace = TraceContext::of(span);
    }

    fn delivery(&self) -> Option<Delivery> {
        let parcel = Arc::clone(&self.courier).parcel()?;
        Some(Delivery {
            core: Arc::clone(&self.core),
            attempt: self.attempt,
            inline: self.inline,
            trace: self.trace.clone().or(&parcel.header().trace),
            parcel,
        })
    }

    fn origin(&self) -> Option<Origin> {
        self.delivery().map(|delivery| delivery.origin())
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Box<Current>>> = const { RefCell::new(None) };
}

/// Runs foreign code as part of `current`, and catches its panic.
pub(crate) fn within<T>(
    current: &mut Option<Box<Current>>,
    run: impl FnOnce() -> T,
) -> Result<T, Panic> {
    let swap = |current: &mut Option<Box<Current>>| {
        // During the destruction of the thread there is no current delivery, and nothing to do.
        let _ = CURRENT.try_with(|place| mem::swap(&mut *place.borrow_mut(), current));
    };
    swap(current);
    let result = guarded(run);
    swap(current);
    result
}
