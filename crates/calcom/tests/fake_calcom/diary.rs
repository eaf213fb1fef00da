//! What is bookable, what is booked, and the slots that follow.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use tokio::time::Instant;
use vacancy_slots::{Interval, LocalDay};

/// An event type. Lengths in minutes, times of day in minutes since the local midnight.
#[derive(Clone, Debug)]
pub(crate) struct Bookable {
    pub(crate) slug: Option<(&'static str, &'static str)>,
    pub(crate) length: i64,
    pub(crate) every: i64,
    pub(crate) opens: i64,
    /// More than a day's minutes where it closes after midnight.
    pub(crate) closes: i64,
    pub(crate) zone: Tz,
    pub(crate) buffer: i64,
    pub(crate) seats: Option<u32>,
    /// Whether a request may choose the length.
    pub(crate) any_length: bool,
}

impl Bookable {
    /// Slots of this length, one after the other from 9 to 18 o'clock UTC.
    pub(crate) fn new(length: i64) -> Self {
        Self {
            slug: None,
            length,
            every: length,
            opens: 9 * 60,
            closes: 18 * 60,
            zone: Tz::UTC,
            buffer: 0,
            seats: None,
            any_length: false,
        }
    }

    pub(crate) fn hours(mut self, opens: i64, closes: i64) -> Self {
        (self.opens, self.closes) = (opens, closes);
        self
    }

    pub(crate) fn zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// Minutes that stay free around each booking.
    pub(crate) fn buffer(mut self, minutes: i64) -> Self {
        self.buffer = minutes;
        self
    }

    pub(crate) fn seats(mut self, seats: u32) -> Self {
        self.seats = Some(seats);
        self
    }

    pub(crate) fn any_length(mut self) -> Self {
        self.any_length = true;
        self
    }

    /// Found by the name of a user or a team, and a slug of his.
    pub(crate) fn slug(mut self, owner: &'static str, slug: &'static str) -> Self {
        self.slug = Some((owner, slug));
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Free {
    pub(crate) interval: Interval,
    /// Booked and total, where there are seats.
    pub(crate) seats: Option<(u32, u32)>,
}

/// All bookings and reservations.
#[derive(Default)]
pub(crate) struct Diary {
    pub(crate) event_types: BTreeMap<u64, Bookable>,
    booked: BTreeMap<u64, (u64, Interval)>,
    reserved: Vec<(u64, Interval, Instant)>,
}

impl Diary {
    pub(crate) fn book(&mut self, id: u64, event_type: u64, interval: Interval) {
        self.booked.insert(id, (event_type, interval));
    }

    pub(crate) fn cancel(&mut self, id: u64) {
        self.booked.remove(&id);
    }

    pub(crate) fn reserve(&mut self, event_type: u64, interval: Interval, until: Instant) {
        self.reserved.push((event_type, interval, until));
    }

    /// The slots that end in the window, from the bookings that are found in it.
    pub(crate) fn free(&self, event_type: u64, window: Interval, length: Option<i64>) -> Vec<Free> {
        let bookable = &self.event_types[&event_type];
        let length = length
            .filter(|_| bookable.any_length)
            .unwrap_or(bookable.length);
        let (length, every) = (
            TimeDelta::minutes(length),
            TimeDelta::minutes(bookable.every),
        );
        let buffer = TimeDelta::minutes(bookable.buffer);
        let now = Instant::now();
        let bookings = self.booked.values().map(|(of, interval)| (of, interval));
        let reserved = self.reserved.iter().filter(|(.., until)| *until > now);
        let reserved = reserved.map(|(of, interval, _)| (of, interval));
        let busy: Vec<Interval> = bookings
            .chain(reserved)
            .filter(|(of, interval)| **of == event_type && interval.overlaps(&window))
            .map(|(_, interval)| *interval)
            .collect();
        let mut free = Vec::new();
        for hours in hours(bookable, window) {
            let mut start = hours.start();
            while start + length <= hours.end() {
                let interval = Interval::new(start, start + length).expect("a length");
                let near = Interval::new(start - buffer, interval.end() + buffer);
                let near = near.expect("as long or longer");
                let taken = busy.iter().filter(|busy| busy.overlaps(&near)).count();
                let taken = u32::try_from(taken).expect("few bookings");
                if taken < bookable.seats.unwrap_or(1) {
                    free.push(Free {
                        interval,
                        seats: bookable.seats.map(|total| (taken, total)),
                    });
                }
                start += every;
            }
        }
        free
    }
}

/// The opening hours, as far as they lie in the window: a window that cuts into them moves the starts.
fn hours(bookable: &Bookable, window: Interval) -> Vec<Interval> {
    let day_before = |date: NaiveDate| date.pred_opt().expect("no first day");
    let first = day_before(window.start().with_timezone(&bookable.zone).date_naive());
    let last = window.end().with_timezone(&bookable.zone).date_naive();
    let clipped = |date: &NaiveDate| {
        let midnight: DateTime<Utc> = LocalDay::new(*date, bookable.zone).start();
        let opens = midnight + TimeDelta::minutes(bookable.opens);
        let closes = midnight + TimeDelta::minutes(bookable.closes);
        Interval::new(opens.max(window.start()), closes.min(window.end())).ok()
    };
    first
        .iter_days()
        .take_while(|date| *date <= last)
        .filter_map(|date| clipped(&date))
        .collect()
}
