//! How often what happened in a run.

use std::ops::AddAssign;

/// How often what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reads that ended with an answer, each of them checked.
    pub reads: u64,
    /// Reads that ended with an error, or were cancelled.
    pub unread: u64,
    /// Reads that had to be at least some version that was written meanwhile.
    pub guarded: u64,
    /// Commits.
    pub commits: u64,
    /// Of those, the ones under a hold that stood.
    pub held: u64,
    /// Invalidations that were confirmed.
    pub confirmed: u64,
    /// Writers that died after their commit.
    pub died: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            reads,
            unread,
            guarded,
            commits,
            held,
            confirmed,
            died,
        } = other;
        self.reads += reads;
        self.unread += unread;
        self.guarded += guarded;
        self.commits += commits;
        self.held += held;
        self.confirmed += confirmed;
        self.died += died;
    }
}
