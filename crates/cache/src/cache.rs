//! The cache: read through it, and invalidate.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    answer::{Answer, Source},
    builder::Builder,
    cover::{Cover, Scope, Span},
    entry::{Entry, Fall, Guards},
    fences::Fences,
    flight::Flight,
    l1::L1,
    map::Map,
    statistics::{Counters, Statistics},
    turn::{Follower, Landed, Landing, Retry, Ticket, Turn},
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

/// Why level 1 has no answer.
enum Unserved {
    Absent,
    Fallen(Fall),
    Expired,
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
        let mut turn = self.begin(key, &covers);
        let mut failed_before = false;
        loop {
            let follower = match turn {
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
            let retry = match follower.await {
                Landing::Answer(answer) => return Ok(answer),
                Landing::Failed(error, _) if failed_before => return Err(error),
                Landing::Failed(_, retry) => {
                    failed_before = true;
                    retry
                }
                Landing::Lost(retry) => retry,
            };
            turn = self.begin_again(key, &covers, retry);
        }
    }

    /// Gives the value of `key` if one is kept that stands. Never loads.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Answer<V>> {
        let counters = &self.0.counters;
        match self.0.standing(key) {
            Ok(entry) => {
                counters.hits.add();
                return Some(Answer::new(entry, Source::Level1));
            }
            Err(Unserved::Absent) => {}
            Err(Unserved::Fallen(Fall::Met)) => counters.fenced.add(),
            Err(Unserved::Fallen(Fall::Forgotten)) => counters.log_overflows.add(),
            Err(Unserved::Expired) => counters.expired.add(),
        }
        None
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

    /// Begins another turn after the load that this reader waited for has brought nothing.
    ///
    /// All who waited for that load share the next one: one of them gets its ticket.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load), counted from when the reader's first turn began.
    pub fn begin_again<C>(
        &self,
        key: &K,
        covers: impl FnOnce() -> C,
        retry: Retry<V, E>,
    ) -> Turn<K, V, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        if let Some(answer) = self.get(key) {
            return Turn::Hit(answer);
        }
        let guards = Guards::take(&self.0.fences, covers());
        match retry.0.succeed(|| self.0.board(key, guards)) {
            (flight, true) => self.lead(key, flight),
            (flight, false) => self.follow(flight),
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
            return self.follow(flight);
        }
        // Before the load: an invalidation that lands while it runs must make this fill too old.
        let guards = Guards::take(&inner.fences, covers());
        match inner.board(key, guards) {
            (flight, true) => self.lead(key, flight),
            (flight, false) => self.follow(flight),
        }
    }

    fn lead(&self, key: &K, flight: Arc<Flight<Landed<V, E>>>) -> Turn<K, V, E> {
        let ticket = Ticket::new(Arc::clone(&self.0), key.clone(), flight);
        // Another reader's load may have ended between the look into level 1 and now.
        if let Ok(entry) = self.0.standing(key) {
            ticket.found(&entry);
            self.0.counters.hits.add();
            return Turn::Hit(Answer::new(entry, Source::Level1));
        }
        self.0.counters.loads.add();
        Turn::Load(ticket)
    }

    fn follow(&self, flight: Arc<Flight<Landed<V, E>>>) -> Turn<K, V, E> {
        self.0.counters.coalesced.add();
        Turn::Follow(Follower::new(flight))
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
    fn standing(&self, key: &K) -> Result<Arc<Entry<V>>, Unserved> {
        let entry = self.l1.get(key).ok_or(Unserved::Absent)?;
        // The deadline last: a thread that is paused between the two must not hand out a value
        // that has grown too old meanwhile. For the fences it is enough to be looked at after the
        // read began.
        entry
            .guards
            .check(&self.counters)
            .map_err(Unserved::Fallen)?;
        if entry.deadline <= Instant::now() {
            return Err(Unserved::Expired);
        }
        Ok(entry)
    }

    /// Whether a reader that begins now may wait for this load: not if an invalidation has
    /// overtaken it.
    fn may_join(&self, flight: &Flight<Landed<V, E>>) -> bool {
        flight.guards.check(&self.counters).is_ok()
    }

    /// The flight for a reader of `key` that begins now: the one in the air if it may be joined,
    /// else a new one, to be led by that reader.
    fn board(&self, key: &K, guards: Guards) -> (Arc<Flight<Landed<V, E>>>, bool) {
        let own = Arc::new(Flight::new(guards));
        self.flights.settle(key, |present| match present {
            Some(other) if self.may_join(other) => ((Arc::clone(other), false), None),
            _ => ((Arc::clone(&own), true), Some(Arc::clone(&own))),
        })
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
