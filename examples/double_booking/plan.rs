//! What the callers of a day do, decided before it begins.

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use vacancy::slots::{Appointment, Interval, LocalDay, SlotsQuery};

use super::directory::EventType;
use super::opening_hours::instant_of;
use super::recording::{Recording, What};

/// What happens when, in order. The same for every contender.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<(DateTime<Utc>, Step)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Somebody looks, and leaves it at that.
    Look(SlotsQuery),
    /// Somebody looks for a slot, thinks, and confirms it when the change of this number was recorded.
    Pick { query: SlotsQuery, change: usize },
    /// The calendar is changed by somebody who sees it.
    Change(usize),
}

/// What a caller asks for.
#[derive(Clone, Copy)]
enum Window {
    Hour,
    OfficeHours,
    Day,
    Week,
}

impl Plan {
    /// Plans `reads` reads, those before a pick included, with the habits of the recorded callers:
    /// most look when most was booked, and for what was booked most.
    pub(crate) fn new(recording: &Recording, reads: usize, seed: u64) -> Self {
        let mut planner = Planner {
            recording,
            random: fastrand::Rng::with_seed(seed),
            picked: recording.picked().collect(),
            steps: Vec::new(),
        };
        for (index, change) in recording.changes.iter().enumerate() {
            let step = match &change.what {
                What::Picked(appointment) => planner.pick(change.at, appointment, index),
                _ => Some((change.at, Step::Change(index))),
            };
            planner.steps.extend(step);
        }
        let mut missing = reads.saturating_sub(planner.picked.len());
        while missing > 0 {
            missing -= planner.session(missing);
        }
        let mut steps = planner.steps;
        steps.sort_by_key(|(at, _)| *at);
        Self { steps }
    }
}

struct Planner<'a> {
    recording: &'a Recording,
    random: fastrand::Rng,
    picked: Vec<(DateTime<Utc>, &'a Appointment)>,
    steps: Vec<(DateTime<Utc>, Step)>,
}

impl<'a> Planner<'a> {
    /// A caller who wants a slot looks 20 to 90 seconds before they confirm it.
    fn pick(
        &mut self,
        confirmed: DateTime<Utc>,
        appointment: &Appointment,
        change: usize,
    ) -> Option<(DateTime<Utc>, Step)> {
        let event_type = self.event_type(appointment)?;
        let start = appointment.intervals()[0].start();
        let query = self.query(event_type, start)?;
        let thinks = TimeDelta::milliseconds(self.random.i64(20_000..=90_000));
        Some((confirmed - thinks, Step::Pick { query, change }))
    }

    /// A caller who looks around: one to five reads.
    fn session(&mut self, most: usize) -> usize {
        let chosen = self.random.usize(0..self.picked.len());
        let (booked, appointment) = self.picked[chosen];
        // One in eight looks while the booking is made, so that loads are under way when it lands.
        let away = match self.random.u8(0..8) {
            0 => self.random.i64(-800..=0),
            _ => self.random.i64(-900_000..=900_000),
        };
        let mut at = booked + TimeDelta::milliseconds(away);
        let mut start = appointment.intervals()[0].start();
        let Some(mut event_type) = self.event_type(appointment) else {
            return 0;
        };
        let mut reads = 0;
        for _ in 0..self.random.usize(1..=5).min(most) {
            if let Some(query) = self.query(event_type, start) {
                self.steps.push((at, Step::Look(query)));
                reads += 1;
            }
            at += TimeDelta::milliseconds(self.random.i64(200..=15_000));
            match self.random.u8(0..10) {
                0..5 => {}
                5..8 => start += TimeDelta::days(self.random.i64(-1..=1)),
                _ => {
                    let tenant = &event_type.tenant;
                    let same_tenant: Vec<_> = self
                        .recording
                        .directory
                        .event_types()
                        .filter(|other| other.tenant == *tenant)
                        .collect();
                    event_type = same_tenant[self.random.usize(0..same_tenant.len())];
                }
            }
        }
        reads
    }

    fn query(&mut self, event_type: &EventType, start: DateTime<Utc>) -> Option<SlotsQuery> {
        let window = match self.random.u8(0..100) {
            0..25 => Window::Hour,
            25..50 => Window::OfficeHours,
            50..90 => Window::Day,
            _ => Window::Week,
        };
        let zone = event_type.hours.zone();
        let window = window
            .around(start, zone)
            .filter(|window| window.contains(start))
            .or_else(|| Window::Day.around(start, zone))?;
        let query = SlotsQuery::new(event_type.tenant.clone(), event_type.id.clone(), window);
        Some(query.branch(event_type.branch.clone()).zone(zone))
    }

    fn event_type(&self, appointment: &Appointment) -> Option<&'a EventType> {
        let event_type = appointment.event_type.as_ref()?;
        self.recording
            .directory
            .event_type(&appointment.tenant, event_type)
    }
}

impl Window {
    /// The window of this kind in which `instant` lies, or beside which.
    fn around(self, instant: DateTime<Utc>, zone: Tz) -> Option<Interval> {
        let day = LocalDay::containing(instant, zone);
        let at = |hour| instant_of(zone, day.date(), NaiveTime::from_hms_opt(hour, 0, 0)?);
        match self {
            Self::Hour => {
                let local = instant.with_timezone(&zone);
                let since = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()));
                let start = instant - since - TimeDelta::nanoseconds(i64::from(local.nanosecond()));
                Interval::new(start, start + TimeDelta::hours(1)).ok()
            }
            Self::OfficeHours => Interval::new(at(9)?, at(18)?).ok(),
            Self::Day => day.interval(),
            Self::Week => {
                Interval::new(day.week_start().start(), day.next_week_start().start()).ok()
            }
        }
    }
}
