//! What a reader has to do next: nothing, wait, or load.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::{
    answer::{Answer, Source},
    cache::{Inner, Key},
    entry::Entry,
    flight::{Flight, Wait},
};

/// What a reader has to do next.
#[must_use = "a ticket that is dropped tells its followers that the load was lost"]
pub enum Turn<K: Key, V, E> {
    /// Nothing: this is the answer.
    Hit(Answer<V>),
    /// Load, and [`fill`](Ticket::fill).
    Load(Ticket<K, V, E>),
    /// Wait for the load of another reader.
    Follow(Follower<V, E>),
}

/// The duty to load one key, and the fences as they stood before the load.
///
/// Readers that ask for the same key wait for this ticket. Dropping it, by a cancelled future or a
/// panic, lets them take over.
pub struct Ticket<K: Key, V, E> {
    cache: Arc<Inner<K, V, E>>,
    key: K,
    flight: Arc<Flight<Landed<V, E>>>,
    begun: Instant,
    keep: bool,
    ended: bool,
}

/// What a flight brings its readers.
pub(crate) type Landed<V, E> = Result<Arc<Entry<V>>, E>;

impl<K: Key, V: Send + Sync + 'static, E: Clone> Ticket<K, V, E> {
    pub(crate) fn new(
        cache: Arc<Inner<K, V, E>>,
        key: K,
        flight: Arc<Flight<Landed<V, E>>>,
    ) -> Self {
        let begun = Instant::now();
        // Decided when the load begins: only then does the origin's lag matter.
        let keep = !flight.guards.are_settling(&cache.fences, begun);
        Self {
            cache,
            key,
            flight,
            begun,
            keep,
            ended: false,
        }
    }

    /// Ends the load with its value, for this reader and all that follow it.
    ///
    /// # Consistency
    ///
    /// The value is kept unless an invalidation has overtaken the load or the load began within
    /// the settle time of one. It is served either way: its readers asked before the invalidation.
    pub fn fill(self, value: V) -> Answer<V> {
        let cache = &self.cache;
        let entry = Arc::new(Entry {
            value,
            guards: self.flight.guards.clone(),
            loaded: self.begun,
            deadline: self.begun + cache.ttl,
        });
        if !self.keep {
            cache.counters.unkept.add();
        } else if entry.guards.check(&cache.counters).is_err() {
            cache.counters.born_invalid.add();
        } else {
            // An invalidation from here on raises the very fences that this entry names.
            cache.l1.insert(self.key.clone(), Arc::clone(&entry));
        }
        self.end(Ok(Arc::clone(&entry)));
        Answer::new(entry, Source::Loaded)
    }

    /// Ends the load with an error, for this reader and all that follow it. Nothing is kept.
    pub fn fail(self, error: E) {
        self.cache.counters.failed.add();
        self.end(Err(error));
    }

    /// Ends the load, which need not begin, with what another reader has just left in level 1.
    pub(crate) fn found(self, entry: &Arc<Entry<V>>) {
        self.end(Ok(Arc::clone(entry)));
    }

    fn end(mut self, landed: Landed<V, E>) {
        self.ended = true;
        self.leave();
        self.flight.land(landed);
    }
}

impl<K: Key, V, E> Ticket<K, V, E> {
    /// Takes the flight off the board, before it ends: a reader that finds none looks in level 1.
    fn leave(&self) {
        // A flight that an invalidation overtook may have a successor under the same key.
        self.cache
            .flights
            .remove_if(&self.key, |flight| Arc::ptr_eq(flight, &self.flight));
    }
}

impl<K: Key, V, E> Drop for Ticket<K, V, E> {
    fn drop(&mut self) {
        if !self.ended {
            self.cache.counters.lost.add();
            self.leave();
            self.flight.lose();
        }
    }
}

/// Waits for the load of another reader.
///
/// # Cancel safety
///
/// Dropping it leaves the load and its other followers alone.
#[must_use = "futures do nothing unless awaited"]
pub struct Follower<V, E>(Wait<Landed<V, E>>);

impl<V, E> Follower<V, E> {
    pub(crate) fn new(flight: Arc<Flight<Landed<V, E>>>) -> Self {
        Self(Wait::new(flight))
    }
}

/// How the load of another reader ended.
#[derive(Debug)]
#[must_use = "a load that brought nothing can be taken over"]
pub enum Landing<V, E> {
    /// With an answer.
    Answer(Answer<V>),
    /// With an error, which its own reader has got.
    Failed(E, Retry<V, E>),
    /// It was cancelled or panicked.
    Lost(Retry<V, E>),
}

/// The right to another load, shared by all who waited for one that brought nothing.
///
/// The first who uses it with [`Cache::begin_again`](crate::Cache::begin_again) loads, the others follow.
#[must_use = "the readers that waited share the next load through it"]
pub struct Retry<V, E>(pub(crate) Arc<Flight<Landed<V, E>>>);

impl<V, E: Clone> Future for Follower<V, E> {
    type Output = Landing<V, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = &mut self.get_mut().0;
        Pin::new(&mut *wait).poll(cx).map(|landed| match landed {
            Some(Ok(entry)) => Landing::Answer(Answer::new(entry, Source::Shared)),
            Some(Err(error)) => Landing::Failed(error, Retry(Arc::clone(&wait.flight))),
            None => Landing::Lost(Retry(Arc::clone(&wait.flight))),
        })
    }
}

impl<K: Key, V, E> fmt::Debug for Turn<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hit(_) => "Hit",
            Self::Load(_) => "Load",
            Self::Follow(_) => "Follow",
        })
    }
}

impl<K: Key, V, E> fmt::Debug for Ticket<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

impl<V, E> fmt::Debug for Follower<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl<V, E> fmt::Debug for Retry<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").finish_non_exhaustive()
    }
}
