//! The fences of one cache, by scope, for as long as somebody holds them.
//!
//! # Invariants
//!
//! 1. Whoever holds a [`HeldFence`] of a scope holds the one that an invalidation of the scope
//!    finds: the map has a weak reference to it until the last holder lets go.
//! 2. A scope that nobody holds has no fence, so its invalidation has nothing to do: whatever is
//!    loaded later begins later.
//! 3. Generations come from one counter of the cache. A fence that is made anew starts at the
//!    counter, so the generations of a scope never go back.
//! 4. A raise is counted after its fence shows it, and before `invalidate` returns: who has read the
//!    count sees every fence that was raised up to it.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    cover::{Scope, Span},
    fence::{Calm, Fence, HoldId},
    map::Map,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

pub(crate) struct Fences {
    by_scope: Arc<Map<Scope, Weak<HeldFence>>>,
    counter: AtomicU64,
    /// How many raises are done, of whatever fence.
    raised: AtomicU64,
    log_capacity: NonZeroUsize,
    settle: Duration,
    /// Fences that are kept because their last invalidation is still settling, or because a span of
    /// theirs is held, each once, the one to look at next in front.
    unquiet: Mutex<VecDeque<Unquiet>>,
    /// How many of them there are, roughly: a cache that has none takes no lock to learn it.
    unquiet_count: AtomicUsize,
}

struct Unquiet {
    look: Instant,
    fence: Arc<HeldFence>,
}

/// A fence together with its place in the map, which it leaves when the last holder drops it.
pub(crate) struct HeldFence {
    fence: Fence,
    scope: Scope,
    by_scope: Weak<Map<Scope, Weak<HeldFence>>>,
    /// Whether it stands in `unquiet`; touched only under that lock.
    queued: AtomicBool,
}

impl std::ops::Deref for HeldFence {
    type Target = Fence;

    fn deref(&self) -> &Fence {
        &self.fence
    }
}

impl HeldFence {
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Drop for HeldFence {
    fn drop(&mut self) {
        if let Some(by_scope) = self.by_scope.upgrade() {
            // A successor may have taken the place already; its reference is alive.
            by_scope.remove_if(&self.scope, |held| held.strong_count() == 0);
        }
    }
}

impl Fences {
    pub(crate) fn new(log_capacity: NonZeroUsize, settle: Duration) -> Self {
        Self {
            by_scope: Arc::new(Map::new()),
            counter: AtomicU64::new(0),
            raised: AtomicU64::new(0),
            log_capacity,
            settle,
            unquiet: Mutex::new(VecDeque::new()),
            unquiet_count: AtomicUsize::new(0),
        }
    }

    /// How many raises are done. While it is the same, no fence has changed.
    #[inline]
    pub(crate) fn raised(&self) -> u64 {
        // Pairs with the increment in `invalidate`; see invariant 4.
        self.raised.load(Ordering::Acquire)
    }

    /// The fence of `scope`, made if nobody holds one.
    pub(crate) fn hold(&self, scope: &Scope) -> Arc<HeldFence> {
        self.by_scope
            .settle(scope, |held| match held.and_then(Weak::upgrade) {
                Some(fence) => (fence, None),
                None => {
                    let fence = Arc::new(HeldFence {
                        // Pairs with the increment in `invalidate`; see invariant 3.
                        fence: Fence::new(self.counter.load(Ordering::Acquire)),
                        scope: scope.clone(),
                        by_scope: Arc::downgrade(&self.by_scope),
                        queued: AtomicBool::new(false),
                    });
                    let weak = Arc::downgrade(&fence);
                    (fence, Some(weak))
                }
            })
    }

    /// Raises the fence of `scope` for `span`; whether there was one to raise.
    pub(crate) fn invalidate(&self, scope: &Scope, span: Span) -> bool {
        if span.is_empty() {
            return false;
        }
        let held = self.by_scope.get(scope).and_then(|held| held.upgrade());
        let found = held.is_some();
        let Some(fence) = held.or_else(|| (!self.settle.is_zero()).then(|| self.hold(scope)))
        else {
            return false;
        };
        let now = Instant::now();
        fence.raise(span, self.log_capacity, now, || {
            self.counter.fetch_add(1, Ordering::AcqRel) + 1
        });
        self.raised.fetch_add(1, Ordering::Release);
        if !self.settle.is_zero() {
            self.keep_until(&fence, now + self.settle);
        }
        found
    }

    /// Raises the fence of `scope` for `span` and holds the span: see [`Fence::hold`].
    pub(crate) fn hold_span(&self, scope: &Scope, span: Span, id: HoldId, until: Instant) {
        let fence = self.hold(scope);
        // Before the generation changes: who sees the new one must see the hold.
        fence.hold(id, span, until);
        self.keep_until(&fence, until);
        self.invalidate(scope, span);
    }

    /// Ends a hold. To be called after the fence was raised for what it was about.
    pub(crate) fn release_span(&self, scope: &Scope, span: Span, id: HoldId) {
        if let Some(fence) = self.by_scope.get(scope).and_then(|held| held.upgrade()) {
            fence.release(id, span);
        }
    }

    /// Whether what is loaded for `span` from `now` on may be kept and shared.
    pub(crate) fn calm(&self, fence: &HeldFence, span: Span, now: Instant) -> Calm {
        fence.calm(span, self.settle, now)
    }

    /// Lets go of fences that have nothing to say but their generation. Called where work is done
    /// anyway, so that a quiet cache keeps nothing for long.
    pub(crate) fn release_quiet(&self) {
        if self.unquiet_count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = Instant::now();
        loop {
            let mut unquiet = lock(&self.unquiet);
            if unquiet.front().is_none_or(|front| front.look > now) {
                return;
            }
            let Some(front) = unquiet.pop_front() else {
                return;
            };
            let until = front.fence.quiet_from(self.settle);
            match until.filter(|until| *until > now) {
                Some(look) => unquiet.push_back(Unquiet {
                    look,
                    fence: front.fence,
                }),
                None => {
                    front.fence.queued.store(false, Ordering::Relaxed);
                    self.unquiet_count.store(unquiet.len(), Ordering::Relaxed);
                    // The last holder's drop reaches into the map: not under this lock.
                    drop(unquiet);
                    drop(front);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.release_quiet();
        self.by_scope.len()
    }

    fn keep_until(&self, fence: &Arc<HeldFence>, look: Instant) {
        let mut unquiet = lock(&self.unquiet);
        if !fence.queued.swap(true, Ordering::Relaxed) {
            unquiet.push_back(Unquiet {
                look,
                fence: Arc::clone(fence),
            });
            self.unquiet_count.store(unquiet.len(), Ordering::Relaxed);
        }
        drop(unquiet);
        self.release_quiet();
    }
}
