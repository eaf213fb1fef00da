//! What happened on all nodes, on one clock.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// What is read and written: a row of the database.
pub(crate) type Key = u16;

/// Counts the commits of a key. The database gives each number once, in the order of its commits.
pub(crate) type Version = u32;

/// A process that serves reads. A process that takes a dead one's place is another node.
pub(crate) type NodeId = u8;

/// What is cached. It names its key, so an answer to another question gives itself away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) key: Key,
    pub(crate) version: Version,
}

/// Where a node found an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    Level1,
    Level2,
    Loaded,
    /// Loaded for another read that was under way.
    Shared,
}

/// One read, which ended with a value.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) key: Key,
    pub(crate) started: Moment,
    pub(crate) ended: Moment,
    pub(crate) value: Value,
    pub(crate) source: Source,
}

/// A commit that the database acknowledged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) version: Version,
    pub(crate) started: Moment,
    pub(crate) ended: Moment,
}

/// One write, as far as it went.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) began: Moment,
    /// Until when nobody keeps an answer of the key, where a hold was confirmed before the commit.
    pub(crate) held_until: Option<Moment>,
    /// None where it was refused, because there was no hold.
    pub(crate) commit: Option<Commit>,
    /// When the call that invalidates had returned.
    pub(crate) dispatched: Option<Moment>,
    /// When the invalidation was known to be confirmed. None means: perhaps.
    pub(crate) confirmed: Option<Moment>,
}

impl Write {
    pub(crate) fn begin(key: Key) -> Self {
        Self {
            key,
            began: Moment::now(),
            held_until: None,
            commit: None,
            dispatched: None,
            confirmed: None,
        }
    }

    /// When nothing more was known to happen to it.
    pub(crate) fn ended(&self) -> Moment {
        let committed = self.commit.map(|commit| commit.ended);
        [self.confirmed, self.dispatched, committed]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(self.began)
    }
}

/// A fault, while it lasted.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) what: String,
    pub(crate) started: Moment,
    pub(crate) ended: Moment,
}

/// What one node did.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: Vec<Write>,
    /// One read of each key, when all faults were over and all writes confirmed.
    pub(crate) last_reads: Vec<Read>,
}

/// All that happened in one run.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By node, those that were killed included. They have no last reads.
    pub(crate) diaries: Vec<(NodeId, Diary)>,
    pub(crate) injections: Vec<Injection>,
    /// The version of each key in the database at the end.
    pub(crate) committed: Vec<Version>,
}

impl History {
    pub(crate) fn writes(&self) -> impl Iterator<Item = (NodeId, &Write)> {
        self.diaries
            .iter()
            .flat_map(|(node, diary)| diary.writes.iter().map(|write| (*node, write)))
    }

    pub(crate) fn reads(&self) -> impl Iterator<Item = (NodeId, &Read)> {
        self.diaries
            .iter()
            .flat_map(|(node, diary)| diary.reads.iter().map(|read| (*node, read)))
    }

    /// Whether the node was there at the end, to tell others of what it had written.
    pub(crate) fn survived(&self, node: NodeId) -> bool {
        self.diaries
            .iter()
            .any(|(id, diary)| *id == node && !diary.last_reads.is_empty())
    }
}
