//! What an appointment blocks of each of its resources.
//!
//! An appointment blocks its time and its buffers. Two appointments conflict when what they block overlaps:
//! between two neighbours the buffer after the one and the buffer before the other both have to fit, which is
//! the rule by which the cache offers slots. What only touches does not overlap.

use chrono::{DateTime, Utc};
use vacancy_slots::{Appointment, Buffers};

use crate::booking::Booking;

/// A time that an appointment blocks, in a session: those of one session do not exclude each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) session: String,
}

/// What the booking blocks, of each of its resources alike.
pub(crate) fn claims(booking: &Booking) -> Vec<Claim> {
    let appointment = &booking.appointment;
    let event_type = appointment.event_type.as_ref();
    match event_type.filter(|_| booking.capacity.get() > 1) {
        Some(event_type) => shared(appointment, event_type.as_str()),
        None => exclusive(appointment),
    }
}

/// How many seats it takes of each session.
pub(crate) fn seats(booking: &Booking) -> u32 {
    match booking.capacity.get() {
        1 => 1,
        _ => booking.appointment.seats.get(),
    }
}

/// Sessions of its own. Where the buffers of two of its intervals meet, they are one: an appointment is not in
/// its own way.
fn exclusive(appointment: &Appointment) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for (from, to) in blocked(appointment) {
        match claims.last_mut() {
            Some(last) if from <= last.to => last.to = last.to.max(to),
            _ => claims.push(Claim {
                from,
                to,
                session: format!("one {} {}", from.timestamp_micros(), appointment.id),
            }),
        }
    }
    claims
}

/// The session of its event type at each of its intervals.
fn shared(appointment: &Appointment, event_type: &str) -> Vec<Claim> {
    let intervals = appointment.intervals().iter();
    let claim = |(interval, (from, to)): (&vacancy_slots::Interval, _)| {
        let (start, end) = (interval.start(), interval.end());
        let (start, end) = (start.timestamp_micros(), end.timestamp_micros());
        Claim {
            from,
            to,
            session: format!("seats {start} {end} {event_type}"),
        }
    };
    intervals.zip(blocked(appointment)).map(claim).collect()
}

fn blocked(appointment: &Appointment) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
    let buffers = appointment.buffers.unwrap_or(Buffers::NONE);
    appointment.intervals().iter().map(move |interval| {
        let blocked = interval.widened(buffers.before(), buffers.after());
        (blocked.start(), blocked.end())
    })
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use vacancy_slots::Interval;

    use super::*;

    fn minutes(start: i64, end: i64) -> Interval {
        let at = |minute| DateTime::from_timestamp(minute * 60, 0).unwrap();
        Interval::new(at(start), at(end)).unwrap()
    }

    fn series() -> Appointment {
        let ten = Duration::from_secs(600);
        Appointment::new(1.into(), 1.into(), minutes(60, 90))
            .occurrence(minutes(105, 120))
            .occurrence(minutes(200, 210))
            .event_type(5)
            .resource(7)
            .buffers(Buffers::new(ten, ten))
    }

    fn bounds(claims: &[Claim]) -> Vec<(i64, i64)> {
        let minute = |at: DateTime<Utc>| at.timestamp() / 60;
        claims
            .iter()
            .map(|claim| (minute(claim.from), minute(claim.to)))
            .collect()
    }

    #[test]
    fn an_appointment_is_not_in_its_own_way() {
        let claims = claims(&Booking::new(series()));
        assert_eq!(bounds(&claims), [(50, 130), (190, 220)]);
    }

    #[test]
    fn each_interval_with_seats_is_a_session_that_others_can_join() {
        let ten = NonZeroU32::new(10).unwrap();
        let of_series = claims(&Booking::new(series()).capacity(ten));
        assert_eq!(bounds(&of_series), [(50, 100), (95, 130), (190, 220)]);
        let mut other = series().moved_to(minutes(105, 120));
        other.id = 2.into();
        let of_other = claims(&Booking::new(other).capacity(ten));
        assert_eq!(of_other[0].session, of_series[1].session);
    }
}
