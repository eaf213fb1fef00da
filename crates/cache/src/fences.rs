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

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    cover::{Scope, Span},
    fence::Fence,
    map::Map,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

pub(crate) struct Fences {
    by_scope: Arc<Map<Scope, Weak<HeldFence>>>,
    counter: AtomicU64,
    log_capacity: NonZeroUsize,
    settle: Duration,
    /// Fences that are held because their last invalidation is still settling, each once, the one
    /// to look at next in front.
    settling: Mutex<VecDeque<Settling>>,
}

struct Settling {
    look: Instant,
    fence: Arc<HeldFence>,
}

/// A fence together with its place in the map, which it leaves when the last holder drops it.
pub(crate) struct HeldFence {
    fence: Fence,
    scope: Scope,
    by_scope: Weak<Map<Scope, Weak<HeldFence>>>,
    /// Whether it stands in `settling`; touched only under that lock.
    queued: AtomicBool,
}

impl std::ops::Deref for HeldFence {
    type Target = Fence;

    fn deref(&self) -> &Fence {
        &self.fence
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
            log_capacity,
            settle,
            settling: Mutex::new(VecDeque::new()),
        }
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
        if !self.settle.is_zero() {
            self.keep_while_settling(&fence, now);
        }
        found
    }

    /// Whether a load of `span` that begins at `now` may still see what the last invalidation
    /// has made untrue.
    pub(crate) fn is_settling(&self, fence: &HeldFence, span: Span, now: Instant) -> bool {
        fence.is_settling(span, self.settle, now)
    }

    /// Lets go of fences that have settled. Called where work is done anyway, so that a quiet
    /// cache keeps nothing for long.
    pub(crate) fn release_settled(&self) {
        if self.settle.is_zero() {
            return;
        }
        let now = Instant::now();
        loop {
            let mut settling = lock(&self.settling);
            if settling.front().is_none_or(|front| front.look > now) {
                return;
            }
            let Some(front) = settling.pop_front() else {
                return;
            };
            let until = front.fence.last_raised().map(|at| at + self.settle);
            match until.filter(|until| *until > now) {
                Some(look) => settling.push_back(Settling {
                    look,
                    fence: front.fence,
                }),
                None => {
                    front.fence.queued.store(false, Ordering::Relaxed);
                    // The last holder's drop reaches into the map: not under this lock.
                    drop(settling);
                    drop(front);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.release_settled();
        self.by_scope.len()
    }

    fn keep_while_settling(&self, fence: &Arc<HeldFence>, now: Instant) {
        let mut settling = lock(&self.settling);
        if !fence.queued.swap(true, Ordering::Relaxed) {
            settling.push_back(Settling {
                look: now + self.settle,
                fence: Arc::clone(fence),
            });
        }
        drop(settling);
        self.release_settled();
    }
}
