//! [`Delivery`]: one webhook about a booking, on its way to what it comes to.

use std::{num::NonZeroU32, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Interval,
    Revision, TenantId,
};

use crate::{
    defect::Defect,
    directory::{CalcomDirectory, Listing},
    life::{Seat, Stage, revision},
    memory::{Age, Claim, Entry, Fact, Memory, Move, Recollection},
    place::{Place, Resolution, Unresolved, all_time, at_listing, resolve},
    received::{BookingChange, Ignored, Received, Verdict, Widening},
    trigger::Trigger,
    webhook::Booking,
};

/// One webhook about a booking.
pub(crate) struct Delivery<'a> {
    pub(crate) directory: &'a dyn CalcomDirectory,
    pub(crate) memory: &'a Memory,
    pub(crate) trigger: Trigger,
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// Whether the sender is one that names the seat wherever there is one.
    pub(crate) names_seats: bool,
    pub(crate) booking: &'a Booking,
}

/// A delivery whose tenant is known.
struct Resolved<'a> {
    delivery: &'a Delivery<'a>,
    place: Place,
    interval: Result<Interval, Defect>,
    /// What is remembered of the booking.
    known: Option<Recollection>,
    /// What is remembered of the booking that it replaces; of itself where it kept its `uid`.
    known_before: Option<Recollection>,
}

impl Delivery<'_> {
    pub(crate) fn received(&self) -> Received {
        // The directory is asked without a lock.
        let known = self.recall(self.booking.uid.as_deref());
        let of_known = |tenants: &dyn Fn(&TenantId) -> bool| {
            let mut known = known.iter().filter(|one| tenants(&one.tenant));
            let first = known.next()?;
            let none_else = known.next().is_none();
            let (_, appointment) = first.appointments.last()?;
            none_else.then(|| Place::remembered(appointment))
        };
        match resolve(self.directory, self.booking) {
            Resolution::Resolved(place) => self.resolved(place, &known),
            Resolution::Unresolved(why, candidates) => {
                // The same uid was resolved before.
                let among = |tenant: &TenantId| candidates.iter().any(|one| one.tenant == *tenant);
                let place = match why {
                    Unresolved::SeveralTenants => of_known(&among),
                    _ => None,
                };
                match place {
                    Some(place) => self.resolved(place, &known),
                    None => self.unresolved(why, &candidates),
                }
            }
            Resolution::Nobody => match of_known(&|_| true) {
                Some(place) => self.resolved(place, &known),
                None if known.is_empty() => self.verdict(Verdict::Ignored(Ignored::NobodyKnown)),
                None => self.unresolved(Unresolved::SeveralTenants, &listings(&known)),
            },
        }
    }

    fn recall(&self, uid: Option<&str>) -> Vec<Recollection> {
        uid.map(|uid| self.memory.recall(uid)).unwrap_or_default()
    }

    fn verdict(&self, verdict: Verdict) -> Received {
        Received::new(self.trigger.clone(), verdict)
    }

    /// Whether it may be about a booking that was elsewhere before.
    fn moves(&self) -> bool {
        let booking = self.booking;
        let names_old = booking.old_uid.is_some() || booking.old_times.is_some();
        self.trigger == Trigger::BookingRescheduled
            || (self.trigger == Trigger::BookingRequested && names_old)
    }

    /// Whether the booking that it is about was elsewhere under the same `uid`, if it was.
    fn keeps_uid(&self) -> bool {
        let booking = self.booking;
        booking.old_uid.is_none() || booking.old_uid == booking.uid
    }

    fn unresolved(&self, why: Unresolved, candidates: &[Listing]) -> Received {
        let booking = self.booking;
        let mut reach = vec![booking.times.unwrap_or_else(|_| all_time())];
        if self.moves() {
            reach.push(booking.old_times.unwrap_or_else(all_time));
        }
        if self.trigger == Trigger::BookingCancelled && booking.recurring {
            reach.push(all_time());
        }
        let mut received = self.verdict(Verdict::Unresolved(why));
        for listing in candidates {
            for interval in &reach {
                received.invalidate(at_listing(listing, *interval));
            }
        }
        received
    }

    fn resolved(&self, mut place: Place, known: &[Recollection]) -> Received {
        let booking = self.booking;
        let of_tenant =
            |known: &[Recollection]| known.iter().find(|one| one.tenant == place.tenant).cloned();
        let known_before = match self.keeps_uid() {
            true => of_tenant(known),
            false => of_tenant(&self.recall(booking.old_uid.as_deref())),
        };
        let known = of_tenant(known);
        if let Some(appointment) = known.as_ref().and_then(|known| known.seat(&self.seat())) {
            place.complete(appointment);
        }
        let interval = self.interval(&place, known.as_ref());
        Resolved {
            delivery: self,
            place,
            interval,
            known,
            known_before,
        }
        .received()
    }

    /// When the booking is, from whatever tells.
    fn interval(&self, place: &Place, known: Option<&Recollection>) -> Result<Interval, Defect> {
        let missing = match self.booking.times {
            Err(Defect::MissingTimes) => Defect::MissingTimes,
            told => return told,
        };
        let length = place
            .length
            .and_then(|length| TimeDelta::from_std(length).ok());
        if let (Some(start), Some(length)) = (self.booking.start, length) {
            let end = start.checked_add_signed(length).ok_or(Defect::OutOfRange)?;
            return Defect::check(start, end);
        }
        match self.trigger {
            Trigger::BookingCreated | Trigger::BookingRescheduled => Err(missing),
            _ => known
                .and_then(|known| known.seat(&self.seat()))
                .and_then(|appointment| appointment.intervals().first().copied())
                .ok_or(missing),
        }
    }

    /// The seat that it names, or that its attendees stand for.
    fn seat(&self) -> Seat {
        let booking = self.booking;
        match &booking.seat {
            Some(seat) => Seat::Numbered(seat.clone()),
            None if booking.seated && self.trigger != Trigger::BookingRescheduled => {
                Seat::TakenBy(booking.attendees_digest())
            }
            None => Seat::Whole,
        }
    }
}

impl Resolved<'_> {
    fn received(&self) -> Received {
        let booking = self.delivery.booking;
        let mut received = self.delivery.verdict(Verdict::Touched);
        self.invalidate(&mut received);
        let books = match self.delivery.trigger {
            Trigger::BookingCreated => Self::created,
            Trigger::BookingRescheduled => Self::rescheduled,
            Trigger::BookingCancelled | Trigger::BookingRejected => Self::cancelled,
            _ => Self::touched,
        };
        let noted = match (self.interval, &booking.uid) {
            (Err(defect), _) => Err(defect),
            (Ok(interval), uid) => books(self, uid.as_deref(), interval),
        };
        match noted {
            Err(defect) => received.verdict = Verdict::Defective(defect),
            Ok(None) => {}
            Ok(Some((verdict, events, claim))) => {
                received.verdict = verdict;
                received.claim = (verdict == Verdict::Fresh).then_some(claim);
                received.events = events;
            }
        }
        received
    }

    /// Everything that the delivery may affect, whatever else becomes of it.
    fn invalidate(&self, received: &mut Received) {
        let (delivery, booking) = (self.delivery, self.delivery.booking);
        let revision = Revision::changed_at(DateTime::UNIX_EPOCH);
        let at = |place: &Place, interval| place.appointment(0.into(), interval, revision);
        received.invalidate(at(
            &self.place,
            self.interval.unwrap_or_else(|_| all_time()),
        ));
        for appointment in self.known.iter().flat_map(Recollection::states) {
            received.invalidate(appointment.clone());
        }
        if delivery.moves() {
            for appointment in self.known_before.iter().flat_map(Recollection::states) {
                received.invalidate(appointment.clone());
            }
            match booking.old_times {
                Some(old) => received.invalidate(at(&self.place_before(), old)),
                None if self.knows_before() => {}
                None => {
                    received.invalidate(at(&self.place.of_anybody(), all_time()));
                    received.widened.push(Widening::OldTimesUnknown);
                }
            }
        }
        let series = booking.recurring || self.known.as_ref().is_some_and(|known| known.series);
        if series && delivery.trigger == Trigger::BookingCancelled {
            received.invalidate(at(&self.place, all_time()));
            received.widened.push(Widening::Series);
        }
        if self.place.event_type.is_none() {
            received.widened.push(Widening::MissingEventType);
        }
    }

    /// Whether it is remembered when the booking was before it was moved. What is remembered may be this very
    /// move.
    fn knows_before(&self) -> bool {
        let mut states = self.known_before.iter().flat_map(Recollection::states);
        states.any(|state| self.interval.is_ok_and(|now| state.intervals() != [now]))
    }

    fn place_before(&self) -> Place {
        let known = self.known_before.as_ref();
        match known.and_then(|known| known.seat(&self.delivery.seat())) {
            Some(appointment) => Place::remembered(appointment),
            None => self.place.of_anybody(),
        }
    }

    fn touched(&self, _: Option<&str>, _: Interval) -> Noted {
        Ok(None)
    }

    fn created(&self, uid: Option<&str>, interval: Interval) -> Noted {
        let entry = self.entry(uid, self.delivery.seat(), interval, Stage::Made)?;
        let series = self.delivery.booking.recurring;
        let (age, claim) = self.delivery.memory.book(&entry, series);
        let booked = AppointmentBooked::new(entry.appointment);
        let events = match age {
            Age::Fresh => vec![BookingChange::Booked(booked)],
            Age::Duplicate | Age::Superseded => Vec::new(),
        };
        Ok(Some((verdict(age), events, claim)))
    }

    fn cancelled(&self, uid: Option<&str>, interval: Interval) -> Noted {
        let (delivery, booking) = (self.delivery, self.delivery.booking);
        let seat = match delivery.seat() {
            Seat::Whole => Seat::TakenBy(booking.attendees_digest()),
            seat => seat,
        };
        let entry = self.entry(uid, seat, interval, Stage::Ended)?;
        let whole = self.entry(uid, Seat::Whole, interval, Stage::Ended)?;
        let names_seats = delivery.names_seats;
        let (ending, claim) = delivery
            .memory
            .cancel(&entry, &whole, booking.seated, names_seats);
        let cancelled = ending.ended.into_iter().map(|appointment| {
            let cancelled = AppointmentCancelled::new(appointment);
            BookingChange::Cancelled(match &booking.reason {
                Some(reason) => cancelled.reason(reason),
                None => cancelled,
            })
        });
        Ok(Some((verdict(ending.age), cancelled.collect(), claim)))
    }

    fn rescheduled(&self, uid: Option<&str>, interval: Interval) -> Noted {
        let (delivery, booking) = (self.delivery, self.delivery.booking);
        let to = self.entry(uid, delivery.seat(), interval, Stage::Moved)?;
        let mut from = match delivery.keeps_uid() {
            true => to.clone(),
            false => {
                let old = booking.old_uid.as_deref();
                let mut left = self.entry(old, to.seat.clone(), interval, Stage::Ended)?;
                left.fact.trigger = "left";
                left.fact.status = None;
                left
            }
        };
        let mut before = self.before(&from.seat, interval);
        before.id = from.appointment.id;
        if !delivery.keeps_uid() {
            before.revision = from.appointment.revision;
        }
        from.appointment = before;
        let (moved, claim) = delivery.memory.reschedule(&from, &to);
        let (after, before) = (to.appointment, from.appointment);
        Ok(Some(match moved {
            Move::Fresh => {
                let rescheduled = AppointmentRescheduled::new(before, after);
                (
                    Verdict::Fresh,
                    vec![BookingChange::Rescheduled(rescheduled)],
                    claim,
                )
            }
            Move::OnlyLeft(now) => {
                let left = match now {
                    Some(now) => {
                        BookingChange::Rescheduled(AppointmentRescheduled::new(before, now))
                    }
                    None => BookingChange::Cancelled(AppointmentCancelled::new(before)),
                };
                (Verdict::Fresh, vec![left], claim)
            }
            Move::Duplicate => (Verdict::Duplicate, Vec::new(), claim),
            Move::Superseded => (Verdict::Superseded, Vec::new(), claim),
        }))
    }

    /// The appointment as it was before it was moved; at the new time where the old one is not known.
    fn before(&self, seat: &Seat, now: Interval) -> Appointment {
        let known = self
            .known_before
            .as_ref()
            .and_then(|known| known.seat(seat));
        let (old, booking) = (
            revision(seat, Stage::Made, None, None),
            self.delivery.booking,
        );
        match (known, booking.old_times) {
            (Some(known), Some(old)) => known.clone().moved_to(old),
            (Some(known), None) => known.clone(),
            (None, told) => self
                .place_before()
                .appointment(0.into(), told.unwrap_or(now), old),
        }
    }

    fn entry(
        &self,
        uid: Option<&str>,
        seat: Seat,
        interval: Interval,
        stage: Stage,
    ) -> Result<Entry, Defect> {
        let (delivery, booking) = (self.delivery, self.delivery.booking);
        let uid = uid.ok_or(Defect::MissingUid)?;
        let id = seat.appointment(uid).map_err(|_| Defect::MissingUid)?;
        let revision = revision(&seat, stage, booking.sequence, delivery.created_at);
        let attendees = u32::try_from(booking.attendees.len())
            .ok()
            .and_then(NonZeroU32::new);
        let seats = match seat {
            Seat::Whole if booking.seated => attendees.unwrap_or(NonZeroU32::MIN),
            _ => NonZeroU32::MIN,
        };
        Ok(Entry {
            uid: Arc::from(uid),
            seat,
            fact: Fact {
                trigger: delivery.trigger.label(),
                start: interval.start(),
                end: interval.end(),
                status: booking.status.clone(),
            },
            appointment: self.place.appointment(id, interval, revision).seats(seats),
        })
    }
}

/// Nothing for what is noted nowhere, or why it cannot be an event.
type Noted = Result<Option<(Verdict, Vec<BookingChange>, Claim)>, Defect>;

const fn verdict(age: Age) -> Verdict {
    match age {
        Age::Fresh => Verdict::Fresh,
        Age::Duplicate => Verdict::Duplicate,
        Age::Superseded => Verdict::Superseded,
    }
}

/// Everything that is remembered, as if a directory had told it.
fn listings(known: &[Recollection]) -> Vec<Listing> {
    let listing = |appointment: &Appointment| {
        let mut listing = Listing::new(appointment.tenant.clone());
        listing.branch.clone_from(&appointment.branch);
        listing.event_type.clone_from(&appointment.event_type);
        listing.resources.clone_from(&appointment.resources);
        listing.buffers = appointment.buffers;
        listing
    };
    known
        .iter()
        .flat_map(Recollection::states)
        .map(listing)
        .collect()
}
