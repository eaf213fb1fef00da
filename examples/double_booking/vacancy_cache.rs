//! Vacancy, set up as an application would.

use std::time::Duration;

use async_trait::async_trait;
use vacancy::cache::Source;
use vacancy::dispatch::{BoxError, Bus};
use vacancy::slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled,
    InvalidateSlotsCache, SlotsCache, SlotsQuery,
};

use super::calendar::Calendar;
use super::contender::{Contender, Offer};
use super::ttl_cache::TTL;

/// Vacancy: what an event reaches is not served again once the event was dispatched.
pub(crate) struct VacancyCache {
    slots: SlotsCache,
    bus: Bus,
}

impl VacancyCache {
    /// Builds cache and bus, inside of a runtime.
    pub(crate) fn new(calendar: Calendar) -> Result<Self, BoxError> {
        let (directory, lag) = (calendar.directory().to_rules(), calendar.lag());
        let slots = SlotsCache::builder(calendar)
            .directory(directory)
            .ttl(TTL)
            .source_lag(lag)
            .build();
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .build()?;
        Ok(Self { slots, bus })
    }
}

#[async_trait]
impl Contender for VacancyCache {
    async fn read(&self, query: &SlotsQuery) -> Result<Offer, BoxError> {
        let open = self.slots.open(query).await?;
        let loaded = open.days().iter().any(|day| day.source == Source::Loaded);
        Ok(Offer {
            slots: open.into_vec(),
            loaded,
        })
    }

    fn booked(&self, appointment: &Appointment) {
        self.bus
            .dispatch(AppointmentBooked::new(appointment.clone()));
    }

    fn rescheduled(&self, before: &Appointment, after: &Appointment) {
        let event = AppointmentRescheduled::new(before.clone(), after.clone());
        self.bus.dispatch(event);
    }

    fn cancelled(&self, appointment: &Appointment, reason: Option<&str>) {
        let mut event = AppointmentCancelled::new(appointment.clone());
        if let Some(reason) = reason {
            event = event.reason(reason);
        }
        self.bus.dispatch(event);
    }

    async fn close(&self) -> Result<(), BoxError> {
        let report = self.bus.shutdown(Duration::from_secs(5)).await;
        match report.is_drained() {
            true => Ok(()),
            false => Err(format!("the bus was not drained: {:?}", report.abandoned).into()),
        }
    }
}
