//! What is raced: a cache of one node, and how writes are made with it.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    checker::Promise,
    history::{Key, Source, Value, Write},
    origin::Origin,
};

/// A cache and its rules for writing, on one node.
pub(crate) trait Subject: Send + Sync + 'static {
    /// Answers from the cache, or from `origin`.
    fn read(&self, key: Key, origin: &Origin) -> impl Future<Output = (Value, Source)> + Send;

    /// Commits to `origin` and sees to it that no node goes on serving what was before. Notes in
    /// `write` what has happened, when it has.
    fn write(&self, write: &mut Write, origin: &Origin) -> impl Future<Output = ()> + Send;

    /// Repeats what was not confirmed. Returns whether everything is.
    fn settle(&self) -> impl Future<Output = bool> + Send;

    /// What it has met so far.
    fn counts(&self) -> Counts;
}

/// Which subject, with which settings: a column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Column {
    /// moka before Redis, deleted by key and told to others by pub/sub
    Naive,
}

impl Column {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Naive => "moka + Redis + pub/sub",
        }
    }

    /// What its reads are held against.
    pub(crate) fn promise(self, _lease: Duration) -> Promise {
        match self {
            Self::Naive => Promise::Confirmed,
        }
    }

    /// Whether a read that is too old is a failure, and not a comparison.
    pub(crate) fn promises(self) -> bool {
        match self {
            Self::Naive => false,
        }
    }
}

/// What a subject has met that shows whether a run has put it to the test.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Times it had to connect to Redis again.
    pub(crate) reconnections: u64,
    /// Times it found that it had missed notices.
    pub(crate) gaps: u64,
    /// Reads that might have been answered by level 1, had it been trusted.
    pub(crate) bypasses: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.reconnections += other.reconnections;
        self.gaps += other.gaps;
        self.bypasses += other.bypasses;
    }
}
