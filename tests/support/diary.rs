//! A calendar in memory that is the truth: what it says is free is free.
//!
//! Deliberately naive. It looks at every start and every booking, in seconds, and knows nothing of
//! spans, scopes or fences, so that it can convict the code that does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta};
use chrono::{TimeZone, Utc};
use chrono_tz::Tz;
use vacancy::slots::{
    Appointment, AppointmentId, BranchId, Buffers, EventTypeId, EventTypeRules, Grid, Interval,
    LimitPeriod, ResourceId, Seats, Slot, SlotSource, SlotsQuery, SlotsRequest, SourceError,
    StaticDirectory, TenantId,
};

use super::Gate;

/// Where the slots of a day start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// Every so many minutes from the opening, free or not.
    Every(u32),
    /// At the opening, and then one after the other; after a booking as soon as it lets them.
    Following,
}

/// What can be booked. All lengths in minutes, all times of day in minutes of its zone.
#[derive(Clone, Debug)]
pub(crate) struct Bookable {
    pub(crate) length: u32,
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) hosts: Vec<ResourceId>,
    pub(crate) branch: Option<BranchId>,
    pub(crate) zone: Tz,
    pub(crate) opens: u32,
    pub(crate) closes: u32,
    pub(crate) starts: Starts,
    pub(crate) limit: Option<(LimitPeriod, usize)>,
    pub(crate) seats: Option<u32>,
    /// Whether its slots say who serves them.
    pub(crate) tells_hosts: bool,
}

impl Bookable {
    /// Slots of this length, one after the other from 9 to 18 o'clock UTC.
    pub(crate) fn new(length: u32) -> Self {
        Self {
            length,
            before: 0,
            after: 0,
            hosts: Vec::new(),
            branch: None,
            zone: Tz::UTC,
            opens: 9 * 60,
            closes: 18 * 60,
            starts: Starts::Every(length),
            limit: None,
            seats: None,
            tells_hosts: true,
        }
    }

    pub(crate) fn host(mut self, host: impl Into<ResourceId>) -> Self {
        self.hosts.push(host.into());
        self
    }

    pub(crate) fn branch(mut self, branch: impl Into<BranchId>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    pub(crate) fn buffers(mut self, before: u32, after: u32) -> Self {
        (self.before, self.after) = (before, after);
        self
    }

    pub(crate) fn zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// Says from which to which minute of the day it is served.
    pub(crate) fn hours(mut self, opens: u32, closes: u32) -> Self {
        (self.opens, self.closes) = (opens, closes);
        self
    }

    pub(crate) fn starts(mut self, starts: Starts) -> Self {
        self.starts = starts;
        self
    }

    pub(crate) fn limit(mut self, period: LimitPeriod, bookings: usize) -> Self {
        self.limit = Some((period, bookings));
        self
    }

    pub(crate) fn seats(mut self, seats: u32) -> Self {
        self.seats = Some(seats);
        self
    }

    pub(crate) fn silent_about_hosts(mut self) -> Self {
        self.tells_hosts = false;
        self
    }

    pub(crate) fn own_buffers(&self) -> Buffers {
        Buffers::new(minutes(self.before), minutes(self.after))
    }

    /// All that a directory can know of it.
    pub(crate) fn rules(&self) -> EventTypeRules {
        let mut rules = EventTypeRules::new()
            .longest_slot(minutes(self.length))
            .buffers(self.own_buffers())
            .zone(self.zone);
        rules.branch = self.branch.clone();
        rules.resources = self.hosts.clone();
        rules.limit = self.limit.map(|(period, _)| period);
        rules.grid = match self.starts {
            Starts::Every(_) => Grid::Fixed,
            Starts::Following => Grid::Shifting,
        };
        rules
    }
}

pub(crate) fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

/// A handle of the calendar.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bookables: HashMap<(TenantId, EventTypeId), Bookable>,
    homes: HashMap<(TenantId, ResourceId), BTreeSet<BranchId>>,
    bookings: Vec<Appointment>,
    /// What it says is booked while it lags.
    shown: Option<Vec<Appointment>>,
    requests: Vec<SlotsRequest>,
    failing: bool,
    gate: Option<Gate>,
}

/// The diary was told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the diary is closed")]
pub(crate) struct Closed;

impl Diary {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn offer(
        &self,
        tenant: impl Into<TenantId>,
        event_type: impl Into<EventTypeId>,
        bookable: Bookable,
    ) {
        let key = (tenant.into(), event_type.into());
        self.state().bookables.insert(key, bookable);
    }

    /// Says where a host works. Without that he works wherever he is asked for.
    pub(crate) fn works_in(&self, tenant: &TenantId, host: &ResourceId, branch: &BranchId) {
        let key = (tenant.clone(), host.clone());
        let mut state = self.state();
        state.homes.entry(key).or_default().insert(branch.clone());
    }

    /// A directory that knows all of it.
    pub(crate) fn directory(&self) -> StaticDirectory {
        let mut directory = StaticDirectory::new();
        for ((tenant, event_type), bookable) in &self.state().bookables {
            directory.insert(tenant.clone(), event_type.clone(), bookable.rules());
        }
        directory
    }

    /// Books an appointment whose event type, resources and buffers are known.
    pub(crate) fn book(&self, appointment: &Appointment) {
        self.state().bookings.push(appointment.clone());
    }

    pub(crate) fn cancel(&self, tenant: &TenantId, id: &AppointmentId) {
        let mut state = self.state();
        let other = |booking: &Appointment| (&booking.tenant, &booking.id) != (tenant, id);
        state.bookings.retain(other);
    }

    pub(crate) fn move_to(&self, before: &Appointment, after: &Appointment) {
        self.cancel(&before.tenant, &before.id);
        self.book(after);
    }

    pub(crate) fn fails(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// Lets every later call wait, with the answer in its hand, before the gate that it returns.
    pub(crate) fn gated(&self) -> Gate {
        let gate = Gate::new();
        self.state().gate = Some(gate.clone());
        gate
    }

    pub(crate) fn ungated(&self) {
        self.state().gate = None;
    }

    /// From now on it says what it would say now, whatever is booked.
    pub(crate) fn lags(&self) {
        let mut state = self.state();
        state.shown = Some(state.bookings.clone());
    }

    pub(crate) fn catches_up(&self) {
        self.state().shown = None;
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.state().requests.len()
    }

    /// The calls since the first `after`.
    pub(crate) fn requests(&self, after: usize) -> Vec<SlotsRequest> {
        self.state().requests[after..].to_vec()
    }

    /// What is free, by a look at everything, for nobody's account.
    pub(crate) fn free(&self, query: &SlotsQuery) -> Vec<Slot> {
        let state = self.state();
        let mut slots = state.free(
            &state.bookings,
            &Question {
                tenant: &query.tenant,
                branch: query.branch.as_ref(),
                event_type: &query.event_type,
                resources: query.resources(),
                duration: query.duration,
                window: query.window,
            },
        );
        slots.sort_by(|one, other| {
            (one.interval, &one.resources).cmp(&(other.interval, &other.resources))
        });
        slots
    }
}

#[async_trait]
impl SlotSource for Diary {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let (answer, gate) = {
            let mut state = self.state();
            state.requests.push(request.clone());
            let answer = match (state.failing, request.window()) {
                (true, _) => Err(SourceError::new(Closed)),
                (_, None) => Ok(Vec::new()),
                (_, Some(window)) => Ok(state.free(
                    state.shown.as_ref().unwrap_or(&state.bookings),
                    &Question {
                        tenant: &request.tenant,
                        branch: request.branch.as_ref(),
                        event_type: &request.event_type,
                        resources: &request.resources,
                        duration: request.duration,
                        window,
                    },
                )),
            };
            (answer, state.gate.clone())
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        answer
    }
}

struct Question<'a> {
    tenant: &'a TenantId,
    branch: Option<&'a BranchId>,
    event_type: &'a EventTypeId,
    resources: &'a [ResourceId],
    duration: Option<Duration>,
    /// The starts that are asked for.
    window: Interval,
}

/// A booking of one host, in seconds.
struct Busy {
    start: i64,
    end: i64,
    /// With what it keeps free around itself.
    from: i64,
    to: i64,
    same_event_type: bool,
    seats: u32,
}

impl State {
    fn free(&self, bookings: &[Appointment], asked: &Question<'_>) -> Vec<Slot> {
        let key = (asked.tenant.clone(), asked.event_type.clone());
        let Some(bookable) = self.bookables.get(&key) else {
            return Vec::new();
        };
        if bookable.branch.is_some()
            && asked
                .branch
                .is_some_and(|b| Some(b) != bookable.branch.as_ref())
        {
            return Vec::new();
        }
        let length = asked
            .duration
            .map_or(i64::from(bookable.length) * 60, |duration| {
                i64::try_from(duration.as_secs()).expect("slots are short")
            });
        let full = bookable
            .limit
            .map(|(period, most)| (period, most, starts_of(bookings, asked)));
        let mut slots = Vec::new();
        let mut merged: BTreeMap<(i64, i64), Vec<ResourceId>> = BTreeMap::new();
        for host in &bookable.hosts {
            if !asked.resources.is_empty() && !asked.resources.contains(host) {
                continue;
            }
            let homes = self.homes.get(&(asked.tenant.clone(), host.clone()));
            if let (Some(branch), Some(homes)) = (asked.branch, homes)
                && !homes.contains(branch)
            {
                continue;
            }
            let busy = busy_of(host, bookings, asked);
            for start in bookable.free_starts(length, &busy, asked.window) {
                if let Some((period, most, starts)) = &full {
                    let of = |second| number_of(*period, second, bookable.zone);
                    if starts.iter().filter(|&&s| of(s) == of(start)).count() >= *most {
                        continue;
                    }
                }
                if let Some(total) = bookable.seats {
                    let taken: u32 = busy
                        .iter()
                        .filter(|b| b.shares(start, start + length))
                        .map(|b| b.seats)
                        .sum();
                    if taken < total {
                        let seats = Seats {
                            remaining: total - taken,
                            total,
                        };
                        slots.push(slot(start, start + length, vec![host.clone()]).seats(seats));
                    }
                } else {
                    merged
                        .entry((start, start + length))
                        .or_default()
                        .push(host.clone());
                }
            }
        }
        slots.extend(
            merged
                .into_iter()
                .map(|((start, end), hosts)| slot(start, end, hosts)),
        );
        for slot in &mut slots {
            if bookable.tells_hosts {
                slot.resources.sort();
            } else {
                slot.resources.clear();
            }
        }
        slots
    }
}

fn slot(start: i64, end: i64, resources: Vec<ResourceId>) -> Slot {
    let interval = Interval::new(at(start), at(end)).expect("a slot has a length");
    let mut slot = Slot::new(interval);
    slot.resources = resources;
    slot
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("the tests stay in our time")
}

fn busy_of(host: &ResourceId, bookings: &[Appointment], asked: &Question<'_>) -> Vec<Busy> {
    let own = |booking: &&Appointment| {
        booking.tenant == *asked.tenant && booking.resources.contains(host)
    };
    let mut busy = Vec::new();
    for booking in bookings.iter().filter(own) {
        let buffers = booking
            .buffers
            .expect("the diary knows the buffers of what it holds");
        let second = |d: Duration| i64::try_from(d.as_secs()).expect("buffers are short");
        for interval in booking.intervals() {
            let (start, end) = (interval.start().timestamp(), interval.end().timestamp());
            busy.push(Busy {
                start,
                end,
                from: start - second(buffers.before()),
                to: end + second(buffers.after()),
                same_event_type: booking.event_type.as_ref() == Some(asked.event_type),
                seats: booking.seats.get(),
            });
        }
    }
    busy
}

/// When the bookings of the asked event type start.
fn starts_of(bookings: &[Appointment], asked: &Question<'_>) -> Vec<i64> {
    let same = |b: &&Appointment| {
        b.tenant == *asked.tenant && b.event_type.as_ref() == Some(asked.event_type)
    };
    let intervals = bookings.iter().filter(same).flat_map(|b| b.intervals());
    intervals
        .map(|interval| interval.start().timestamp())
        .collect()
}

/// Which day, week or month it is.
fn number_of(period: LimitPeriod, second: i64, zone: Tz) -> i32 {
    let date = at(second).with_timezone(&zone).date_naive();
    match period {
        LimitPeriod::Day => date.num_days_from_ce(),
        // The first day of the year 1 was a Monday.
        LimitPeriod::Week => (date.num_days_from_ce() - 1).div_euclid(7),
        LimitPeriod::Month => date.year() * 12 + i32::try_from(date.month0()).expect("a month"),
    }
}

impl Busy {
    /// Whether it is the same seated slot.
    fn shares(&self, start: i64, end: i64) -> bool {
        self.same_event_type && (self.start, self.end) == (start, end)
    }
}

impl Bookable {
    fn free_starts(&self, length: i64, busy: &[Busy], window: Interval) -> Vec<i64> {
        let (from, to) = (window.start().timestamp(), window.end().timestamp());
        let (before, after) = (i64::from(self.before) * 60, i64::from(self.after) * 60);
        let in_the_way = |start: i64| {
            busy.iter()
                .filter(|b| self.seats.is_none() || !b.shares(start, start + length))
                .find(|b| start - before < b.to && b.from < start + length + after)
        };
        let local = |second: i64| at(second).with_timezone(&self.zone).date_naive();
        let mut date = local(from) - Days::new(1);
        let last = local(to - 1);
        let mut starts = Vec::new();
        while date <= last {
            let opening = instant(self.zone, date, self.opens);
            let closing = instant(self.zone, date, self.closes);
            let is_its_own = local(opening) == date;
            date = date.succ_opt().expect("the tests stay in our time");
            if !is_its_own {
                continue; // a date that its zone skipped
            }
            let mut start = opening;
            while start + length <= closing {
                match (self.starts, in_the_way(start)) {
                    (Starts::Every(grid), booked) => {
                        if booked.is_none() {
                            starts.push(start);
                        }
                        start += i64::from(grid) * 60;
                    }
                    (Starts::Following, None) => {
                        starts.push(start);
                        start += length;
                    }
                    (Starts::Following, Some(booked)) => start = booked.to + before,
                }
            }
        }
        // Sought only now, since on a grid that shifts what comes before decides.
        starts.retain(|start| (from..to).contains(start));
        starts
    }
}

/// The instant at which the clocks of `zone` show this minute of the date, or the first after it.
fn instant(zone: Tz, date: NaiveDate, minute: u32) -> i64 {
    let mut local = date.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minute));
    loop {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => {
                return instant.timestamp();
            }
            MappedLocalTime::None => local += TimeDelta::minutes(15),
        }
    }
}
