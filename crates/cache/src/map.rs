//! The concurrent map behind fences and flights: dashmap, or loom's mutex in the model.
//!
//! # Invariants
//!
//! 1. Values go in and out as clones; nothing of the caller's runs under the map's lock except the
//!    key's `Hash` and `Eq` and the small closures given here.

use std::hash::Hash;

#[cfg(not(all(test, vacancy_loom)))]
pub(crate) struct Map<K, V>(dashmap::DashMap<K, V, foldhash::quality::RandomState>);

#[cfg(not(all(test, vacancy_loom)))]
impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    pub(crate) fn new() -> Self {
        Self(dashmap::DashMap::default())
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).map(|value| value.clone())
    }

    /// Decides under the entry's lock what stands for `key`: `settle` sees the present value and
    /// gives the result together with a value to put in its place, if any.
    ///
    /// A replaced value is dropped after the lock is released.
    pub(crate) fn settle<R>(
        &self,
        key: &K,
        settle: impl FnOnce(Option<&V>) -> (R, Option<V>),
    ) -> R {
        use dashmap::Entry;
        let (result, replaced) = match self.0.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                let (result, value) = settle(Some(entry.get()));
                (result, value.map(|value| entry.insert(value)))
            }
            Entry::Vacant(entry) => {
                let (result, value) = settle(None);
                if let Some(value) = value {
                    entry.insert(value);
                }
                (result, None)
            }
        };
        drop(replaced);
        result
    }

    pub(crate) fn remove_if(&self, key: &K, wanted: impl FnOnce(&V) -> bool) {
        drop(self.0.remove_if(key, |_, value| wanted(value)));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(all(test, vacancy_loom))]
pub(crate) struct Map<K, V>(super::sync::Mutex<std::collections::HashMap<K, V>>);

#[cfg(all(test, vacancy_loom))]
impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    pub(crate) fn new() -> Self {
        Self(super::sync::Mutex::new(std::collections::HashMap::new()))
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        super::sync::lock(&self.0).get(key).cloned()
    }

    pub(crate) fn settle<R>(
        &self,
        key: &K,
        settle: impl FnOnce(Option<&V>) -> (R, Option<V>),
    ) -> R {
        let mut map = super::sync::lock(&self.0);
        let (result, value) = settle(map.get(key));
        let replaced = value.map(|value| map.insert(key.clone(), value));
        drop(map);
        drop(replaced);
        result
    }

    pub(crate) fn remove_if(&self, key: &K, wanted: impl FnOnce(&V) -> bool) {
        let mut map = super::sync::lock(&self.0);
        let removed = if map.get(key).is_some_and(wanted) {
            map.remove(key)
        } else {
            None
        };
        drop(map);
        drop(removed);
    }

    pub(crate) fn len(&self) -> usize {
        super::sync::lock(&self.0).len()
    }
}
