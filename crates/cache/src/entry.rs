//! A value with the fences it was loaded under.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    cover::{Cover, Scope, Span},
    fence::{Calm, Standing},
    fences::{Fences, HeldFence},
    level2::KeptTrust,
    statistics::Counters,
    sync::{AtomicU64, Ordering},
};

/// Covers that fit without an allocation: a resource, its event type, its branch, its tenant.
const USUAL_COVERS: usize = 4;

/// The fences an answer depends on, each with the generation read before the load.
#[repr(C)] // in this order: see `Entry`
pub(crate) struct Guards {
    /// Up to which count of raises, of whatever fence, these were found to stand: while it has not
    /// changed there is no need to look at any of them. Every value it ever has is such a count, so
    /// threads may store theirs in any order; publishes nothing else, hence relaxed.
    seen: AtomicU64,
    guards: SmallVec<[Guard; USUAL_COVERS]>,
}

struct Guard {
    fence: Arc<HeldFence>,
    span: Span,
    /// Only grows, and only to a generation up to which the log showed nothing that meets `span`.
    /// Publishes nothing else, hence relaxed.
    generation: AtomicU64,
}

impl Guards {
    /// Takes the fences of `covers` as they stand now. To be called before the origin is asked.
    pub(crate) fn take(fences: &Fences, covers: impl IntoIterator<Item = Cover>) -> Self {
        let guard = |cover: Cover| {
            let fence = fences.hold(&cover.scope);
            let generation = AtomicU64::new(fence.generation());
            Guard {
                fence,
                span: cover.span,
                generation,
            }
        };
        // Before the generations: what is raised between the two is looked at again.
        let seen = AtomicU64::new(fences.raised());
        let guards = covers.into_iter().map(guard).collect();
        Self { seen, guards }
    }

    /// Whether every fence still stands, and if not, what has become of one that does not.
    #[inline]
    pub(crate) fn check(&self, fences: &Fences, counters: &Counters) -> Result<(), Fall> {
        let raised = fences.raised();
        if self.seen.load(Ordering::Relaxed) == raised {
            return Ok(());
        }
        self.guards
            .iter()
            .try_for_each(|guard| guard.check(counters))?;
        self.seen.store(raised, Ordering::Relaxed);
        Ok(())
    }

    /// Whether what is loaded from `now` on may be kept and shared.
    pub(crate) fn calm(&self, fences: &Fences, now: Instant) -> Calm {
        self.guards
            .iter()
            .map(|guard| fences.calm(&guard.fence, guard.span, now))
            .max()
            .unwrap_or(Calm::Settled)
    }

    /// The scopes and spans that the answer depends on.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "only level 2 asks for them by name")
    )]
    pub(crate) fn covers(&self) -> impl Iterator<Item = (&Scope, Span)> {
        self.guards
            .iter()
            .map(|guard| (guard.fence.scope(), guard.span))
    }

    /// The newest generation among the fences as they were when the answer was last found true.
    pub(crate) fn generation(&self) -> u64 {
        self.guards
            .iter()
            .map(|guard| guard.generation.load(Ordering::Relaxed))
            .max()
            .unwrap_or(0)
    }
}

impl Clone for Guards {
    fn clone(&self) -> Self {
        let guard = |guard: &Guard| Guard {
            fence: Arc::clone(&guard.fence),
            span: guard.span,
            generation: AtomicU64::new(guard.generation.load(Ordering::Relaxed)),
        };
        Self {
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
            guards: self.guards.iter().map(guard).collect(),
        }
    }
}

impl Guard {
    #[inline]
    fn check(&self, counters: &Counters) -> Result<(), Fall> {
        let generation = self.generation.load(Ordering::Relaxed);
        match self.fence.standing(self.span, generation) {
            Standing::Unchanged => Ok(()),
            Standing::BroughtForward(newer) => {
                self.generation.fetch_max(newer, Ordering::Relaxed);
                counters.brought_forward.add();
                Ok(())
            }
            Standing::Fallen => Err(Fall::Met),
            Standing::Forgotten => Err(Fall::Forgotten),
        }
    }
}

/// Why an answer does not stand any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fall {
    /// An invalidated span met it.
    Met,
    /// The log of a fence no longer reaches back to it.
    Forgotten,
}

/// A value with the fences it was loaded under.
///
/// What every hit looks at comes first, beside the count of references that it adds to: then a hit
/// touches one or two lines of memory, and not four.
#[repr(C)]
pub(crate) struct Entry<V> {
    /// Since when, and until when, this process knows of what others invalidate; `None` without a
    /// level 2.
    pub(crate) trust: Option<KeptTrust>,
    pub(crate) deadline: Instant,
    pub(crate) guards: Guards,
    pub(crate) loaded: Instant,
    pub(crate) value: V,
}
