//! What level 2 asks of the server that all processes share.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::{
    cover::{Scope, Span},
    fence::HoldId,
};

/// One life of a partition: never repeats. Restart, flush, failover, eviction and restored snapshots
/// each begin another one.
pub(crate) type Incarnation = Arc<str>;

/// Which cache of which process.
pub(crate) type NodeId = u64;

/// The server that all processes share.
///
/// Each call is atomic at the server, and ends within the time-out. One that fails may have happened
/// all the same.
#[async_trait]
pub(crate) trait Store: Send + Sync + 'static {
    /// Reads an entry and the fences it may stand under, and makes the fences that are missing.
    async fn look(
        &self,
        partition: u16,
        entry: EntryName<'_>,
        fences: &[&Scope],
    ) -> Result<Looked, StoreError>;

    /// Writes an entry, to be dropped after `ttl_ms`.
    async fn write(
        &self,
        partition: u16,
        entry: EntryName<'_>,
        bytes: Vec<u8>,
        ttl_ms: u64,
    ) -> Result<(), StoreError>;

    /// Raises fences and tells all processes.
    async fn raise(
        &self,
        partition: u16,
        items: &[Item],
        acknowledge: bool,
    ) -> Result<Raised, StoreError>;

    /// Notes this node among those that are alive, and tells up to where it should have heard.
    async fn pulse(&self, partition: u16, all_nodes: bool) -> Result<Pulse, StoreError>;

    /// Forgets a node if it has not pulsed since.
    async fn retire(
        &self,
        partition: u16,
        incarnation: &Incarnation,
        silent: Pulsed,
    ) -> Result<(), StoreError>;

    /// Begins another incarnation: nothing that was kept before is valid.
    async fn rebirth(&self, partition: u16) -> Result<Position, StoreError>;

    /// Tells all processes up to where this one has heard.
    async fn acknowledge(&self, partition: u16, upto: &Position) -> Result<(), StoreError>;

    /// Begins to hear notices and acknowledgements. Returns when the server has confirmed it.
    async fn subscribe(&self) -> Result<Messages, StoreError>;
}

/// What is heard, until the connection is lost.
pub(crate) type Messages = Pin<Box<dyn futures_util::Stream<Item = Message> + Send>>;

/// Whose entry, and which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryName<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) name: &'a str,
}

/// How far a partition has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) incarnation: Incarnation,
    /// The number of its last notice.
    pub(crate) number: u64,
}

impl Position {
    /// The newer of what a node has said and what it has heard. Of two lives that of its own saying, which is what
    /// its caller cares for.
    pub(crate) fn newest(own: Option<Self>, heard: Option<Self>) -> Option<Self> {
        match (own, heard) {
            (Some(own), Some(heard)) if own.incarnation == heard.incarnation => {
                Some(if own.number > heard.number {
                    own
                } else {
                    heard
                })
            }
            (own, heard) => own.or(heard),
        }
    }
}

pub(crate) struct Looked {
    pub(crate) at: Position,
    /// The server's clock, in milliseconds since 1970.
    pub(crate) now_ms: u64,
    pub(crate) entry: Option<Vec<u8>>,
    /// In the order asked for.
    pub(crate) fences: Vec<String>,
}

/// One span of one scope that is invalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) scope: Scope,
    pub(crate) span: Span,
    pub(crate) deed: Deed,
}

/// What is done besides raising the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Deed {
    Raise,
    Hold { id: HoldId, lasts_ms: u64 },
    Release { id: HoldId },
}

pub(crate) struct Raised {
    pub(crate) at: Position,
    /// The nodes that may hold a lease.
    pub(crate) nodes: Vec<Pulsed>,
    /// Releases that did not find their hold.
    pub(crate) lost_holds: u64,
}

pub(crate) struct Pulse {
    pub(crate) at: Position,
    /// All nodes, if asked for.
    pub(crate) nodes: Vec<Pulsed>,
}

/// A node and its last pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pulsed {
    pub(crate) node: NodeId,
    /// Tells the pulse from all others of the incarnation.
    pub(crate) mark: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Notice(Notice),
    Acknowledged {
        partition: u16,
        upto: Position,
        node: NodeId,
    },
    /// Something on our channels that is not ours, or of another version.
    Unreadable,
}

/// Tells that fences were raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) partition: u16,
    pub(crate) at: Position,
    pub(crate) writer: NodeId,
    pub(crate) acknowledge: bool,
    pub(crate) items: Vec<Item>,
}

/// Why the server did not do it, or did not say so. Never tells an address or a password.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("redis could not be reached or refused: {0}")]
    Refused(String),
    #[error("redis gave an answer that is not understood")]
    NotUnderstood,
    #[error("redis did not answer in time")]
    TimedOut,
    #[error("redis has forgotten what it had confirmed")]
    Forgotten,
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn the_newest_is_the_higher_number_of_one_life_and_the_own_of_two() {
        let at = |incarnation: &str, number| {
            Some(Position {
                incarnation: incarnation.into(),
                number,
            })
        };
        assert_eq!(Position::newest(at("a", 7), at("a", 5)), at("a", 7));
        assert_eq!(Position::newest(at("a", 5), at("a", 7)), at("a", 7));
        assert_eq!(Position::newest(at("a", 5), at("b", 7)), at("a", 5));
        assert_eq!(Position::newest(None, at("b", 7)), at("b", 7));
        assert_eq!(Position::newest(at("a", 5), None), at("a", 5));
        assert_eq!(Position::newest(None, None), None);
    }
}
