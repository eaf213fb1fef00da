//! What somebody has reserved.

use std::{fmt, num::NonZeroU32, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::{
    appointment::{Appointment, Buffers},
    ids::{AppointmentId, EventTypeId, OwnerId, ReservationId, ResourceId, TenantId},
    interval::Interval,
    occupied::Occupied,
};

/// What somebody has reserved, as it was when he was told.
///
/// It is a value and holds nothing: dropping it releases nothing.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reservation {
    /// Which of its owner's it is.
    pub id: ReservationId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Slots of what.
    pub event_type: EventTypeId,
    /// When.
    pub interval: Interval,
    /// All that is reserved; empty where it is the event type itself.
    pub resources: Vec<ResourceId>,
    /// What it keeps free around itself; `None` where nobody knew.
    pub buffers: Option<Buffers>,
    /// The seats that it takes, and those that could be reserved at a time when it was asked for.
    pub seats: Option<(NonZeroU32, NonZeroU32)>,
    pub(super) until: Instant,
}

impl Reservation {
    /// What is left of its time; zero when it is over. Extending it elsewhere does not change this value.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// When it ends, by this machine's clock: for people to read. What counts is
    /// [`remaining`](Self::remaining).
    #[must_use]
    pub fn ends_at(&self) -> DateTime<Utc> {
        let remaining = TimeDelta::from_std(self.remaining()).unwrap_or_default();
        Utc::now() + remaining
    }

    /// The appointment that it would become.
    pub(super) fn appointment(&self) -> Appointment {
        // Both are any text of the same length.
        let id = AppointmentId::try_from(self.id.as_str()).unwrap_or_else(|_| 0.into());
        let mut appointment = Appointment::new(id, self.tenant.clone(), self.interval)
            .event_type(self.event_type.clone());
        appointment.resources.clone_from(&self.resources);
        appointment.buffers = self.buffers;
        appointment
    }

    pub(super) fn occupied(&self) -> Occupied {
        Occupied {
            intervals: vec![self.interval],
            resources: self.resources.iter().cloned().collect(),
            event_type: Some(self.event_type.clone()),
            buffers: self.buffers,
            seats: self.seats.map_or(NonZeroU32::MIN, |(seats, _)| seats),
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("id", &self.id)
            .field("interval", &self.interval)
            .field("resources", &self.resources)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
