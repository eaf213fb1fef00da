//! What A tells B to do, and what B says: lines of JSON on B's standard input and output.

use std::{fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use vacancy::cache::{Consistency, InvalidUrl, Redis, RedisUrl};
use vacancy::slots::{SlotSource, SlotsCache};

use super::{
    agenda::{self, HOSTS, HalfHours},
    verdict::{Booking, Reads},
};

/// How long a node may answer from its own memory after it last heard from Redis.
pub(crate) const LEASE: Duration = Duration::from_millis(500);
/// How long a confirmation is waited for.
pub(crate) const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// An order to B. Each one gets an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Read in a loop, through a new cache. Answered with [`Answer::Reading`] as soon as there is a lease.
    Read {
        settings: Settings,
        calendar: SocketAddr,
    },
    /// Stop, and judge what was read: between each of `bounds` and the next. Answered with [`Answer::Read`].
    Judge {
        bookings: Vec<Booking>,
        bounds: Vec<u64>,
    },
}

/// What B says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Reading,
    /// Redis gave it no lease in time.
    NoLease,
    Read(Diary),
}

/// What B has seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Diary {
    pub(crate) periods: Vec<Reads>,
    /// What it offers in the end.
    pub(crate) offers: [HalfHours; HOSTS],
    /// How many other incarnations of Redis it has met while it read.
    pub(crate) incarnations: u64,
}

/// How the caches of both nodes are set up.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) redis: String,
    pub(crate) namespace: String,
    pub(crate) mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Bounded,
    Strict,
}

impl Settings {
    /// A node's cache before `source`.
    pub(crate) fn cache(&self, source: impl SlotSource) -> Result<SlotsCache, InvalidUrl> {
        let url: RedisUrl = self.redis.parse()?;
        let redis = Redis::at(url)
            .namespace(&self.namespace)
            .consistency(match self.mode {
                Mode::Bounded => Consistency::Bounded,
                Mode::Strict => Consistency::Strict,
            })
            .lease(LEASE)
            .confirm_within(CONFIRM_WITHIN);
        Ok(SlotsCache::builder(source)
            .directory(agenda::directory())
            .source_lag(Duration::ZERO) // it is the very database that was booked in
            .redis(redis)
            .build())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may have a password in it.
        f.debug_struct("Settings")
            .field("namespace", &self.namespace)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bounded => "Bounded",
            Self::Strict => "Strict",
        })
    }
}
