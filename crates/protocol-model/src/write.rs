use crate::redis::NodeSet;

/// How far a write has come at its node.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Write<const NODES: usize> {
    /// It has not begun.
    Idle,
    /// Its hold is in the outbox.
    Holding,
    /// Its hold is in Redis; not every node has confirmed that.
    HoldWaits(Wait<NODES>),
    /// Its hold is confirmed: it may commit.
    Held,
    /// It has committed under its hold, and its event has not been dispatched.
    Committed { version: u8 },
    /// Its invalidation is in the outbox.
    Unraised { version: u8 },
    /// Its invalidation is in Redis; not every node has confirmed that.
    Waits { version: u8, wait: Wait<NODES> },
    /// No read that begins now may be older than it.
    Confirmed { due: [u8; NODES] },
    /// Its process died after the commit.
    Dead,
}

/// What confirms a raise.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Wait<const NODES: usize> {
    pub(crate) incarnation: u8,
    pub(crate) number: u8,
    /// The other nodes of the reply that have not acknowledged.
    pub(crate) missing: NodeSet,
    /// Each node's pulses as the reply told them; 0 for those not to be taken out.
    pub(crate) listed: [u8; NODES],
    /// The life was young at the raise, so the reply may lack nodes that hold leases.
    pub(crate) young: bool,
}

impl<const NODES: usize> Write<NODES> {
    pub(crate) fn wait_mut(&mut self) -> Option<&mut Wait<NODES>> {
        match self {
            Self::HoldWaits(wait) | Self::Waits { wait, .. } => Some(wait),
            _ => None,
        }
    }

    /// Whether its node has something in the outbox or a hold of its own.
    pub(crate) fn passes_level_two_by(&self) -> bool {
        !matches!(
            self,
            Self::Idle | Self::Waits { .. } | Self::Confirmed { .. }
        )
    }

    /// The version that reads on its own node may not fall behind, though nobody confirmed it.
    pub(crate) fn local_floor(&self) -> u8 {
        match self {
            Self::Unraised { version } | Self::Waits { version, .. } => *version,
            _ => 0,
        }
    }
}
