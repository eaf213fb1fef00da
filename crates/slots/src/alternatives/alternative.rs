//! What can be offered instead of the wanted slot, and why.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{ids::BranchId, query::SlotsQuery, slot::Slot, source::SourceError};

/// What a search for alternatives came to. Each case asks something else of the caller.
#[derive(Clone, Debug)]
#[must_use]
pub enum Alternatives {
    /// These are the best ones, the best first: nothing that was not asked for could rank before any of
    /// them. They may be fewer than wanted, when there are no more.
    Found(Vec<Alternative>),
    /// These are free, but what could not be asked for might have better ones, or more.
    Partial {
        /// The best of what could be asked for, the best first. Never empty.
        ranked: Vec<Alternative>,
        /// What could not be asked for. Never empty.
        unasked: Vec<Unasked>,
    },
    /// Everything up to the horizon was asked for, and nothing is free.
    NoneFree,
    /// Nothing was found, and not everything could be asked for, so it is not known whether anything is
    /// free. Say so, and never that all is taken.
    CouldNotAsk {
        /// What could not be asked for. Never empty.
        unasked: Vec<Unasked>,
    },
}

impl Alternatives {
    /// What can be offered, the best first; empty when nothing was found, for whatever reason.
    #[must_use]
    pub fn ranked(&self) -> &[Alternative] {
        match self {
            Self::Found(ranked) | Self::Partial { ranked, .. } => ranked,
            Self::NoneFree | Self::CouldNotAsk { .. } => &[],
        }
    }
}

/// A slot that is free and could be offered instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternative {
    /// The slot, at least as long as the wanted one. Its resources are those who may be offered with it;
    /// none where the source does not tell.
    pub slot: Slot,
    /// Where, as far as the question said.
    pub branch: Option<BranchId>,
    /// The best reason to offer it.
    pub reason: Reason,
    /// How far its start is from what the reason is about: the same time of that day for
    /// [`NextWorkingDay`](Reason::NextWorkingDay), the same weekday and time for
    /// [`NextWeek`](Reason::NextWeek), and the wanted start for the others.
    pub distance: Duration,
    /// Whether it starts at a preferred time.
    pub preferred: bool,
}

/// Why a slot is offered instead of the wanted one, the best reason first. A slot has the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// On the wanted day, near the wanted time.
    SameDay,
    /// On the next day that has anything to offer, whatever day of the week it is, near the same time.
    NextWorkingDay,
    /// In the week after the wanted one, from Monday to Sunday, near the same weekday and time.
    NextWeek,
    /// With another resource, near the wanted time, which itself may be offered too.
    OtherResource,
    /// In another branch, near the wanted time, which itself may be offered too.
    OtherBranch,
    /// Later than all of these, as soon as possible.
    NextAvailable,
}

impl Reason {
    /// Its name, as it is serialized: `same_day`, `next_working_day`, `next_week`, `other_resource`,
    /// `other_branch` or `next_available`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameDay => "same_day",
            Self::NextWorkingDay => "next_working_day",
            Self::NextWeek => "next_week",
            Self::OtherResource => "other_resource",
            Self::OtherBranch => "other_branch",
            Self::NextAvailable => "next_available",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question to which a search got no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unasked {
    /// The question. Its window goes from the first to the last day that is not known.
    pub query: SlotsQuery,
    /// What kept it from being asked.
    pub why: NotAsked,
}

/// What kept a search from asking.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAsked {
    /// All calls that the search may make were made. A search with more of them may find more.
    #[error("no call of the source was left")]
    OutOfCalls,
    /// The source had not answered when the time was over. What it was asked is not waited for.
    #[error("the time was over")]
    OutOfTime,
    /// The source did not answer. Asking again asks it again: no error is kept.
    #[error("the source of availability did not answer")]
    Source(#[source] SourceError),
}
