//! The level in this process: moka evicts and ages, and decides nothing else.
//!
//! Whether an entry may be served is decided by its fences and its deadline, never by its being
//! here; moka's own loading functions have no fence and are not used.

use std::{hash::Hash, num::NonZeroU64, sync::Arc, time::Duration};

use crate::entry::Entry;

/// How much room an entry takes.
pub(crate) type Weigh<K, V> = Box<dyn Fn(&K, &V) -> u32 + Send + Sync>;

/// How much there is room for.
#[cfg_attr(
    all(test, vacancy_loom),
    expect(dead_code, reason = "the model's level 1 has no bound")
)]
pub(crate) enum Capacity<K, V> {
    Entries(NonZeroU64),
    Weight(NonZeroU64, Weigh<K, V>),
}

#[cfg(not(all(test, vacancy_loom)))]
pub(crate) struct L1<K, V>(moka::sync::Cache<K, Arc<Entry<V>>, foldhash::quality::RandomState>);

#[cfg(not(all(test, vacancy_loom)))]
impl<K, V> L1<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(capacity: Capacity<K, V>, ttl: Duration) -> Self {
        let builder = moka::sync::Cache::builder().time_to_live(ttl);
        let builder = match capacity {
            Capacity::Entries(entries) => builder.max_capacity(entries.get()),
            Capacity::Weight(weight, weigh) => builder
                .max_capacity(weight.get())
                .weigher(move |key, entry: &Arc<Entry<V>>| weigh(key, &entry.value)),
        };
        Self(builder.build_with_hasher(foldhash::quality::RandomState::default()))
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: K, entry: Arc<Entry<V>>) {
        self.0.insert(key, entry);
    }

    /// Entries and their weight, after pending evictions.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }
}

#[cfg(all(test, vacancy_loom))]
pub(crate) struct L1<K, V>(crate::map::Map<K, Arc<Entry<V>>>);

#[cfg(all(test, vacancy_loom))]
impl<K: Hash + Eq + Clone, V> L1<K, V> {
    pub(crate) fn new(_: Capacity<K, V>, _: Duration) -> Self {
        Self(crate::map::Map::new())
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: K, entry: Arc<Entry<V>>) {
        self.0.settle(&key, |_| ((), Some(entry)));
    }

    pub(crate) fn size(&self) -> (u64, u64) {
        (self.0.len() as u64, self.0.len() as u64)
    }
}
