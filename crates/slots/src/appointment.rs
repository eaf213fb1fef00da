//! What is booked: whose, where, what, by whom it is served, and when.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AppointmentId, BranchId, EventTypeId, ResourceId, TenantId};
use crate::interval::{Interval, InvalidInterval};

/// A booked appointment, as far as availability is concerned.
///
/// Give what is known: the more of branch, event type and resources is missing, the more answers an
/// event about it has to invalidate.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vacancy_slots::{Appointment, Buffers};
///
/// let appointment = Appointment::between(
///     7001.into(),
///     15.into(),
///     "2025-10-15T14:00:00Z".parse()?,
///     "2025-10-15T15:00:00Z".parse()?,
/// )?
/// .branch(1)
/// .event_type(123)
/// .resource(42)
/// .buffers(Buffers::new(Duration::ZERO, Duration::from_secs(600)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Appointment {
    /// Which appointment it is. What several people book seat by seat has one id a seat.
    pub id: AppointmentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where, when known.
    pub branch: Option<BranchId>,
    /// What was booked, when known.
    pub event_type: Option<EventTypeId>,
    /// All it occupies. Empty means unknown.
    pub resources: Vec<ResourceId>,
    intervals: Vec<Interval>,
    /// What it keeps free around itself; `None` means unknown.
    pub buffers: Option<Buffers>,
    /// How many seats it takes where the slot has several; one by default.
    pub seats: NonZeroU32,
    /// Which state of the appointment this is, to put redelivered and reordered changes in order.
    pub revision: Revision,
}

#[derive(Deserialize)]
struct Fields {
    id: AppointmentId,
    tenant: TenantId,
    #[serde(default)]
    branch: Option<BranchId>,
    #[serde(default)]
    event_type: Option<EventTypeId>,
    #[serde(default)]
    resources: Vec<ResourceId>,
    intervals: Vec<Interval>,
    #[serde(default)]
    buffers: Option<Buffers>,
    #[serde(default = "one_seat")]
    seats: NonZeroU32,
    revision: Revision,
}

fn one_seat() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Why what was read is not an [`Appointment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAppointment {
    /// It names no interval, so it cannot be said what it occupies.
    #[error("an appointment needs at least one interval")]
    NoInterval,
}

impl TryFrom<Fields> for Appointment {
    type Error = InvalidAppointment;

    fn try_from(fields: Fields) -> Result<Self, InvalidAppointment> {
        let mut intervals = fields.intervals;
        intervals.sort_unstable();
        intervals.dedup();
        if intervals.is_empty() {
            return Err(InvalidAppointment::NoInterval);
        }
        Ok(Self {
            id: fields.id,
            tenant: fields.tenant,
            branch: fields.branch,
            event_type: fields.event_type,
            resources: fields.resources,
            intervals,
            buffers: fields.buffers,
            seats: fields.seats,
            revision: fields.revision,
        })
    }
}

impl Appointment {
    /// An appointment of which nothing but its time is known yet.
    ///
    /// Its [`revision`](Self::revision) says that it changed now, by this machine's clock. Say
    /// otherwise when it is rebuilt from a record or a message, so that an old one is not taken
    /// for the newest.
    #[must_use]
    pub fn new(id: AppointmentId, tenant: TenantId, interval: Interval) -> Self {
        Self {
            id,
            tenant,
            branch: None,
            event_type: None,
            resources: Vec::new(),
            intervals: vec![interval],
            buffers: None,
            seats: NonZeroU32::MIN,
            revision: Revision::changed_at(Utc::now()),
        }
    }

    /// The same as [`new`](Self::new), from two instants.
    ///
    /// # Errors
    ///
    /// When they are not an interval.
    pub fn between(
        id: AppointmentId,
        tenant: TenantId,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Self, InvalidInterval> {
        Ok(Self::new(id, tenant, Interval::new(start, end)?))
    }

    /// Says where it takes place.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<BranchId>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    /// Says what was booked.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<EventTypeId>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Adds something that it occupies.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        let resource = resource.into();
        if !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
        self
    }

    /// Adds an interval: the next one of a recurring series.
    #[must_use]
    pub fn occurrence(mut self, interval: Interval) -> Self {
        if let Err(place) = self.intervals.binary_search(&interval) {
            self.intervals.insert(place, interval);
        }
        self
    }

    /// Replaces all intervals by one: the appointment was moved there.
    #[must_use]
    pub fn moved_to(mut self, interval: Interval) -> Self {
        self.intervals = vec![interval];
        self
    }

    /// Says what it keeps free around itself.
    #[must_use]
    pub fn buffers(mut self, buffers: Buffers) -> Self {
        self.buffers = Some(buffers);
        self
    }

    /// Says how many seats it takes.
    #[must_use]
    pub fn seats(mut self, seats: NonZeroU32) -> Self {
        self.seats = seats;
        self
    }

    /// Says which state of the appointment this is.
    #[must_use]
    pub fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// When it takes place, earliest first; more than one for a series. Never empty.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

/// What has to stay free before and after an appointment or a slot.
///
/// Kept in whole seconds, rounded up. In serialized form both are numbers of seconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Buffers {
    #[serde(default)]
    before: u64,
    #[serde(default)]
    after: u64,
}

impl Buffers {
    /// Nothing has to stay free.
    pub const NONE: Self = Self {
        before: 0,
        after: 0,
    };

    /// So much before, and so much after.
    #[must_use]
    pub const fn new(before: Duration, after: Duration) -> Self {
        Self {
            before: seconds_up(before),
            after: seconds_up(after),
        }
    }

    /// What stays free before.
    #[must_use]
    pub const fn before(&self) -> Duration {
        Duration::from_secs(self.before)
    }

    /// What stays free after.
    #[must_use]
    pub const fn after(&self) -> Duration {
        Duration::from_secs(self.after)
    }
}

const fn seconds_up(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add((duration.subsec_nanos() > 0) as u64)
}

/// Which state of an appointment a change describes. The greater one is the newer.
///
/// The sequence decides; the time decides among equal sequences and where there is none. A change
/// without a sequence is older than any change with one, so either every change of an appointment
/// carries a sequence or none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision {
    /// The number that the source counts up with every change, such as an iCalendar sequence.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// When the appointment was changed, by the source's clock.
    pub changed_at: DateTime<Utc>,
}

impl Revision {
    /// A change at this time, without a sequence.
    #[must_use]
    pub const fn changed_at(changed_at: DateTime<Utc>) -> Self {
        Self {
            sequence: None,
            changed_at,
        }
    }

    /// Says its sequence.
    #[must_use]
    pub const fn sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }
}
