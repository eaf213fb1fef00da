//! The settings of a cache.

use std::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU64, NonZeroUsize},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    cache::{Cache, Inner, Key},
    fences::Fences,
    l1::{Capacity, L1},
    level2::{Level2Settings, Shared},
    map::Map,
    statistics::Counters,
};

/// Longer times are taken as this one; level 1 could not count them.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The settings of a [`Cache`]. Every one has a default, and no combination is wrong.
#[must_use = "settings do nothing until `build`"]
pub struct Builder<K, V, E> {
    ttl: Duration,
    capacity: Capacity<K, V>,
    settle_time: Duration,
    span_log: NonZeroUsize,
    max_loads: NonZeroUsize,
    pub(crate) level2: Option<Level2Settings<K, V>>,
    errors: PhantomData<fn() -> E>,
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Builder<K, V, E> {
    pub(crate) fn new() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            capacity: Capacity::Entries(const { NonZeroU64::new(100_000).unwrap() }),
            settle_time: Duration::ZERO,
            span_log: const { NonZeroUsize::new(64).unwrap() },
            max_loads: const { NonZeroUsize::new(64).unwrap() },
            level2: None,
            errors: PhantomData,
        }
    }

    /// The time to live: how long a value may be served after its load began. Default 300 s, at most
    /// 100 years; with zero nothing is kept.
    ///
    /// It bounds the harm of a change that nobody told the cache of, and decides nothing else.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.min(LONGEST);
        self
    }

    /// How many values are kept. Default 100,000. Beyond it the least useful ones are evicted, by how
    /// often and how recently they were read. Replaces an earlier [`max_weight`](Self::max_weight).
    pub fn max_entries(mut self, entries: NonZeroU64) -> Self {
        self.capacity = Capacity::Entries(entries);
        self
    }

    /// How much all values together may weigh, as `weigh` says, in a unit of its own: bytes, for
    /// a bound on memory. Beyond it values are evicted as with [`max_entries`](Self::max_entries), which it
    /// replaces. A value that alone weighs more goes at the next tidying up.
    ///
    /// `weigh` runs in the task that loaded the value; a panic in it loses the load.
    pub fn max_weight(
        mut self,
        weight: NonZeroU64,
        weigh: impl Fn(&K, &V) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.capacity = Capacity::Weight(weight, Box::new(weigh));
        self
    }

    /// How long after an invalidation a load of the same span is served but not kept. Default zero;
    /// at most 100 years.
    ///
    /// For an origin that goes on giving the old answer for a while. Loads begun within the time are
    /// shared by readers that ask while they run, and by nobody later.
    pub fn settle_time(mut self, time: Duration) -> Self {
        self.settle_time = time.min(LONGEST);
        self
    }

    /// How many invalidated spans a scope remembers. Default 64.
    ///
    /// A value that was last read more invalidations of its scope ago than this is loaded again even
    /// if none of them reached it. Spans inside a newer one take no room.
    pub fn span_log(mut self, spans: NonZeroUsize) -> Self {
        self.span_log = spans;
        self
    }

    /// How many loads of the origin may run at a time. Default 64. Further ones wait for their turn,
    /// and readers of the same keys join them while they wait.
    ///
    /// It protects the origin where loads are not shared: under a hold, and while level 2 does not
    /// answer.
    pub fn max_loads(mut self, loads: NonZeroUsize) -> Self {
        self.max_loads = loads;
        self
    }

    /// The cache.
    pub fn build(self) -> Cache<K, V, E> {
        let fences = Arc::new(Fences::new(self.span_log, self.settle_time));
        let shared = Shared {
            fences: Arc::clone(&fences),
            ttl: self.ttl,
            settle_time: self.settle_time,
        };
        Cache::new(Inner {
            l1: L1::new(self.capacity, self.ttl),
            level2: self.level2.map(|settings| settings.open(shared)),
            fences,
            holds: AtomicU64::new(0),
            loads: Arc::new(Semaphore::new(
                self.max_loads.get().min(Semaphore::MAX_PERMITS),
            )),
            flights: Map::new(),
            counters: Counters::default(),
            ttl: self.ttl,
        })
    }
}

impl<K, V, E> fmt::Debug for Builder<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("ttl", &self.ttl)
            .field("settle_time", &self.settle_time)
            .field("span_log", &self.span_log)
            .finish_non_exhaustive()
    }
}
