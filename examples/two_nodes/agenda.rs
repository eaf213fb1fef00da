//! What can be booked: the half hours of one day, with each of a few hosts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use vacancy::slots::{
    Appointment, EventTypeRules, Interval, Slot, SlotsQuery, SlotsRequest, SourceError,
    StaticDirectory,
};

pub(crate) const HOSTS: usize = 8;
const SLOTS: usize = 48;
const LENGTH: Duration = Duration::from_secs(30 * 60);
const TENANT: u64 = 15;
const EVENT_TYPE: u64 = 123;
/// 2025-10-15T00:00:00Z
const DAY: i64 = 1_760_486_400;

/// Half hours of one host, the n-th of the day in bit n.
pub(crate) type HalfHours = u64;

/// All of a day.
pub(crate) const ALL: HalfHours = (1 << SLOTS) - 1;

/// What a reader asks to see all that is open with a host.
pub(crate) fn query(host: usize) -> SlotsQuery {
    SlotsQuery::new(TENANT, EVENT_TYPE, interval(0, SLOTS)).resource(host as u64)
}

/// The host that a load is for. Nobody here asks for several.
pub(crate) fn host_of(request: &SlotsRequest) -> Result<usize, SourceError> {
    let host = match &*request.resources {
        [host] => host.as_str().parse().ok(),
        _ => None,
    };
    host.filter(|host| *host < HOSTS)
        .ok_or_else(|| SourceError::new("the calendar does not know the host"))
}

/// Half hours as a source offers them.
pub(crate) fn slots_of(open: HalfHours) -> Vec<Slot> {
    each(open).map(|nth| Slot::new(interval(nth, 1))).collect()
}

/// Half hours of what a cache offers.
pub(crate) fn half_hours_of(slots: &[Slot]) -> HalfHours {
    slots.iter().fold(0, |open, slot| {
        let seconds = (slot.start().timestamp() - DAY).unsigned_abs();
        open | 1 << (seconds / LENGTH.as_secs())
    })
}

/// The half hours one by one, as their places in the day.
pub(crate) fn each(mut half_hours: HalfHours) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let nth = half_hours.trailing_zeros() as usize;
        (nth < SLOTS).then(|| {
            half_hours &= half_hours - 1;
            nth
        })
    })
}

pub(crate) fn appointment(id: u64, host: usize, nth: usize) -> Appointment {
    Appointment::new(id.into(), TENANT.into(), interval(nth, 1))
        .event_type(EVENT_TYPE)
        .resource(host as u64)
}

/// What both nodes know of the event type.
pub(crate) fn directory() -> StaticDirectory {
    let hosts = 0..HOSTS as u64;
    let rules = hosts.fold(EventTypeRules::new().longest_slot(LENGTH), |rules, host| {
        rules.resource(host)
    });
    let mut directory = StaticDirectory::new();
    directory.insert(TENANT.into(), EVENT_TYPE.into(), rules);
    directory
}

fn interval(nth: usize, length: usize) -> Interval {
    let at = |nth: usize| {
        let seconds = LENGTH.as_secs() as i64 * nth as i64;
        DateTime::UNIX_EPOCH + TimeDelta::seconds(DAY + seconds)
    };
    Interval::new(at(nth), at(nth + length)).expect("a later half hour ends later")
}
