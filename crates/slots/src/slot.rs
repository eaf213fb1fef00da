//! One bookable interval, as the source of availability offers it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::ResourceId;
use crate::interval::{Interval, InvalidInterval};

/// One bookable interval, who can serve it, and how many seats it has left.
///
/// In serialized form it is `start`, `end`, and what is told of `resources` and `seats`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Slot {
    /// When it is.
    pub interval: Interval,
    /// Who can serve it. Empty means that the source does not tell.
    pub resources: Vec<ResourceId>,
    /// How many can book it; `None` where one booking takes it.
    pub seats: Option<Seats>,
}

/// The seats of a slot that several people can book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seats {
    /// Seats that are free.
    pub remaining: u32,
    /// Seats there are.
    pub total: u32,
}

#[derive(Serialize, Deserialize)]
struct Fields {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resources: Vec<ResourceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seats: Option<Seats>,
}

impl TryFrom<Fields> for Slot {
    type Error = InvalidInterval;

    fn try_from(fields: Fields) -> Result<Self, InvalidInterval> {
        Ok(Self {
            interval: Interval::new(fields.start, fields.end)?,
            resources: fields.resources,
            seats: fields.seats,
        })
    }
}

impl From<Slot> for Fields {
    fn from(slot: Slot) -> Self {
        Self {
            start: slot.interval.start(),
            end: slot.interval.end(),
            resources: slot.resources,
            seats: slot.seats,
        }
    }
}

impl Slot {
    /// A slot of which the source tells nothing but the time.
    #[must_use]
    pub const fn new(interval: Interval) -> Self {
        Self {
            interval,
            resources: Vec::new(),
            seats: None,
        }
    }

    /// Adds someone who can serve it.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Says how many can book it.
    #[must_use]
    pub const fn seats(mut self, seats: Seats) -> Self {
        self.seats = Some(seats);
        self
    }

    /// The first instant.
    #[must_use]
    pub const fn start(&self) -> DateTime<Utc> {
        self.interval.start()
    }

    /// The first instant after it.
    #[must_use]
    pub const fn end(&self) -> DateTime<Utc> {
        self.interval.end()
    }
}
