//! What is asked of the guard: to book, to move, to cancel.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use vacancy_slots::{Appointment, AppointmentId, Interval, ResourceId, Revision, TenantId};

use crate::{claim::claims, operation::OperationKey, unbookable::Unbookable};

/// The longest id that can be booked, in bytes: the database keeps several in one index entry.
pub const MAX_BOOKED_ID_BYTES: usize = 256;

/// The most rows that one appointment may occupy: intervals by resources by seats.
pub const MAX_OCCUPIED_ROWS: usize = 4096;

/// The most intervals that may meet, with their buffers, where the slot is shared: together they name the session.
pub const MAX_SHARED_RUN: usize = 24;

/// An appointment as it is to be booked, or as it is to be after a move.
///
/// It has to name its resources and its buffers ([`Buffers::NONE`](vacancy_slots::Buffers::NONE) where it
/// has none): the guard cannot guess them, as the cache can. Times are kept in whole microseconds, rounded
/// outward.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use vacancy_slots::{Appointment, Buffers};
/// use vacancy_sqlx::{Booking, OperationKey};
///
/// let hour = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
/// let appointment = Appointment::new(7001.into(), 15.into(), hour)
///     .event_type(123)
///     .resource(42)
///     .buffers(Buffers::NONE);
/// let booking = Booking::new(appointment)
///     .capacity(NonZeroU32::new(10).expect("ten"))
///     .operation(OperationKey::try_from("4f1c")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is booked until the guard or the writer gets it"]
pub struct Booking {
    pub(crate) appointment: Appointment,
    pub(crate) capacity: NonZeroU32,
    pub(crate) operation: Option<OperationKey>,
}

impl Booking {
    /// A booking that has its resources to itself.
    pub fn new(appointment: Appointment) -> Self {
        Self {
            appointment,
            capacity: NonZeroU32::MIN,
            operation: None,
        }
    }

    /// Says how many seats its slot has for appointments of the same event type at the same time. Default 1.
    ///
    /// The appointment takes as many of them as its `seats` say. Any other appointment of the resource, of
    /// another event type or at another time, still excludes it and is excluded.
    pub fn capacity(mut self, seats: NonZeroU32) -> Self {
        self.capacity = seats;
        self
    }

    /// Makes repeating it harmless: the same request under the same key gives what the first one gave.
    ///
    /// What makes a request the same: all of the appointment but its id, where it is booked, and its revision;
    /// and the capacity.
    pub fn operation(mut self, key: OperationKey) -> Self {
        self.operation = Some(key);
        self
    }

    /// The same, of whole microseconds.
    pub(crate) fn checked(&self) -> Result<Self, Unbookable> {
        let wanted = &self.appointment;
        if wanted.resources.is_empty() {
            return Err(Unbookable::NoResource);
        }
        let buffers = wanted.buffers.ok_or(Unbookable::NoBuffers)?;
        let event_type = wanted.event_type.iter().map(AsRef::as_ref);
        let resources = wanted.resources.iter().map(AsRef::as_ref);
        let ids = [wanted.tenant.as_str(), wanted.id.as_str()];
        for id in ids.into_iter().chain(event_type).chain(resources) {
            check_id(id)?;
        }
        let shared = self.capacity > NonZeroU32::MIN;
        if shared && wanted.event_type.is_none() {
            return Err(Unbookable::NoEventType);
        }
        let seats = if shared { wanted.seats.get() } else { 1 };
        let seats = usize::try_from(seats).unwrap_or(usize::MAX);
        let rows = wanted.intervals().len() * wanted.resources.len();
        if rows.saturating_mul(seats) > MAX_OCCUPIED_ROWS {
            return Err(Unbookable::TooMuch);
        }
        let mut whole = wanted.intervals().iter().map(|interval| {
            let whole = outward(*interval)?;
            // What the database cannot represent is refused here, where it has a name.
            let blocked = whole.widened(buffers.before(), buffers.after());
            let in_range = |at: DateTime<Utc>| RANGE.contains(&at.timestamp());
            match in_range(blocked.start()) && in_range(blocked.end()) {
                true => Some(whole),
                false => None,
            }
        });
        let first = whole.next().flatten().ok_or(Unbookable::OutOfRange)?;
        let mut appointment = wanted.clone().moved_to(first);
        appointment.resources.clear();
        for resource in &wanted.resources {
            appointment = appointment.resource(resource.clone());
        }
        for interval in whole {
            appointment = appointment.occurrence(interval.ok_or(Unbookable::OutOfRange)?);
        }
        let checked = Self {
            appointment,
            ..self.clone()
        };
        let runs = claims(&checked);
        if shared && runs.iter().any(|claim| claim.intervals > MAX_SHARED_RUN) {
            return Err(Unbookable::TooMuch);
        }
        Ok(checked)
    }

    /// What makes a repetition of it the same request.
    pub(crate) fn fingerprint(&self, verb: &str, with_id: bool) -> String {
        let mut same = self
            .appointment
            .clone()
            .revision(Revision::changed_at(DateTime::UNIX_EPOCH));
        same.resources.sort_unstable_by(ResourceId::cmp);
        if !with_id {
            same.id = AppointmentId::from(0);
        }
        format!("{verb} {} {}", self.capacity, json(&same))
    }
}

impl From<Appointment> for Booking {
    fn from(appointment: Appointment) -> Self {
        Self::new(appointment)
    }
}

/// Which appointment is to be cancelled.
#[derive(Clone, Debug)]
#[must_use = "nothing is cancelled until the guard or the writer gets it"]
pub struct Cancellation {
    pub(crate) tenant: TenantId,
    pub(crate) appointment: AppointmentId,
    pub(crate) seen: Option<Revision>,
    pub(crate) operation: Option<OperationKey>,
    pub(crate) reason: Option<String>,
    pub(crate) actor: Option<String>,
}

impl Cancellation {
    /// Cancels it in whatever state it is. Cancelling it again changes nothing.
    pub fn of(tenant: TenantId, appointment: AppointmentId) -> Self {
        Self {
            tenant,
            appointment,
            seen: None,
            operation: None,
            reason: None,
            actor: None,
        }
    }

    /// Cancels it only in the state that was seen.
    pub fn seen(mut self, revision: Revision) -> Self {
        self.seen = Some(revision);
        self
    }

    /// Makes repeating it harmless, even after the same appointment was booked anew.
    pub fn operation(mut self, key: OperationKey) -> Self {
        self.operation = Some(key);
        self
    }

    /// Says why, in the event. The guard does not store it.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says who, in the event. The guard does not store it.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("cancel {}", self.appointment)
    }
}

pub(crate) fn json(appointment: &Appointment) -> String {
    serde_json::to_string(appointment).expect("an appointment has no part that JSON has not")
}

/// Seconds from the year 1 to the year 9999: both databases, and whoever reads them, can write these.
const RANGE: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

fn outward(interval: Interval) -> Option<Interval> {
    let part = interval.end().timestamp_subsec_nanos() % 1000;
    let start = interval.start().timestamp_micros();
    let end = interval.end().timestamp_micros() + i64::from(part > 0);
    let whole = DateTime::from_timestamp_micros;
    Interval::new(whole(start)?, whole(end)?).ok()
}

fn check_id(id: &str) -> Result<(), Unbookable> {
    match id.len() <= MAX_BOOKED_ID_BYTES && !id.contains('\0') {
        true => Ok(()),
        false => Err(Unbookable::Id),
    }
}
