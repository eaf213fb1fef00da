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
    cache::{Inner, Key, Nearest},
    entry::Entry,
    fence::Calm,
    flight::{Flight, Stage, Wait},
    level2::{Looked, Proof},
};

/// What a reader has to do next.
#[must_use = "a ticket that is dropped tells its followers that the load was lost"]
pub enum Turn<K: Key, V, E> {
    /// Nothing: this is the answer.
    Hit(Answer<V>),
    /// Load: see [`Ticket`].
    Load(Ticket<K, V, E>),
    /// Wait for the load of another reader.
    Follow(Follower<V, E>),
}

/// The duty to load one key, and the fences as they stood when it was taken.
///
/// Readers that ask for the same key wait for this ticket. Dropping it, by a cancelled future or a
/// panic, lets them take over. [`Cache::look`](crate::Cache::look) may end it with a value of level 2; else
/// the load begins with [`depart`](Self::depart).
#[must_use = "a ticket that is dropped tells its followers that the load was lost"]
pub struct Ticket<K: Key, V, E> {
    duty: Duty<K, V, E>,
    nearest: Nearest,
    /// What level 2 said, if it was asked and answered.
    proof: Option<Proof>,
}

/// A load that has begun: it ends with a value, an error, or, when it is dropped, with nothing.
#[must_use = "a load that is dropped tells its followers that it was lost"]
pub struct Load<K: Key, V, E> {
    duty: Duty<K, V, E>,
    proof: Option<Proof>,
    begun: Instant,
    keep: bool,
}

/// The place of a flight on the board, which it leaves in any case.
struct Duty<K: Key, V, E> {
    cache: Arc<Inner<K, V, E>>,
    key: K,
    flight: Arc<Flight<Landed<V, E>>>,
    ended: bool,
}

/// What a flight brings its readers.
pub(crate) type Landed<V, E> = Result<Arc<Entry<V>>, E>;

/// What level 2 had for a ticket.
#[derive(Debug)]
#[must_use = "a ticket that is dropped tells its followers that the load was lost"]
pub enum Look<K: Key, V, E> {
    /// The answer, for this reader and all that follow it.
    Found(Answer<V>),
    /// Nothing: load.
    Missing(Ticket<K, V, E>),
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Ticket<K, V, E> {
    pub(crate) fn new(
        cache: Arc<Inner<K, V, E>>,
        key: K,
        nearest: Nearest,
        flight: Arc<Flight<Landed<V, E>>>,
    ) -> Self {
        let duty = Duty {
            cache,
            key,
            flight,
            ended: false,
        };
        Self {
            duty,
            nearest,
            proof: None,
        }
    }

    /// Begins the load. To be called right before the origin is asked: readers that come later
    /// share the load only where nothing can have changed unnoticed since.
    pub fn depart(self) -> Load<K, V, E> {
        let Self { duty, proof, .. } = self;
        let (cache, flight) = (&duty.cache, &duty.flight);
        cache.counters.loads.add();
        let begun = Instant::now();
        // Decided when the load begins: only then does the origin's lag matter.
        let calm = flight.guards.calm(&cache.fences, begun);
        let (shared, kept) = match (&cache.level2, &proof) {
            (None, _) => (true, true),
            (Some(_), Some(proof)) => (proof.may_share(), proof.may_keep()),
            (Some(_), None) => (false, false),
        };
        flight.enter(if shared && calm < Calm::Held {
            Stage::Departed
        } else {
            Stage::Sealed
        });
        Load {
            keep: kept && calm == Calm::Settled,
            begun,
            duty,
            proof,
        }
    }

    /// Asks level 2.
    pub(crate) async fn look(mut self) -> Look<K, V, E> {
        let Duty {
            cache, key, flight, ..
        } = &self.duty;
        let Some(level2) = &cache.level2 else {
            return Look::Missing(self);
        };
        if !level2.is_reachable(key) {
            return Look::Missing(self);
        }
        flight.enter(Stage::Departed);
        match level2.look(key, self.nearest, &flight.guards).await {
            Looked::Found {
                value,
                loaded,
                deadline,
            } => {
                let entry = self.duty.entry(value, loaded, deadline);
                if self.duty.is_true(&entry) {
                    cache.l1.insert(key.clone(), Arc::clone(&entry));
                }
                self.duty.end(Ok(Arc::clone(&entry)));
                return Look::Found(Answer::new(entry, Source::Level2));
            }
            Looked::Missing(proof) => self.proof = Some(proof),
            // The origin has not been asked: whoever comes before it is may share the load.
            Looked::Doubt => flight.enter(Stage::Boarding),
        }
        Look::Missing(self)
    }

    /// Ends the load, which need not begin, with what another reader has just left in level 1.
    pub(crate) fn found(self, entry: &Arc<Entry<V>>) {
        self.duty.end(Ok(Arc::clone(entry)));
    }
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Load<K, V, E> {
    /// Keeps its value for nobody: it is only given to the readers that wait for it.
    ///
    /// For a value of which something is missing that could not be asked for.
    pub fn unkept(self) -> Self {
        Self {
            keep: false,
            ..self
        }
    }

    /// Ends the load with its value, for this reader and all that follow it.
    ///
    /// # Consistency
    ///
    /// The value is kept unless an invalidation has overtaken the load, or the load began within
    /// the settle time of one or under a hold, or level 2 did not answer. It is served either way:
    /// its readers asked before the load began, or before the invalidation.
    pub fn fill(self, value: V) -> Answer<V> {
        let Self {
            duty,
            proof,
            begun,
            keep,
        } = self;
        let cache = &duty.cache;
        let entry = duty.entry(value, begun, begun + cache.ttl);
        if !keep {
            cache.counters.unkept.add();
        } else if !duty.is_true(&entry) {
            cache.counters.born_invalid.add();
        } else {
            // An invalidation from here on raises the very fences that this entry names.
            cache.l1.insert(duty.key.clone(), Arc::clone(&entry));
            if let (Some(level2), Some(proof)) = (&cache.level2, proof) {
                level2.keep(&duty.key, &entry, proof);
            }
        }
        duty.end(Ok(Arc::clone(&entry)));
        Answer::new(entry, Source::Loaded)
    }

    /// Ends the load with an error, for this reader and all that follow it. Nothing is kept.
    pub fn fail(self, error: E) {
        self.duty.cache.counters.failed.add();
        self.duty.end(Err(error));
    }
}

impl<K: Key, V, E> Duty<K, V, E> {
    fn entry(&self, value: V, loaded: Instant, deadline: Instant) -> Arc<Entry<V>> {
        Arc::new(Entry {
            value,
            guards: self.flight.guards.clone(),
            trust: self.flight.trust.as_ref().map(|trust| trust.keep(deadline)),
            loaded,
            deadline,
        })
    }

    /// Whether nothing has been invalidated, here or elsewhere, since the flight was made.
    fn is_true(&self, entry: &Entry<V>) -> bool {
        entry.trust.as_ref().is_none_or(|trust| trust.is_current())
            && entry
                .guards
                .check(&self.cache.fences, &self.cache.counters)
                .is_ok()
    }

    /// Takes the flight off the board, before it ends: a reader that finds none looks in level 1.
    fn leave(&self) {
        // A flight that an invalidation overtook may have a successor under the same key.
        self.cache
            .flights
            .remove_if(&self.key, |flight| Arc::ptr_eq(flight, &self.flight));
    }

    fn end(mut self, landed: Landed<V, E>) {
        self.ended = true;
        self.leave();
        self.flight.land(landed);
    }
}

impl<K: Key, V, E> Drop for Duty<K, V, E> {
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
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

impl<K: Key, V, E> fmt::Debug for Load<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
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
