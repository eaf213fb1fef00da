//! A calendar that knows at once what was booked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use vacancy_slots::{
    Appointment, Buffers, EventTypeRules, Interval, ResourceKind, Slot, SlotSource, SlotsCache,
    SlotsQuery, SlotsRequest, SourceError, StaticDirectory,
};

/// Everybody in it is free from nine to five, UTC, by the hour.
#[derive(Clone, Default)]
pub(crate) struct Calendar(Arc<Mutex<Vec<Appointment>>>);

impl Calendar {
    /// A cache before it.
    pub(crate) fn cached(&self) -> SlotsCache {
        let mut directory = StaticDirectory::new();
        let rules = EventTypeRules::new()
            .resource(id::<ResourceKind>("ada"))
            .resource(id::<ResourceKind>("grace"))
            .longest_slot(Duration::from_secs(3600))
            .buffers(Buffers::NONE);
        directory.insert(15.into(), 123.into(), rules);
        SlotsCache::builder(self.clone())
            .directory(directory)
            .source_lag(Duration::ZERO)
            .build()
    }

    pub(crate) fn book(&self, appointment: &Appointment) {
        let mut booked = self.0.lock().expect("nobody panics with it");
        booked.push(appointment.clone());
    }

    pub(crate) fn cancel(&self, appointment: &Appointment) {
        let mut booked = self.0.lock().expect("nobody panics with it");
        booked.retain(|booked| booked.id != appointment.id);
    }
}

#[async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let booked = self.0.lock().expect("nobody panics with it").clone();
        let mut slots = Vec::new();
        let window = request.window().expect("UTC skips no days");
        let mut start = window.start() + TimeDelta::hours(9);
        while start < window.end() {
            for number in 0..8 {
                let slot = hour(start + TimeDelta::hours(number));
                for resource in &request.resources {
                    let is_taken = booked.iter().any(|booked| {
                        booked.resources.contains(resource) && booked.intervals()[0].overlaps(&slot)
                    });
                    if !is_taken {
                        slots.push(Slot::new(slot).resource(resource.clone()));
                    }
                }
            }
            start += TimeDelta::days(1);
        }
        Ok(slots)
    }
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub(crate) fn hour(start: DateTime<Utc>) -> Interval {
    Interval::new(start, start + TimeDelta::hours(1)).expect("an hour")
}

/// The slots of one host on one day.
pub(crate) fn day_of(resource: &str, date: &str) -> SlotsQuery {
    let start = utc(&format!("{date}T00:00:00Z"));
    let day = Interval::new(start, start + TimeDelta::days(1)).expect("a day");
    SlotsQuery::new(15, 123, day).resource(id(resource))
}

pub(crate) fn id<K: vacancy_slots::IdKind>(text: &str) -> vacancy_slots::Id<K> {
    text.parse().expect("an id")
}

pub(crate) fn appointment(number: u64, resource: &str, start: &str) -> Appointment {
    Appointment::new(number.into(), 15.into(), hour(utc(start)))
        .event_type(123)
        .resource(id(resource))
}
