//! What somebody wants to reserve.

use std::{fmt, num::NonZeroU32, time::Duration};

use tokio::time::Instant;
use vacancy_cache::{ClaimRequest, Cover, Share};

use super::{
    claimed::{event_type_scope, note, resource_scope, span_of},
    reservation::Reservation,
};
use crate::{
    appointment::Buffers,
    ids::{EventTypeId, OwnerId, ReservationId, ResourceId, TenantId},
    interval::Interval,
};

/// What somebody wants to keep others from while he decides: all of it or nothing.
///
/// Say what would be booked: the resources that the appointment would occupy, and the buffers around it.
/// Without a resource the event type itself is reserved, as where nobody in particular serves it; then
/// everything of the event type that meets the interval is in the way.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vacancy_slots::{Buffers, OwnerId, ReservationRequest};
///
/// let two_to_three = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
/// let caller = OwnerId::try_from("call 77")?;
/// let request = ReservationRequest::new(15, 123, two_to_three, caller)
///     .resource(42)
///     .buffers(Buffers::new(Duration::ZERO, Duration::from_secs(600)))
///     .lasts(Duration::from_secs(300));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "nothing is reserved until it is asked for"]
pub struct ReservationRequest {
    /// Makes a repeated request the same reservation.
    pub id: ReservationId,
    /// Who wants it.
    pub owner: OwnerId,
    /// Whose slots.
    pub tenant: TenantId,
    /// Slots of what.
    pub event_type: EventTypeId,
    /// When.
    pub interval: Interval,
    /// All that it would occupy.
    pub resources: Vec<ResourceId>,
    /// What it would keep free around itself; `None` takes what the directory knows, else nothing.
    pub buffers: Option<Buffers>,
    /// For how long; `None` is as long as the settings allow.
    pub lasts: Option<Duration>,
    /// The seats that it takes, and those that may be reserved at a time, where a slot has several.
    pub seats: Option<(NonZeroU32, NonZeroU32)>,
}

impl ReservationRequest {
    /// Asks for `interval` of an event type in the name of `owner`, under an id that nobody else has.
    pub fn new(
        tenant: impl Into<TenantId>,
        event_type: impl Into<EventTypeId>,
        interval: Interval,
        owner: OwnerId,
    ) -> Self {
        Self {
            id: ReservationId::unique(),
            owner,
            tenant: tenant.into(),
            event_type: event_type.into(),
            interval,
            resources: Vec::new(),
            buffers: None,
            lasts: None,
            seats: None,
        }
    }

    /// Names the request, so that it can be made again by whoever has lost the answer: two requests of an
    /// owner with one id are one reservation. An id that was released cannot be used again.
    pub fn id(mut self, id: ReservationId) -> Self {
        self.id = id;
        self
    }

    /// Adds someone or something that it would occupy.
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        let resource = resource.into();
        if !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
        self
    }

    /// Says what it would keep free around itself.
    pub fn buffers(mut self, buffers: Buffers) -> Self {
        self.buffers = Some(buffers);
        self
    }

    /// Says for how long, up to the
    /// [`longest_reservation`](crate::SlotsCacheBuilder::longest_reservation).
    pub fn lasts(mut self, lasts: Duration) -> Self {
        self.lasts = Some(lasts);
        self
    }

    /// Takes so many seats of a slot that has several, of which `free` are not booked: so many may be
    /// reserved at a time for the same interval of the event type.
    ///
    /// Not said, the slot is reserved as a whole, and nobody else can reserve a seat of it.
    pub fn seats(mut self, seats: NonZeroU32, free: NonZeroU32) -> Self {
        self.seats = Some((seats, free));
        self
    }

    /// What it becomes if it is granted, until then.
    pub(super) fn granted(&self, until: Instant) -> Reservation {
        Reservation {
            id: self.id.clone(),
            owner: self.owner.clone(),
            tenant: self.tenant.clone(),
            event_type: self.event_type.clone(),
            interval: self.interval,
            resources: self.resources.clone(),
            buffers: self.buffers,
            seats: self.seats,
            until,
        }
    }

    /// What is claimed for it.
    pub(super) fn claim(&self, longest: Duration) -> ClaimRequest {
        let lasts = self.lasts.unwrap_or(longest).min(longest);
        let buffers = self.buffers.unwrap_or(Buffers::NONE);
        let span = span_of(&self.interval.widened(buffers.before(), buffers.after()));
        let request =
            ClaimRequest::new(self.id.clone(), self.owner.clone(), lasts).note(note(self));
        // Those of one interval of one event type share its seats.
        let seats = self.seats.map(|(seats, free)| {
            let company = format!("{} {}", self.interval, self.event_type);
            Share::new(company, free).takes(seats)
        });
        let taken = |request: ClaimRequest, cover| match &seats {
            Some(seats) => request.shared(cover, seats.clone()),
            None => request.alone(cover),
        };
        let event_type = Cover::new(event_type_scope(&self.tenant, &self.event_type), span);
        if self.resources.is_empty() {
            return taken(request, event_type);
        }
        let resource = |resource| Cover::new(resource_scope(&self.tenant, resource), span);
        self.resources
            .iter()
            .map(resource)
            .fold(request, taken)
            // For readers who do not know who serves the event type.
            .shared(event_type, Share::unlimited("resources"))
    }
}

impl fmt::Debug for ReservationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservationRequest")
            .field("id", &self.id)
            .field("interval", &self.interval)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}
