//! The salon: who works there, what can be booked, and when it is open.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::{Europe, Tz};
use vacancy::slots::{
    BranchId, Buffers, EventTypeId, EventTypeRules, Id, IdKind, Interval, ResourceId, SlotsQuery,
    StaticDirectory, TenantId,
};

/// Its clocks.
pub(crate) const ZONE: Tz = Europe::Berlin;

/// Every slot begins at a multiple of it.
pub(crate) const START_GRID: TimeDelta = TimeDelta::minutes(30);

const OPENS: u32 = 9;
const CLOSES: u32 = 18;

/// Who works there and what can be booked. Never changes.
#[derive(Debug)]
pub(crate) struct Salon {
    pub(crate) tenant: TenantId,
    pub(crate) branch: BranchId,
    pub(crate) hosts: Vec<Host>,
    pub(crate) event_types: Vec<EventType>,
}

/// Somebody who can be booked.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: ResourceId,
    pub(crate) name: &'static str,
    /// By which Cal.com knows them.
    pub(crate) email: &'static str,
}

/// Something that can be booked.
#[derive(Debug)]
pub(crate) struct EventType {
    pub(crate) id: EventTypeId,
    pub(crate) name: &'static str,
    /// By which Cal.com knows it.
    pub(crate) calcom_id: &'static str,
    pub(crate) length: Duration,
    /// From one start to the next.
    step: Duration,
    pub(crate) buffers: Buffers,
    pub(crate) hosts: Vec<ResourceId>,
}

impl Salon {
    pub(crate) fn new() -> Self {
        let host = |id, name, email| Host {
            id: named(id),
            name,
            email,
        };
        let event_type = |id, name, calcom_id, length, step, hosts: &[&str]| EventType {
            id: named(id),
            name,
            calcom_id,
            length: minutes(length),
            step: minutes(step),
            buffers: Buffers::NONE,
            hosts: hosts.iter().map(|id| named(id)).collect(),
        };
        let sweep = Buffers::new(Duration::ZERO, minutes(15));
        let all = ["ada", "grace", "linus"];
        Self {
            tenant: named("salon"),
            branch: named("main"),
            hosts: vec![
                host("ada", "Ada", "ada@salon.example"),
                host("grace", "Grace", "grace@salon.example"),
                host("linus", "Linus", "linus@salon.example"),
            ],
            event_types: vec![
                EventType {
                    buffers: sweep,
                    ..event_type("cut", "Cut", "101", 45, 60, &all)
                },
                event_type("colour", "Colour", "102", 120, 60, &["ada", "grace"]),
                event_type("consultation", "Consultation", "103", 30, 30, &all),
            ],
        }
    }

    pub(crate) fn host(&self, id: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.id.as_str() == id)
    }

    pub(crate) fn event_type(&self, id: &str) -> Option<&EventType> {
        let mut event_types = self.event_types.iter();
        event_types.find(|event_type| event_type.id.as_str() == id)
    }

    /// What Vacancy has to know of it.
    pub(crate) fn directory(&self) -> StaticDirectory {
        let mut directory = StaticDirectory::new();
        for event_type in &self.event_types {
            let mut rules = EventTypeRules::new()
                .branch(self.branch.clone())
                .longest_slot(event_type.length)
                .buffers(event_type.buffers)
                .zone(ZONE);
            for host in &event_type.hosts {
                rules = rules.resource(host.clone());
            }
            directory.insert(self.tenant.clone(), event_type.id.clone(), rules);
        }
        directory
    }

    /// Asks for the slots of an event type, by a host or by anybody.
    pub(crate) fn query(
        &self,
        event_type: &EventType,
        host: Option<&ResourceId>,
        window: Interval,
    ) -> SlotsQuery {
        let query = SlotsQuery::new(self.tenant.clone(), event_type.id.clone(), window)
            .branch(self.branch.clone())
            .zone(ZONE);
        match host {
            Some(host) => query.resource(host.clone()),
            None => query,
        }
    }
}

impl EventType {
    /// Whether `host` serves it.
    pub(crate) fn served_by(&self, host: &ResourceId) -> bool {
        self.hosts.contains(host)
    }

    /// Every time of a day at which it could be booked, if nothing were.
    pub(crate) fn times(&self, day: NaiveDate) -> impl Iterator<Item = Interval> {
        let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour of the day");
        let step = TimeDelta::from_std(self.step).expect("a part of a day");
        let length = TimeDelta::from_std(self.length).expect("a part of a day");
        let open = day.weekday() != Weekday::Sun;
        std::iter::successors(open.then(|| day.and_time(hour(OPENS))), move |start| {
            Some(*start + step)
        })
        .take_while(move |start| *start + length <= day.and_time(hour(CLOSES)))
        // Clocks change at night, when the salon is closed.
        .filter_map(|start| ZONE.from_local_datetime(&start).single())
        .filter_map(move |start| Interval::new(start.to_utc(), start.to_utc() + length).ok())
    }

    /// The time that begins at `start`, if it is one at which it could be booked.
    pub(crate) fn time_at(&self, start: DateTime<Utc>) -> Option<Interval> {
        let day = start.with_timezone(&ZONE).date_naive();
        self.times(day).find(|time| time.start() == start)
    }

    /// What a booking of it keeps free, with the booking itself.
    pub(crate) fn busy(&self, time: Interval) -> Interval {
        time.widened(self.buffers.before(), self.buffers.after())
    }
}

fn named<K: IdKind>(name: &str) -> Id<K> {
    Id::try_from(name).expect("a short name is an id")
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn times_lie_within_the_opening_hours() {
        let salon = Salon::new();
        let cut = salon.event_type("cut").expect("it cuts hair");
        let times: Vec<_> = cut.times(day("2026-11-23")).collect();
        assert_eq!(times.len(), 9);
        assert_eq!(times[0].start().to_rfc3339(), "2026-11-23T08:00:00+00:00");
        assert_eq!(times[8].end().to_rfc3339(), "2026-11-23T16:45:00+00:00");
        assert_eq!(cut.times(day("2026-11-22")).count(), 0, "a Sunday");
        let colour = salon.event_type("colour").expect("it colours hair");
        let last = colour.times(day("2026-07-01")).last().expect("it is open");
        assert_eq!(last.end().to_rfc3339(), "2026-07-01T16:00:00+00:00");
    }

    #[test]
    fn a_time_between_two_starts_cannot_be_booked() {
        let salon = Salon::new();
        let cut = salon.event_type("cut").expect("it cuts hair");
        let at = |text: &str| cut.time_at(text.parse().expect("a time"));
        assert!(at("2026-11-23T08:00:00Z").is_some());
        assert!(at("2026-11-23T08:30:00Z").is_none());
        assert!(at("2026-11-23T07:00:00Z").is_none(), "not open yet");
    }
}
