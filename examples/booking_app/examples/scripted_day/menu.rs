//! What the salon offers, in the words of its routes.

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) const HOSTS: [&str; 3] = ["ada", "grace", "linus"];

/// Something that can be booked.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: &'static str,
    pub(crate) calcom_id: u32,
    minutes: i64,
    /// What has to be free after it.
    after: i64,
    /// The first so many of the hosts serve it.
    pub(crate) hosts: usize,
}

pub(crate) const SERVICES: [Service; 3] = [
    Service {
        id: "cut",
        calcom_id: 101,
        minutes: 45,
        after: 15,
        hosts: 3,
    },
    Service {
        id: "colour",
        calcom_id: 102,
        minutes: 120,
        after: 0,
        hosts: 2,
    },
    Service {
        id: "consultation",
        calcom_id: 103,
        minutes: 30,
        after: 0,
        hosts: 3,
    },
];

/// A time with a host, as it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    /// Its place among [`SERVICES`].
    pub(crate) service: u8,
    /// Its place among [`HOSTS`].
    pub(crate) host: u8,
    /// Seconds since 1970.
    pub(crate) start: i64,
}

impl Offer {
    pub(crate) fn service(&self) -> &'static Service {
        &SERVICES[usize::from(self.service)]
    }

    pub(crate) fn host(&self) -> &'static str {
        HOSTS[usize::from(self.host)]
    }

    pub(crate) fn start(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.start, 0).expect("the salon offers times that exist")
    }

    pub(crate) fn end(&self) -> DateTime<Utc> {
        self.start() + TimeDelta::minutes(self.service().minutes)
    }

    /// Whether the two cannot both be had.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        self.host == other.host && self.start < other.free_from() && other.start < self.free_from()
    }

    fn free_from(&self) -> i64 {
        self.start + (self.service().minutes + self.service().after) * 60
    }
}
