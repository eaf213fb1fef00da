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
pub(crate) struct Guards(SmallVec<[Guard; USUAL_COVERS]>);

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
        Self(covers.into_iter().map(guard).collect())
    }

    /// Whether every fence still stands, and if not, what has become of one that does not.
    pub(crate) fn check(&self, counters: &Counters) -> Result<(), Fall> {
        self.0.iter().try_for_each(|guard| guard.check(counters))
    }

    /// Whether what is loaded from `now` on may be kept and shared.
    pub(crate) fn calm(&self, fences: &Fences, now: Instant) -> Calm {
        self.0
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
        self.0.iter().map(|guard| (guard.fence.scope(), guard.span))
    }

    /// The newest generation among the fences as they were when the answer was last found true.
    pub(crate) fn generation(&self) -> u64 {
        self.0
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
        Self(self.0.iter().map(guard).collect())
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
pub(crate) struct Entry<V> {
    pub(crate) value: V,
    pub(crate) guards: Guards,
    /// Since when, and until when, this process knows of what others invalidate; `None` without a
    /// level 2.
    pub(crate) trust: Option<KeptTrust>,
    pub(crate) loaded: Instant,
    pub(crate) deadline: Instant,
}
