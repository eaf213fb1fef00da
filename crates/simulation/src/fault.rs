//! What can go wrong, and when it does.

use std::{fmt, time::Duration};

use fastrand::Rng;

use crate::network::{Direction, Streams};

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A link delivers late what goes one way.
    HoldLink {
        /// Whose link.
        node: usize,
        /// Which way.
        direction: Direction,
        /// Which of its streams.
        streams: Streams,
        /// For how long.
        lasts: Duration,
    },
    /// A link loses everything for ever, and no stream gets through meanwhile.
    PartLink {
        /// Whose link.
        node: usize,
        /// Which of its streams.
        streams: Streams,
        /// How long no new stream gets through, if it is about all of them.
        lasts: Duration,
    },
    /// The streams of a node break.
    ResetLink {
        /// Whose.
        node: usize,
    },
    /// A link is slow.
    SlowLink {
        /// Whose link.
        node: usize,
        /// What it adds to each way.
        by: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// A node does nothing while its clock goes on.
    PauseNode {
        /// Which.
        node: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A node dies and starts anew.
    CrashNode {
        /// Which.
        node: usize,
    },
    /// The server does nothing while its clock goes on.
    PauseServer {
        /// For how long.
        lasts: Duration,
    },
    /// The server dies and comes back empty.
    Restart {
        /// For how long it is gone.
        lasts: Duration,
    },
    /// The server dies and another takes over, or it comes back, with data of a while ago.
    Relapse {
        /// How old the data are.
        age: Duration,
        /// For how long it is gone.
        lasts: Duration,
    },
    /// Everything is deleted.
    Flush,
    /// The server is a replica for a while, and then a master anew.
    Demote {
        /// For how long.
        lasts: Duration,
    },
    /// The server has no room for anything new.
    Fill {
        /// For how long.
        lasts: Duration,
    },
    /// The server lets go of some key.
    Evict {
        /// Which of them, as a place among all that there will be.
        place: usize,
    },
}

/// A fault and when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// When it begins.
    pub at: Duration,
    /// What goes wrong.
    pub fault: Fault,
}

impl Fault {
    /// The kinds of faults, by the names they are counted under.
    pub const KINDS: [&'static str; 13] = [
        "link held",
        "link parted",
        "link reset",
        "link slow",
        "node paused",
        "node crashed",
        "server paused",
        "server restarted",
        "server relapsed",
        "server flushed",
        "server demoted",
        "server full",
        "key evicted",
    ];

    /// Its place among the kinds.
    #[must_use]
    pub fn kind(&self) -> usize {
        match self {
            Self::HoldLink { .. } => 0,
            Self::PartLink { .. } => 1,
            Self::ResetLink { .. } => 2,
            Self::SlowLink { .. } => 3,
            Self::PauseNode { .. } => 4,
            Self::CrashNode { .. } => 5,
            Self::PauseServer { .. } => 6,
            Self::Restart { .. } => 7,
            Self::Relapse { .. } => 8,
            Self::Flush => 9,
            Self::Demote { .. } => 10,
            Self::Fill { .. } => 11,
            Self::Evict { .. } => 12,
        }
    }

    fn draw(rng: &mut Rng, nodes: usize, lease: Duration) -> Self {
        let node = rng.usize(..nodes);
        // Around the lease: there it is decided what is stale.
        let lasts = lease.mul_f64(rng.f64() * 2.0);
        let direction = if rng.bool() {
            Direction::Up
        } else {
            Direction::Down
        };
        // The one for commands is the oldest, as a rule, or the one for notices.
        let streams = *rng
            .choice(&[Streams::All, Streams::All, Streams::Oldest, Streams::Newest])
            .expect("there are four");
        match rng.usize(..17) {
            0..=2 => Self::HoldLink {
                node,
                direction,
                streams,
                lasts,
            },
            3 | 4 => Self::PartLink {
                node,
                streams,
                lasts,
            },
            5 => Self::ResetLink { node },
            6 => Self::SlowLink {
                node,
                by: lasts / 8,
                lasts: lasts * 2,
            },
            7 | 8 => Self::PauseNode { node, lasts },
            9 => Self::CrashNode { node },
            10 => Self::PauseServer { lasts },
            11 => Self::Restart { lasts: lasts / 4 },
            12 | 13 => Self::Relapse {
                age: lasts,
                lasts: lasts.mul_f64(rng.f64() / 4.0),
            },
            14 => Self::Flush,
            15 if rng.bool() => Self::Demote { lasts },
            15 => Self::Fill { lasts },
            _ => Self::Evict {
                place: rng.usize(..),
            },
        }
    }
}

/// What goes wrong in a run, in order: nothing in some, much in others.
pub(crate) fn plan(rng: &mut Rng, nodes: usize, lease: Duration, until: Duration) -> Vec<Planned> {
    let count = rng.usize(..=8);
    let mut plan: Vec<_> = (0..count)
        .map(|_| Planned {
            at: until.mul_f64(rng.f64()),
            fault: Fault::draw(rng, nodes, lease),
        })
        .collect();
    plan.sort_by_key(|planned| planned.at);
    plan
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
