/// Timers that were begun after a pulse was sent, one bit each: when one of them ends, the lease
/// that the pulse brought has run out. Bit `w` is the wait of write `w`.
pub(crate) type Timers = u8;

/// The timer that begins with a life of Redis.
pub(crate) const YOUNG: Timers = 1 << 7;

/// One process with its level 1.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) dead: bool,
    /// Incarnation and the last number applied.
    pub(crate) position: Option<(u8, u8)>,
    pub(crate) lease: Option<Timers>,
    /// The version that was loaded first of all whose guards stand: in level 1, or by a load that
    /// has departed. Readers are given it under the same condition, so the model has one for both.
    pub(crate) kept: Option<u8>,
    pub(crate) reply: Option<Reply>,
    /// The highest number that it ever acknowledged, in any life: only for a planted bug.
    pub(crate) acknowledged: u8,
}

/// A reply of Redis to a pulse, on its way.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reply {
    pub(crate) incarnation: u8,
    pub(crate) number: u8,
    pub(crate) timers: Timers,
}

impl Node {
    /// Raises the local fences.
    pub(crate) fn raise(&mut self) {
        self.kept = None;
    }

    /// Begins an epoch: nothing from before it is served again.
    pub(crate) fn bump(&mut self) {
        self.raise();
        self.lease = None;
    }

    pub(crate) fn applied(&self, incarnation: u8) -> Option<u8> {
        self.position
            .filter(|position| position.0 == incarnation)
            .map(|position| position.1)
    }
}
