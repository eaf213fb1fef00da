//! A read that was stale, and what it broke.

use std::{fmt, time::Duration};

/// A stale read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub promise: Promise,
    /// Who read.
    pub node: usize,
    /// What.
    pub key: usize,
    /// What it was given.
    pub version: u64,
    /// What it was to be given at least.
    pub floor: u64,
    /// When it began.
    pub begun: Duration,
    /// When it ended.
    pub ended: Duration,
    /// Where the answer came from.
    pub source: &'static str,
}

/// Why a read may not be answered by an older version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// Its node had invalidated before.
    Local,
    /// Every node had confirmed.
    Confirmed,
    /// The server had confirmed, a lease ago.
    Bounded,
    /// It was committed under a hold.
    Held,
    /// The reader showed a token.
    Token,
    /// Nothing has happened for long.
    Quiet,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            promise,
            node,
            key,
            version,
            floor,
            begun,
            source,
            ..
        } = self;
        write!(
            f,
            "{promise:?}: node {node} began at {:.3} ms to read {key}, was to get @{floor} and got \
             @{version} ({source})",
            begun.as_secs_f64() * 1e3
        )
    }
}
