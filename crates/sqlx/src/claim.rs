//! What an appointment blocks of each of its resources.
//!
//! An appointment blocks its time and its buffers. Two appointments conflict when what they block overlaps:
//! between two neighbours the buffer after the one and the buffer before the other both have to fit, which is
//! the rule by which the cache offers slots. What only touches does not overlap.

use chrono::{DateTime, Utc};
use vacancy_slots::{Appointment, Buffers, Interval};

use crate::booking::Booking;

/// A time that an appointment blocks, in a session: those of one session do not exclude each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) session: String,
    /// How many of the appointment's intervals are in it.
    pub(crate) intervals: usize,
}

/// What the booking blocks, of each of its resources alike. They do not touch each other: intervals whose
/// blocked times meet are one claim, so that an appointment is not in its own way.
pub(crate) fn claims(booking: &Booking) -> Vec<Claim> {
    let appointment = &booking.appointment;
    let event_type = appointment.event_type.as_ref();
    let event_type = event_type.filter(|_| booking.capacity.get() > 1);
    let mut claims: Vec<Claim> = Vec::new();
    for (interval, from, to) in blocked(appointment) {
        let joins = claims.last().is_some_and(|last| from <= last.to);
        if !joins {
            let session = match event_type {
                // With its length, so that no event type and time read like another.
                Some(event_type) => format!("seats {}:{event_type}", event_type.as_str().len()),
                None => format!("one {} {}", from.timestamp_micros(), appointment.id),
            };
            claims.push(Claim {
                from,
                to,
                session,
                intervals: 0,
            });
        }
        let Some(last) = claims.last_mut() else {
            continue;
        };
        last.to = last.to.max(to);
        last.intervals += 1;
        if event_type.is_some() {
            let (start, end) = (interval.start(), interval.end());
            let (start, end) = (start.timestamp_micros(), end.timestamp_micros());
            last.session += &format!(" {start}-{end}");
        }
    }
    claims
}

/// How many seats it takes of each session.
pub(crate) fn seats(booking: &Booking) -> u32 {
    match booking.capacity.get() {
        1 => 1,
        _ => booking.appointment.seats.get(),
    }
}

fn blocked(
    appointment: &Appointment,
) -> impl Iterator<Item = (Interval, DateTime<Utc>, DateTime<Utc>)> {
    let buffers = appointment.buffers.unwrap_or(Buffers::NONE);
    appointment.intervals().iter().map(move |interval| {
        let blocked = interval.widened(buffers.before(), buffers.after());
        (*interval, blocked.start(), blocked.end())
    })
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

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
    fn intervals_that_do_not_meet_are_sessions_that_others_can_join() {
        let ten = NonZeroU32::new(10).unwrap();
        let of_series = claims(&Booking::new(series()).capacity(ten));
        assert_eq!(bounds(&of_series), [(50, 130), (190, 220)]);
        let mut other = series().moved_to(minutes(200, 210));
        other.id = 2.into();
        let of_other = claims(&Booking::new(other).capacity(ten));
        assert_eq!(of_other[0], of_series[1]);
        let same = claims(&Booking::new(series()).capacity(ten));
        assert_eq!(same, of_series);
        let of_part = series().moved_to(minutes(60, 90));
        let of_part = claims(&Booking::new(of_part).capacity(ten));
        assert_ne!(of_part[0].session, of_series[0].session);
    }
}
