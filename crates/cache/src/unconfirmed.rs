//! An invalidation that was not confirmed in time.

use std::time::Duration;

/// An invalidation was not confirmed in time.
///
/// It holds in this process. It is kept and tried again until it is confirmed, so other processes learn of
/// it later; until then they may serve what it is about, for the time to live at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// Redis has not confirmed it. It may have happened all the same.
    #[error("redis did not confirm the invalidation within {waited:?}")]
    Redis {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Redis has confirmed it, but not every process has said that it knows of it, and not every lease has
    /// run out.
    #[error("not every node has heard of the invalidation within {waited:?}")]
    Nodes {
        /// How long it was waited for.
        waited: Duration,
    },
}
