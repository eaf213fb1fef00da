//! The cache that came before Vacancy: keys by the hour, of which a booking deletes three.

use async_trait::async_trait;
use chrono::TimeDelta;
use vacancy::dispatch::BoxError;
use vacancy::slots::{Appointment, BranchId, EventTypeId, Interval, SlotsQuery, TenantId};

use super::calendar::Calendar;
use super::contender::{Contender, Offer};
use super::ttl_cache::TtlMap;

/// Keeps answers by the hours in which their window begins and ends. A booking deletes the keys of the
/// hour before its start, of that hour, and of the one after, for the event type that was booked.
pub(crate) struct HourlyKeys {
    calendar: Calendar,
    answers: TtlMap<String>,
}

impl HourlyKeys {
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            answers: TtlMap::default(),
        }
    }

    fn delete_three(&self, appointment: &Appointment) {
        let start = appointment.intervals()[0].start();
        let Some(event_type) = &appointment.event_type else {
            return;
        };
        for hours in [-1, 0, 1] {
            let from = start + TimeDelta::hours(hours);
            let Ok(hour) = Interval::new(from, from + TimeDelta::hours(1)) else {
                continue;
            };
            let (tenant, branch) = (&appointment.tenant, appointment.branch.as_ref());
            self.answers.remove(&key(tenant, branch, event_type, hour));
        }
    }
}

fn key(
    tenant: &TenantId,
    branch: Option<&BranchId>,
    event_type: &EventTypeId,
    window: Interval,
) -> String {
    let branch = branch.map_or("", |branch| branch.as_str());
    let start = window.start().format("%Y-%m-%d-%H");
    let end = window.end().format("%Y-%m-%d-%H");
    format!("cal_slots_{tenant}_{branch}_{event_type}_{start}_{end}")
}

#[async_trait]
impl Contender for HourlyKeys {
    async fn read(&self, query: &SlotsQuery) -> Result<Offer, BoxError> {
        let branch = query.branch.as_ref();
        let key = key(&query.tenant, branch, &query.event_type, query.window);
        if let Some(slots) = self.answers.get(&key) {
            return Ok(Offer {
                slots: slots.to_vec(),
                loaded: false,
            });
        }
        let slots = self.calendar.slots_of(query).await?;
        self.answers.put(key, slots.as_slice().into());
        Ok(Offer {
            slots,
            loaded: true,
        })
    }

    fn booked(&self, appointment: &Appointment) {
        self.delete_three(appointment);
    }

    fn rescheduled(&self, before: &Appointment, after: &Appointment) {
        self.delete_three(before);
        self.delete_three(after);
    }

    fn cancelled(&self, appointment: &Appointment, _: Option<&str>) {
        self.delete_three(appointment);
    }
}
