//! What a read gives: the value, and where it comes from.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::entry::Entry;

/// What a read gives: the value, where it comes from, how old it is.
///
/// Dereferences to the value, which all readers share: `clone` is cheap and copies no value.
pub struct Answer<V> {
    entry: Arc<Entry<V>>,
    source: Source,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// Kept in this process.
    Level1,
    /// Kept in Redis, where all processes share it.
    Level2,
    /// Loaded for this read.
    Loaded,
    /// Loaded for another read that was under way.
    Shared,
}

impl<V> Answer<V> {
    pub(crate) fn new(entry: Arc<Entry<V>>, source: Source) -> Self {
        Self { entry, source }
    }

    /// Where the answer comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// When its load began.
    #[must_use]
    pub fn loaded_at(&self) -> Instant {
        self.entry.loaded
    }

    /// How long ago its load began.
    #[must_use]
    pub fn age(&self) -> Duration {
        Instant::now().saturating_duration_since(self.entry.loaded)
    }

    /// The newest generation among its fences at the last time it was found true. Generations are
    /// the cache's own count of invalidations: they only grow, and mean nothing to another cache.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.entry.guards.generation()
    }
}

impl<V> Deref for Answer<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.entry.value
    }
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            source: self.source,
        }
    }
}

impl<V: fmt::Debug> fmt::Debug for Answer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("value", &self.entry.value)
            .field("source", &self.source)
            .field("age", &self.age())
            .field("generation", &self.generation())
            .finish()
    }
}
