use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that must have happened in an exploration for its silence to mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Witness {
    /// A lease was renewed over an entry of level 1, which goes on being served.
    LeaseRenewedOverEntry,
    /// A node learned that it had missed a notice.
    Gap,
    /// Redis was reborn while a node held a lease.
    RebirthUnderLease,
    /// A node heard of a life of Redis that it did not know.
    LifeUnknown,
    /// Every other registered node acknowledged.
    ConfirmedByAcknowledgements,
    /// An acknowledgement was missing, and time confirmed instead.
    ConfirmedByTime,
    /// A lease had to run out for time to confirm.
    LeaseRanOut,
    /// The first life's leases had to run out for acknowledgements to confirm.
    YoungLifeAgedOut,
    /// A look found an entry of level 2 and its fence standing.
    LevelTwoHit,
    /// A look found an entry that was loaded before an invalidation.
    EntryRefusedByRecord,
    /// A look found an entry whose fence was missing.
    EntryRefusedByMissingFence,
    /// The local fences fell on what had been loaded.
    EntryFell,
    /// A load found a hold, and was kept by nobody.
    LoadedUnderHold,
    /// A raise happened and its reply was lost.
    ReplyLost,
    /// A release found its hold, so the invalidation was confirmed at once.
    HoldFound,
    /// A release found no hold, and waited.
    HoldMissing,
    /// A writer died after its commit.
    WriterDied,
    /// A node was taken out of the registry.
    Retired,
    /// A notice of the writer's own was only counted.
    OwnNotice,
    /// A raise of an earlier attempt arrived after the later one.
    StrayRaise,
}

impl Witness {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::LeaseRenewedOverEntry,
        Self::Gap,
        Self::RebirthUnderLease,
        Self::LifeUnknown,
        Self::ConfirmedByAcknowledgements,
        Self::ConfirmedByTime,
        Self::LeaseRanOut,
        Self::YoungLifeAgedOut,
        Self::LevelTwoHit,
        Self::EntryRefusedByRecord,
        Self::EntryRefusedByMissingFence,
        Self::EntryFell,
        Self::LoadedUnderHold,
        Self::ReplyLost,
        Self::HoldFound,
        Self::HoldMissing,
        Self::WriterDied,
        Self::Retired,
        Self::OwnNotice,
        Self::StrayRaise,
    ];
}

/// How many transitions showed each [`Witness`].
#[derive(Default)]
pub struct Witnesses([AtomicU64; Witness::ALL.len()]);

impl Witnesses {
    pub(crate) fn saw(&self, witness: Witness) {
        self.0[witness as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// In how many transitions it was seen.
    pub fn count(&self, witness: Witness) -> u64 {
        self.0[witness as usize].load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(Witness::ALL.map(|witness| (witness, self.count(witness))))
            .finish()
    }
}
