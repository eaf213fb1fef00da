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
    /// Vacancy, in bounded consistency
    Bounded,
    /// Vacancy, in strict consistency
    Strict,
    /// Vacancy, in strict consistency, and each commit is made under a hold
    Held,
}

impl Column {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Naive => "moka + Redis + pub/sub",
            Self::Bounded => "Bounded",
            Self::Strict => "Strict",
            Self::Held => "Strict + hold",
        }
    }

    /// What its reads are held against.
    pub(crate) fn promise(self, lease: Duration) -> Promise {
        match self {
            Self::Naive | Self::Strict => Promise::Confirmed,
            Self::Bounded => Promise::Within(lease),
            Self::Held => Promise::Committed,
        }
    }

    /// Whether a read that is too old is a failure, and not a comparison.
    pub(crate) fn promises(self) -> bool {
        self != Self::Naive
    }
}

/// What a subject has met that shows whether a run has put it to the test.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Calls of Redis that failed, or connections that were lost.
    pub(crate) errors: u64,
    /// Times it found that it had missed notices.
    pub(crate) gaps: u64,
    /// Times it met a Redis that had forgotten everything.
    pub(crate) incarnations: u64,
    /// Answers in level 1 that were not given because it was not trusted then.
    pub(crate) doubted: u64,
    /// Answers in level 2 that were not given because they were invalid.
    pub(crate) fenced: u64,
    /// Loads that an invalidation overtook.
    pub(crate) born_invalid: u64,
    /// Reads that met a hold.
    pub(crate) held: u64,
    /// Holds that were gone when they were released.
    pub(crate) lost_holds: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.errors += other.errors;
        self.gaps += other.gaps;
        self.incarnations += other.incarnations;
        self.doubted += other.doubted;
        self.fenced += other.fenced;
        self.born_invalid += other.born_invalid;
        self.held += other.held;
        self.lost_holds += other.lost_holds;
    }
}
