//! [`EventStream`]: a live, lossy view of one type of event.
//!
//! # Invariants
//!
//! 1. A stream yields events in the order of the route; where it fell behind, it first yields the
//!    number of events that it missed.
//! 2. Evicted events are dropped outside the lock.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use crate::{Envelope, Event, guard::guarded};

/// How many events wait for a stream before it misses the oldest.
const CAPACITY: usize = 1024;

/// A live view of the events of one type, from the moment the stream was made.
///
/// Lossy by declaration: up to 1024 events wait for it, then the oldest is forgotten and counted in
/// [`Live::Missed`]. A stream is not a listener. It appears in no ledger and delays no shutdown.
/// Dropping it ends it.
pub struct EventStream<E: Event> {
    tap: Arc<Tap<E>>,
    taps: Weak<Taps<E>>,
}

/// What a stream yields.
#[derive(Debug)]
pub enum Live<E> {
    /// The next event.
    Event(Arc<Envelope<E>>),
    /// This many events went by unseen, because the stream was not read fast enough.
    Missed(u64),
}

impl<E: Event> EventStream<E> {
    /// Waits for the next event; `None` once the bus is closed and what waits has been read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Live<E>> {
        poll_fn(|context| {
            let mut state = self.tap.lock();
            if state.missed > 0 {
                return Poll::Ready(Some(Live::Missed(mem::take(&mut state.missed))));
            }
            if let Some(envelope) = state.waiting.pop_front() {
                return Poll::Ready(Some(Live::Event(envelope)));
            }
            if state.closed {
                return Poll::Ready(None);
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl<E: Event> Drop for EventStream<E> {
    fn drop(&mut self) {
        if let Some(taps) = self.taps.upgrade() {
            taps.remove(&self.tap);
        }
    }
}

impl<E: Event> fmt::Debug for EventStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("event", &E::NAME)
            .finish_non_exhaustive()
    }
}

/// The streams of one type of event.
pub(crate) struct Taps<E> {
    /// How many streams there are, so that publishers need no lock when there are none.
    count: AtomicUsize,
    state: Mutex<TapsState<E>>,
}

struct TapsState<E> {
    taps: Vec<Arc<Tap<E>>>,
    closed: bool,
}

struct Tap<E> {
    state: Mutex<TapState<E>>,
}

struct TapState<E> {
    waiting: VecDeque<Arc<Envelope<E>>>,
    missed: u64,
    closed: bool,
    reader: Option<Waker>,
}

impl<E: Event> Taps<E> {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            state: Mutex::new(TapsState {
                taps: Vec::new(),
                closed: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, TapsState<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream; one that has ended if the bus is closed.
    pub(crate) fn stream(self: &Arc<Self>) -> EventStream<E> {
        let mut state = self.lock();
        let tap = Arc::new(Tap {
            state: Mutex::new(TapState {
                waiting: VecDeque::new(),
                missed: 0,
                closed: state.closed,
                reader: None,
            }),
        });
        state.taps.push(Arc::clone(&tap));
        self.count.store(state.taps.len(), Ordering::Relaxed);
        EventStream {
            tap,
            taps: Arc::downgrade(self),
        }
    }

    fn remove(&self, tap: &Arc<Tap<E>>) {
        let mut state = self.lock();
        state.taps.retain(|other| !Arc::ptr_eq(other, tap));
        self.count.store(state.taps.len(), Ordering::Relaxed);
    }

    pub(crate) fn offer(&self, batch: &[Arc<Envelope<E>>]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let taps = self.lock().taps.clone();
        for tap in taps {
            tap.offer(batch);
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let taps = state.taps.clone();
        drop(state);
        for tap in taps {
            let mut state = tap.lock();
            state.closed = true;
            let reader = state.reader.take();
            drop(state);
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }
}

impl<E> Tap<E> {
    fn lock(&self) -> MutexGuard<'_, TapState<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, batch: &[Arc<Envelope<E>>]) {
        let mut evicted = Vec::new();
        let mut state = self.lock();
        for envelope in batch {
            if state.waiting.len() >= CAPACITY {
                evicted.extend(state.waiting.pop_front());
                state.missed += 1;
            }
            state.waiting.push_back(Arc::clone(envelope));
        }
        let reader = state.reader.take();
        drop(state);
        // Wakers of streams belong to the application.
        let _ = guarded(|| reader.map(Waker::wake));
        let _ = guarded(|| drop(evicted));
    }
}
