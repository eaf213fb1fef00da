//! What is simulated: a cache on one node.

use std::{fmt, time::Duration};

use fastrand::Rng;

use crate::origin::{Origin, Unanswered};

/// What is simulated: a cache on one node, shared by its readers and writers.
///
/// Its methods are called from the tasks of its host and from nowhere else.
pub trait Subject: Send + Sync + 'static {
    /// What a confirmed invalidation is known by on other nodes.
    type Token: Clone + Send + Sync + 'static;
    /// A hold that stands.
    type Hold: Send + 'static;

    /// Reads a key, loading it from `origin` where need be. With a token, what is given is at least as
    /// new as what the token confirms.
    fn read(
        &self,
        key: usize,
        token: Option<&Self::Token>,
        origin: Origin,
        rng: Rng,
    ) -> impl Future<Output = Result<Read, Unanswered>> + Send;

    /// Invalidates a key, at once on this node.
    fn invalidate(&self, key: usize);

    /// Waits until other nodes know of all that was invalidated here.
    fn confirmed(&self) -> impl Future<Output = Result<Self::Token, Unconfirmed>> + Send;

    /// Holds a key: what is loaded until the release is kept by nobody.
    fn hold(
        &self,
        key: usize,
        lasts: Duration,
    ) -> impl Future<Output = Result<Self::Hold, Unconfirmed>> + Send;

    /// Invalidates what is held, at once on this node, and ends the hold.
    fn release(&self, hold: Self::Hold);

    /// What it has counted, by name.
    fn counts(&self) -> Vec<(&'static str, u64)>;
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The key that the value says it is of.
    pub key: usize,
    /// The version of the value.
    pub version: u64,
    /// Where it comes from.
    pub source: &'static str,
}

/// Nobody vouches for the invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed;

impl fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not confirmed")
    }
}
