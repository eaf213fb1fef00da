//! How a reservation is written as a claim: scopes and spans that say what is in the way, and a note that says
//! the rest.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use vacancy_cache::{Claim, Scope, Span};

use super::{request::ReservationRequest, reservation::Reservation};
use crate::{
    appointment::Buffers,
    ids::{EventTypeId, OwnerId, ReservationId, ResourceId, TenantId},
    interval::Interval,
};

const RESOURCE: &str = "resource";
const EVENT_TYPE: &str = "event type";

pub(super) fn resource_scope(tenant: &TenantId, resource: &ResourceId) -> Scope {
    Scope::new(tenant.clone(), RESOURCE, resource.clone())
}

pub(super) fn event_type_scope(tenant: &TenantId, event_type: &EventTypeId) -> Scope {
    Scope::new(tenant.clone(), EVENT_TYPE, event_type.clone())
}

/// The resource whose scope it is, if it is one.
pub(super) fn resource_of(scope: &Scope) -> Option<ResourceId> {
    (scope.kind() == RESOURCE).then_some(())?;
    ResourceId::try_from(scope.id()).ok()
}

/// In milliseconds, rounded outward.
pub(super) fn span_of(interval: &Interval) -> Span {
    let end = interval.end();
    let part = !end.timestamp_subsec_nanos().is_multiple_of(1_000_000);
    let from = interval.start().timestamp_millis();
    Span::new(from, end.timestamp_millis() + i64::from(part))
}

/// What the scopes and spans do not say, in whole numbers: seconds and nanoseconds of start and end,
/// the buffers, the seats.
pub(super) fn note(request: &ReservationRequest) -> String {
    let (start, end) = (request.interval.start(), request.interval.end());
    let buffers = match request.buffers {
        Some(buffers) => format!(
            "{} {}",
            buffers.before().as_secs(),
            buffers.after().as_secs()
        ),
        None => UNKNOWN.to_owned(),
    };
    let seats = match request.seats {
        Some((seats, free)) => format!("{seats} {free}"),
        None => UNKNOWN.to_owned(),
    };
    format!("{} {} {buffers} {seats}", instant(start), instant(end))
}

/// In place of two numbers.
const UNKNOWN: &str = "- -";

fn instant(at: DateTime<Utc>) -> String {
    format!("{} {}", at.timestamp(), at.timestamp_subsec_nanos())
}

/// The reservation that a claim stands for; `None` if it is none of ours.
pub(super) fn read(claim: &Claim) -> Option<Reservation> {
    let words: Vec<&str> = claim.note().split(' ').collect();
    let &[start, start_part, end, end_part, before, after, seats, free] = &*words else {
        return None;
    };
    let instant = |seconds: &str, part: &str| {
        DateTime::from_timestamp(seconds.parse().ok()?, part.parse().ok()?)
    };
    let (start, end) = (instant(start, start_part)?, instant(end, end_part)?);
    let buffer = |seconds: &str| seconds.parse().ok().map(Duration::from_secs);
    let buffers = buffer(before).zip(buffer(after));
    let seats: Option<(NonZeroU32, NonZeroU32)> = seats.parse().ok().zip(free.parse().ok());
    let of_kind = |kind| {
        let scopes = claim.covers().map(|cover| &cover.scope);
        scopes.filter(move |scope| scope.kind() == kind)
    };
    let resources: Result<Vec<ResourceId>, _> = of_kind(RESOURCE)
        .map(|scope| ResourceId::try_from(scope.id()))
        .collect();
    let event_type = of_kind(EVENT_TYPE).next()?;
    Some(Reservation {
        id: ReservationId::try_from(claim.id()).ok()?,
        owner: OwnerId::try_from(claim.owner()).ok()?,
        tenant: TenantId::try_from(claim.tenant()).ok()?,
        event_type: EventTypeId::try_from(event_type.id()).ok()?,
        interval: Interval::new(start, end).ok()?,
        resources: resources.ok()?,
        buffers: buffers.map(|(before, after)| Buffers::new(before, after)),
        seats,
        until: claim.until(),
    })
}
