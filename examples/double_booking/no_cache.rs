//! No cache: the calendar is asked every time.

use async_trait::async_trait;
use vacancy::dispatch::BoxError;
use vacancy::slots::{Appointment, SlotsQuery};

use super::calendar::Calendar;
use super::contender::{Contender, Offer};

/// No cache: the calendar is asked every time.
pub(crate) struct NoCache(Calendar);

impl NoCache {
    pub(crate) const fn new(calendar: Calendar) -> Self {
        Self(calendar)
    }
}

#[async_trait]
impl Contender for NoCache {
    async fn read(&self, query: &SlotsQuery) -> Result<Offer, BoxError> {
        Ok(Offer {
            slots: self.0.slots_of(query).await?,
            loaded: true,
        })
    }

    fn booked(&self, _: &Appointment) {}

    fn rescheduled(&self, _: &Appointment, _: &Appointment) {}

    fn cancelled(&self, _: &Appointment, _: Option<&str>) {}
}
