//! [`Memory`]: what was received of the latest bookings.
//!
//! # Invariants
//!
//! 1. Whether a delivery is new is decided and noted under one lock, so that of two copies that arrive at the
//!    same time one is new.
//! 2. A note is pending until its events were dispatched. A claim that is dropped before opens it again.
//! 3. Of each booking and seat the newest state counts, whatever the order of arrival; an ended one stays so.
//! 4. Never more than `capacity` bookings, nor [`MAX_SEATS`] seats of one.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use metrics::counter;
use tokio::time::Instant;
use vacancy_slots::{Appointment, TenantId};

use crate::life::Seat;

/// The most seats that are remembered of one booking. Beyond it, the first by name is forgotten.
const MAX_SEATS: usize = 256;

/// The latest bookings, by `uid`, and what was noted of each. `clone` shares it.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    capacity: NonZeroUsize,
    keep: Duration,
}

#[derive(Default)]
struct State {
    by_uid: HashMap<Arc<str>, Remembered>,
    /// From the one that was heard of the longest ago.
    order: BTreeMap<u64, Arc<str>>,
    last_number: u64,
}

struct Remembered {
    place: u64,
    heard: Instant,
    /// One a tenant. Nearly always one.
    bookings: Vec<Booking>,
}

struct Booking {
    tenant: TenantId,
    /// By seat, the newest state.
    newest: BTreeMap<Seat, Newest>,
    /// Whether it is one of a recurring series.
    series: bool,
    /// Whether all of it has ended, so that no seat of it can be taken.
    ended: bool,
    /// Whether a cancellation came that names no seat where others do.
    unnamed_cancellation: bool,
}

struct Newest {
    fact: Fact,
    appointment: Appointment,
    ended: bool,
    noted: Noted,
}

/// What makes two deliveries copies of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) trigger: &'static str,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    pub(crate) status: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    /// Somebody is about to dispatch it.
    Pending(u64),
    Done,
    /// Whoever was to dispatch it did not.
    Open,
}

/// What a delivery is, compared to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Fresh,
    /// A copy of the newest.
    Duplicate,
    /// Older than the newest.
    Superseded,
}

/// One delivery's state of one booking or seat.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) uid: Arc<str>,
    pub(crate) seat: Seat,
    pub(crate) fact: Fact,
    pub(crate) appointment: Appointment,
}

/// What is remembered of a booking of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Recollection {
    pub(crate) tenant: TenantId,
    /// By seat, the newest state, ended or not. Never empty.
    pub(crate) appointments: Vec<(Seat, Appointment)>,
    pub(crate) series: bool,
}

impl Recollection {
    /// The newest state of a seat; where it is not remembered, of the whole, or of any other seat.
    pub(crate) fn seat(&self, seat: &Seat) -> Option<&Appointment> {
        let of = |seat: &Seat| self.appointments.iter().find(|(other, _)| other == seat);
        let found = of(seat)
            .or_else(|| of(&Seat::Whole))
            .or(self.appointments.last());
        found.map(|(_, appointment)| appointment)
    }

    /// The newest state of the whole and of each seat.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Appointment> {
        self.appointments.iter().map(|(_, appointment)| appointment)
    }
}

/// What a cancellation turned out to be about.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) age: Age,
    /// The appointments that it ends; the first is the one that the delivery names.
    pub(crate) ended: Vec<Appointment>,
}

/// What a move turned out to be.
#[derive(Debug)]
pub(crate) enum Move {
    /// Both are as the delivery says.
    Fresh,
    Duplicate,
    /// Where it went to is known already; where it was has to be freed all the same. With its newest state,
    /// unless it is over by now.
    OnlyLeft(Option<Appointment>),
    Superseded,
}

/// The right and the duty to dispatch what was noted as new. Dropped, it lets another delivery do so.
pub(crate) struct Claim {
    memory: Memory,
    number: u64,
    places: Vec<(Arc<str>, TenantId)>,
    kept: bool,
}

impl Memory {
    pub(crate) fn new(capacity: NonZeroUsize, keep: Duration) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            capacity,
            keep,
        }))
    }

    /// What is remembered of `uid`, one recollection a tenant.
    pub(crate) fn recall(&self, uid: &str) -> Vec<Recollection> {
        let mut state = self.lock();
        self.forget_old(&mut state);
        let bookings = state.by_uid.get(uid).map_or(&[][..], |one| &one.bookings);
        let recall = |booking: &Booking| Recollection {
            tenant: booking.tenant.clone(),
            series: booking.series,
            appointments: booking
                .newest
                .iter()
                .map(|(seat, newest)| (seat.clone(), newest.appointment.clone()))
                .collect(),
        };
        bookings
            .iter()
            .filter(|booking| !booking.newest.is_empty())
            .map(recall)
            .collect()
    }

    /// Notes that a booking, or a seat of one, was made.
    pub(crate) fn book(&self, entry: &Entry, series: bool) -> (Age, Claim) {
        self.change(|state, number| {
            let booking = state.booking(&entry.uid, &entry.appointment.tenant);
            booking.series |= series;
            let age = match booking.closed_to(&entry.seat) {
                true => Age::Superseded,
                false => booking.put(entry, false, number),
            };
            (age, vec![entry])
        })
    }

    /// Notes that a booking, or a seat of one, is off.
    ///
    /// `entry` is for the seat that is named, or else for the one that the attendees stand for. Where no seat is
    /// named, and either seats are not known here or the sender is known to name them (`names_seats`, or because
    /// it has), the whole booking is off. Where that is not known, it is the seat of the attendees.
    pub(crate) fn cancel(
        &self,
        entry: &Entry,
        whole: &Entry,
        seated: bool,
        names_seats: bool,
    ) -> (Ending, Claim) {
        self.change(|state, number| {
            let booking = state.booking(&entry.uid, &entry.appointment.tenant);
            if let Seat::Numbered(_) = entry.seat {
                return (booking.end(entry, number), vec![entry]);
            }
            let has_seats = booking.newest.keys().any(|seat| *seat != Seat::Whole);
            let names_seats = names_seats
                || booking
                    .newest
                    .keys()
                    .any(|seat| matches!(seat, Seat::Numbered(_)));
            if (seated || has_seats) && !names_seats {
                booking.unnamed_cancellation = true;
                return (booking.end(entry, number), vec![entry]);
            }
            let mut ending = booking.end(whole, number);
            booking.ended = true;
            if ending.age == Age::Fresh {
                let revision = whole.appointment.revision;
                let open =
                    |newest: &Newest| newest.noted == Noted::Open && newest.fact == whole.fact;
                let not_told = |newest: &&mut Newest| !newest.ended || open(newest);
                for newest in booking.newest.values_mut().filter(not_told) {
                    newest.ended = true;
                    newest.fact = whole.fact.clone();
                    newest.noted = Noted::Pending(number);
                    ending
                        .ended
                        .push(newest.appointment.clone().revision(revision));
                }
            }
            (ending, vec![whole])
        })
    }

    /// Notes that a booking, or a seat of one, was moved. `from` and `to` are the same where it kept its `uid`.
    pub(crate) fn reschedule(&self, from: &Entry, to: &Entry) -> (Move, Claim) {
        self.change(|state, number| {
            let tenant = &to.appointment.tenant;
            let booking = state.booking(&to.uid, tenant);
            let age = match booking.closed_to(&to.seat) {
                true => Age::Superseded,
                false => booking.put(to, false, number),
            };
            let same = from.uid == to.uid && from.seat == to.seat;
            let elsewhere = from.uid != to.uid;
            let mut leave = || {
                let old = state.booking(&from.uid, tenant);
                let age = old.end(from, number).age;
                old.ended |= elsewhere && from.seat == Seat::Whole;
                age
            };
            let moved = match (age, same) {
                (Age::Duplicate, true) => Move::Duplicate,
                (Age::Superseded, true) => Move::Superseded,
                (Age::Fresh, true) => Move::Fresh,
                (Age::Fresh, false) => {
                    leave();
                    Move::Fresh
                }
                // Another move may have brought it to the same time, or further: nobody was told of this one.
                (Age::Duplicate | Age::Superseded, false) => match (leave(), age) {
                    (Age::Fresh, _) => {
                        let newest = state.booking(&to.uid, tenant).newest.get(&to.seat);
                        let newest = newest.filter(|newest| !newest.ended);
                        Move::OnlyLeft(newest.map(|newest| newest.appointment.clone()))
                    }
                    (Age::Duplicate, _) | (_, Age::Duplicate) => Move::Duplicate,
                    _ => Move::Superseded,
                },
            };
            (moved, vec![from, to])
        })
    }

    /// Runs `note` under the lock, with a number of its own.
    fn change<'a, T>(
        &self,
        note: impl FnOnce(&mut State, u64) -> (T, Vec<&'a Entry>),
    ) -> (T, Claim) {
        let mut state = self.lock();
        state.last_number += 1;
        let number = state.last_number;
        let (noted, entries) = note(&mut state, number);
        let places: Vec<_> = entries
            .into_iter()
            .map(|entry| (Arc::clone(&entry.uid), entry.appointment.tenant.clone()))
            .collect();
        for (uid, _) in &places {
            state.touch(uid);
        }
        self.forget_old(&mut state);
        drop(state);
        let claim = Claim {
            memory: self.clone(),
            number,
            places,
            kept: false,
        };
        (noted, claim)
    }

    fn forget_old(&self, state: &mut State) {
        let now = Instant::now();
        while let Some((_, uid)) = state.order.first_key_value() {
            let crowded = state.by_uid.len() > self.0.capacity.get();
            let old = state
                .by_uid
                .get(uid)
                .is_none_or(|one| now.duration_since(one.heard) >= self.0.keep);
            if !crowded && !old {
                return;
            }
            if crowded && !old {
                counter!("calcom_webhooks_memory_crowded_out_total").increment(1);
            }
            if let Some((_, uid)) = state.order.pop_first() {
                state.by_uid.remove(&uid);
            }
        }
    }

    // A poisoned lock is entered all the same: no code that can panic runs halfway through a write.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn booking(&mut self, uid: &Arc<str>, tenant: &TenantId) -> &mut Booking {
        let remembered = self
            .by_uid
            .entry(Arc::clone(uid))
            .or_insert_with(|| Remembered {
                place: 0,
                heard: Instant::now(),
                bookings: Vec::new(),
            });
        let bookings = &mut remembered.bookings;
        let at = bookings
            .iter()
            .position(|booking| booking.tenant == *tenant);
        let at = at.unwrap_or_else(|| {
            bookings.push(Booking {
                tenant: tenant.clone(),
                newest: BTreeMap::new(),
                series: false,
                ended: false,
                unnamed_cancellation: false,
            });
            bookings.len() - 1
        });
        &mut bookings[at]
    }

    fn touch(&mut self, uid: &Arc<str>) {
        self.last_number += 1;
        let place = self.last_number;
        if let Some(remembered) = self.by_uid.get_mut(uid) {
            self.order.remove(&remembered.place);
            remembered.place = place;
            remembered.heard = Instant::now();
            self.order.insert(place, Arc::clone(uid));
        }
    }

    fn settle(&mut self, claim: &Claim, settled: Noted) {
        for (uid, tenant) in &claim.places {
            let bookings = self.by_uid.get_mut(uid).map(|one| &mut one.bookings);
            for booking in bookings.into_iter().flatten() {
                if booking.tenant != *tenant {
                    continue;
                }
                for newest in booking.newest.values_mut() {
                    if newest.noted == Noted::Pending(claim.number) {
                        newest.noted = settled;
                    }
                }
            }
        }
    }
}

impl Booking {
    /// Whether nobody can take the seat any more.
    fn closed_to(&self, seat: &Seat) -> bool {
        self.ended && *seat != Seat::Whole
            || self.unnamed_cancellation && matches!(seat, Seat::Numbered(_))
    }

    fn put(&mut self, entry: &Entry, ended: bool, number: u64) -> Age {
        let noted = Noted::Pending(number);
        if let Some(newest) = self.newest.get_mut(&entry.seat) {
            if newest.fact == entry.fact {
                let revision = newest.appointment.revision.max(entry.appointment.revision);
                newest.appointment.revision = revision;
                return match newest.noted {
                    Noted::Open => {
                        newest.noted = noted;
                        Age::Fresh
                    }
                    Noted::Pending(_) | Noted::Done => Age::Duplicate,
                };
            }
            let (said, known) = (entry.appointment.revision, newest.appointment.revision);
            let older = match entry.seat {
                // Who gave a seat back may take one again, and nothing but the time tells the two apart.
                Seat::TakenBy(_) => said < known || (newest.ended && said == known),
                Seat::Whole | Seat::Numbered(_) => newest.ended || said < known,
            };
            if older {
                return Age::Superseded;
            }
        }
        let newest = Newest {
            fact: entry.fact.clone(),
            appointment: entry.appointment.clone(),
            ended,
            noted,
        };
        self.newest.insert(entry.seat.clone(), newest);
        if self.newest.len() > MAX_SEATS {
            self.newest.pop_first();
        }
        Age::Fresh
    }

    fn end(&mut self, entry: &Entry, number: u64) -> Ending {
        let age = self.put(entry, true, number);
        Ending {
            age,
            ended: match age {
                Age::Fresh => vec![entry.appointment.clone()],
                Age::Duplicate | Age::Superseded => Vec::new(),
            },
        }
    }
}

impl Claim {
    /// The events were dispatched: no copy of the delivery is new any more.
    pub(crate) fn keep(mut self) {
        self.kept = true;
        self.memory.lock().settle(&self, Noted::Done);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.memory.lock().settle(self, Noted::Open);
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
