//! The cache: read through it, and invalidate.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    answer::{Answer, Source},
    builder::Builder,
    cover::{Cover, Scope, Span},
    entry::{Entry, Guards},
    fences::Fences,
    flight::Flight,
    l1::L1,
    map::Map,
    statistics::{Counters, Statistics},
    turn::{Follower, Landed, Landing, Ticket, Turn},
};

/// What a key has to be. Every type that fits is one.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<T: Hash + Eq + Clone + Send + Sync + 'static> Key for T {}

/// A read-through cache that serves a value only while every fence it was loaded under stands.
///
/// `K` is the key, `V` the value, `E` the error of the loader. An error is given to the readers
/// that wait for the load and is never kept; wrap an error that is not `Clone` in an [`Arc`].
///
/// A handle: `clone` is cheap and shares everything. The cache owns no task; dropping the last
/// handle frees it.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use vacancy_cache::{Cache, Cover, Scope, Source, Span};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache: Cache<&str, Vec<u32>, Infallible> = Cache::builder().build();
/// let chair = Scope::new("salon 15", "resource", "chair 1");
/// let covers = || [Cover::new(chair.clone(), Span::new(0, 86_400))];
///
/// let open = cache.get_or_load(&"today", covers, async || Ok(vec![14, 15])).await.unwrap();
/// assert_eq!(*open, [14, 15]);
///
/// cache.invalidate(&chair, Span::new(50_400, 54_000)); // somebody has booked 14:00
///
/// let open = cache.get_or_load(&"today", covers, async || Ok(vec![15])).await.unwrap();
/// assert_eq!((&**open, open.source()), (&[15][..], Source::Loaded));
/// # }
/// ```
pub struct Cache<K: Key, V, E>(Arc<Inner<K, V, E>>);

/// What the handles of one cache share.
pub(crate) struct Inner<K: Key, V, E> {
    pub(crate) l1: L1<K, V>,
    pub(crate) fences: Fences,
    pub(crate) flights: Map<K, Arc<Flight<Landed<V, E>>>>,
    pub(crate) counters: Counters,
    pub(crate) ttl: Duration,
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Cache<K, V, E> {
    /// Settings for a new cache.
    pub fn builder() -> Builder<K, V, E> {
        Builder::new()
    }

    pub(crate) fn new(inner: Inner<K, V, E>) -> Self {
        Self(Arc::new(inner))
    }

    /// Gives the value of `key`, asking `load` when none is kept that stands.
    ///
    /// `covers` says which scopes and spans the value depends on. It is called when a load may
    /// begin, and has to give the same covers for the same key each time.
    ///
    /// # Consistency
    ///
    /// A call that begins after [`invalidate`](Self::invalidate) of one of its covers has returned
    /// never gives a value whose load began before it. A value may be older than the last change
    /// that nobody invalidated, by the time to live at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. When this call is the one that loads, dropping it cancels the load, and one
    /// of the calls that wait for it takes over.
    ///
    /// # Errors
    ///
    /// The loader's own. Calls that share a load share its error, except that a call which waited
    /// for another one's load tries once more first: the failure of one reader's load does not fail
    /// the others. So an outage costs two loads for all who wait together, and each of them learns of
    /// it after two at the most.
    pub async fn get_or_load<C>(
        &self,
        key: &K,
        covers: impl Fn() -> C,
        load: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Answer<V>, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        let mut failed_before = false;
        loop {
            let follower = match self.begin(key, &covers) {
                Turn::Hit(answer) => return Ok(answer),
                Turn::Follow(follower) => follower,
                Turn::Load(ticket) => {
                    return match load().await {
                        Ok(value) => Ok(ticket.fill(value)),
                        Err(error) => {
                            ticket.fail(error.clone());
                            Err(error)
                        }
                    };
                }
            };
            match follower.await {
                Landing::Answer(answer) => return Ok(answer),
                Landing::Failed(error) if failed_before => return Err(error),
                Landing::Failed(_) => failed_before = true,
                Landing::Lost => {}
            }
        }
    }

    /// Gives the value of `key` if one is kept that stands. Never loads.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Answer<V>> {
        let entry = self.0.standing(key)?;
        self.0.counters.hits.add();
        Some(Answer::new(entry, Source::Level1))
    }

    /// Begins one turn of reading `key`: for readers that load several keys at a stroke.
    ///
    /// A reader that holds several turns ends its own tickets before it waits for the followers;
    /// then no two readers can wait for each other. [`get_or_load`](Self::get_or_load) is this for one key.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load), counted from this call.
    pub fn begin<C>(&self, key: &K, covers: impl FnOnce() -> C) -> Turn<K, V, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        match self.get(key) {
            Some(answer) => Turn::Hit(answer),
            None => self.begin_missed(key, covers),
        }
    }

    fn begin_missed<C>(&self, key: &K, covers: impl FnOnce() -> C) -> Turn<K, V, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        let inner = &self.0;
        inner.fences.release_settled();
        if let Some(flight) = inner
            .flights
            .get(key)
            .filter(|flight| inner.may_join(flight))
        {
            return inner.follow(flight);
        }
        // Before the load: an invalidation that lands while it runs must make this fill too old.
        let flight = Arc::new(Flight::new(Guards::take(&inner.fences, covers())));
        let joined = inner.flights.settle(key, |present| match present {
            Some(other) if inner.may_join(other) => (Some(Arc::clone(other)), None),
            _ => (None, Some(Arc::clone(&flight))),
        });
        if let Some(flight) = joined {
            return inner.follow(flight);
        }
        let ticket = Ticket::new(Arc::clone(inner), key.clone(), flight);
        // Another reader's load may have ended between the look into level 1 and now.
        if let Some(entry) = inner.standing(key) {
            ticket.found(&entry);
            inner.counters.hits.add();
            return Turn::Hit(Answer::new(entry, Source::Level1));
        }
        inner.counters.loads.add();
        Turn::Load(ticket)
    }

    /// Makes every value untrue that covers some of `span` of `scope`; whether anybody held one,
    /// or was loading one.
    ///
    /// Costs the same whatever is cached: it raises a fence, and the values behind it are not
    /// served again. An empty span invalidates nothing.
    ///
    /// # Consistency
    ///
    /// When it returns, no call that begins later in this process gives a value that it reached. A load
    /// under way is served to the readers that began before, and kept for nobody.
    pub fn invalidate(&self, scope: &Scope, span: Span) -> bool {
        self.0.counters.invalidations.add();
        self.0.fences.invalidate(scope, span)
    }

    /// What the cache has done so far, and what it holds. Tidies up first, so the figures of what it
    /// holds are exact when nobody else is at work.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let size = self.0.l1.size();
        self.0.counters.snapshot(size, self.0.fences.len() as u64)
    }
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Inner<K, V, E> {
    /// The entry of `key`, if it may be served.
    #[inline]
    fn standing(&self, key: &K) -> Option<Arc<Entry<V>>> {
        let entry = self.l1.get(key)?;
        // The deadline last: a thread that is paused between the two must not hand out a value that
        // has grown too old meanwhile. For the fences it is enough to be looked at after the read began.
        if !entry.guards.stand(&self.counters) {
            self.counters.fenced.add();
            return None;
        }
        if entry.deadline <= Instant::now() {
            self.counters.expired.add();
            return None;
        }
        Some(entry)
    }

    /// Whether a reader that begins now may wait for this load: not if an invalidation has
    /// overtaken it.
    fn may_join(&self, flight: &Flight<Landed<V, E>>) -> bool {
        flight.guards.stand(&self.counters)
    }

    fn follow(&self, flight: Arc<Flight<Landed<V, E>>>) -> Turn<K, V, E> {
        self.counters.coalesced.add();
        Turn::Follow(Follower::new(flight))
    }
}

impl<K: Key, V, E> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, V, E> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("ttl", &self.0.ttl)
            .finish_non_exhaustive()
    }
}
