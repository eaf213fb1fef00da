//! What a cache has done so far.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A count that many threads add to.
#[derive(Default)]
#[repr(align(64))] // a cache line each, or readers of different outcomes would slow one another
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "redis")]
    pub(crate) fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count that every reader adds to: one place for each of a few groups of threads.
#[derive(Default)]
pub(crate) struct BusyCounter([Counter; PLACES]);

/// Enough that threads of a usual machine seldom share one.
const PLACES: usize = 8;

thread_local! {
    /// Threads take the places in turn.
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

impl BusyCounter {
    #[inline]
    pub(crate) fn add(&self) {
        // A thread that is ending has no place any more.
        let place = PLACE.try_with(|place| *place).unwrap_or(0);
        self.0[place].add();
    }

    fn get(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) hits: BusyCounter,
    pub(crate) loads: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) failed: Counter,
    pub(crate) lost: Counter,
    pub(crate) fenced: Counter,
    pub(crate) expired: Counter,
    pub(crate) doubted: Counter,
    pub(crate) born_invalid: Counter,
    pub(crate) unkept: Counter,
    pub(crate) brought_forward: Counter,
    pub(crate) log_overflows: Counter,
    pub(crate) invalidations: Counter,
}

impl Counters {
    pub(crate) fn snapshot(
        &self,
        (entries, weight): (u64, u64),
        fences: u64,
        level2: Level2Statistics,
    ) -> Statistics {
        Statistics {
            hits: self.hits.get(),
            loads: self.loads.get(),
            coalesced: self.coalesced.get(),
            failed: self.failed.get(),
            lost: self.lost.get(),
            fenced: self.fenced.get(),
            expired: self.expired.get(),
            doubted: self.doubted.get(),
            born_invalid: self.born_invalid.get(),
            unkept: self.unkept.get(),
            brought_forward: self.brought_forward.get(),
            log_overflows: self.log_overflows.get(),
            invalidations: self.invalidations.get(),
            entries,
            weight,
            fences,
            level2,
        }
    }
}

/// What a cache has done so far, and what it holds. Counts since it was built.
///
/// The counts are read one by one while others go on adding, so they agree with one another only
/// when nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Turns answered by level 1.
    pub hits: u64,
    /// Loads of the origin begun.
    pub loads: u64,
    /// Turns that joined a load under way.
    pub coalesced: u64,
    /// Loads that ended in an error.
    pub failed: u64,
    /// Loads that were cancelled or panicked.
    pub lost: u64,
    /// Entries found but not served, because an invalidation had reached them.
    pub fenced: u64,
    /// Entries found but not served, because they were older than the time to live.
    pub expired: u64,
    /// Entries found but not served, because this process could not be sure to have heard of what
    /// others invalidated: its lease had run out, or it had missed something.
    pub doubted: u64,
    /// Loads that an invalidation overtook: served to who had asked before it, kept for nobody.
    pub born_invalid: u64,
    /// Loads that were not kept, because they began within the settle time of an invalidation.
    pub unkept: u64,
    /// Times an entry was found true although its scope had been invalidated elsewhere on the axis.
    pub brought_forward: u64,
    /// Times an entry was given up because the log of its fence no longer reached back to it.
    pub log_overflows: u64,
    /// Invalidations, whether or not anything was cached.
    pub invalidations: u64,
    /// Entries held now, those that will never be served again included.
    pub entries: u64,
    /// Their weight: as the weigher says, or one each.
    pub weight: u64,
    /// Fences held now.
    pub fences: u64,
    /// The level that processes share; all zero without one.
    pub level2: Level2Statistics,
}

/// What a cache has done with the level that processes share. Counts since it was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Level2Statistics {
    /// Turns answered by level 2.
    pub hits: u64,
    /// Turns for which it had nothing.
    pub misses: u64,
    /// Entries found there but not served, because an invalidation had reached them, or the fences
    /// they were loaded under were gone.
    pub fenced: u64,
    /// Entries found there but not served, because they were older than the time to live.
    pub expired: u64,
    /// Entries that could not be read: corrupt, of another format, or of another key.
    pub unreadable: u64,
    /// Values that were not written, and entries that were not read, because they were too large.
    pub oversized: u64,
    /// Turns that found a hold: loaded, kept for nobody, shared with nobody.
    pub held: u64,
    /// Turns for which it was not asked, because it had not answered lately.
    pub bypassed: u64,
    /// Calls of Redis that failed or took too long, of any kind.
    pub errors: u64,
    /// Values written.
    pub written: u64,
    /// Values that were not written because too many were on their way.
    pub unwritten: u64,
    /// Script calls that Redis confirmed to have raised fences.
    pub raises: u64,
    /// Invalidations that Redis has confirmed.
    pub confirmed: u64,
    /// Invalidations that Redis has not confirmed yet, now.
    pub pending: u64,
    /// Times a caller was told that its invalidations were not confirmed in time.
    pub unconfirmed: u64,
    /// Notices of other processes that were applied.
    pub notices: u64,
    /// Times notices were found missing, so that level 1 was given up.
    pub gaps: u64,
    /// Times another incarnation was met: Redis was restarted, flushed, or failed over.
    pub incarnations: u64,
    /// Leases obtained or renewed.
    pub leases: u64,
    /// Releases that no longer found their hold.
    pub lost_holds: u64,
}

impl Statistics {
    /// Turns that level 1 could not answer.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.loads + self.coalesced + self.level2.hits
    }

    /// The share of turns that level 1 answered, between 0 and 1; 0 before the first.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let turns = self.hits + self.misses();
        if turns == 0 {
            0.0
        } else {
            self.hits as f64 / turns as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{BusyCounter, Level2Statistics, PLACES, Statistics};

    #[test]
    fn the_hit_rate_is_that_of_level_1() {
        let statistics = Statistics {
            hits: 12,
            loads: 3,
            coalesced: 4,
            level2: Level2Statistics {
                hits: 5,
                ..Level2Statistics::default()
            },
            ..Statistics::default()
        };
        assert_eq!(statistics.misses(), 12);
        assert!((statistics.hit_rate() - 0.5).abs() < f64::EPSILON);
        assert!(Statistics::default().hit_rate().abs() < f64::EPSILON);
    }

    #[test]
    fn what_several_threads_add_is_counted_together() {
        let counter = BusyCounter::default();
        thread::scope(|scope| {
            for _ in 0..=PLACES {
                scope.spawn(|| {
                    counter.add();
                    counter.add();
                });
            }
        });
        assert_eq!(counter.get(), 2 * (PLACES as u64 + 1));
    }
}
