//! What is compared: a way to answer readers without asking the calendar every time.

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;
use vacancy::dispatch::BoxError;
use vacancy::slots::{Appointment, Slot, SlotsQuery};

use super::calendar::Calendar;
use super::hourly_keys::HourlyKeys;
use super::no_cache::NoCache;
use super::ttl_cache::TtlCache;
use super::vacancy_cache::VacancyCache;

/// A way to answer readers, told of every change right after it was committed.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    async fn read(&self, query: &SlotsQuery) -> Result<Offer, BoxError>;

    fn booked(&self, appointment: &Appointment);

    fn rescheduled(&self, before: &Appointment, after: &Appointment);

    fn cancelled(&self, appointment: &Appointment, reason: Option<&str>);

    /// Ends what runs in the background.
    async fn close(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What a reader is told.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) slots: Vec<Slot>,
    /// Whether the calendar had to be asked for it.
    pub(crate) loaded: bool,
}

/// The four of them, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    None,
    Ttl,
    HourlyKeys,
    Vacancy,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Ttl, Self::HourlyKeys, Self::Vacancy];

    /// Builds it, inside of a runtime.
    pub(crate) fn build(self, calendar: &Calendar) -> Result<Box<dyn Contender>, BoxError> {
        let calendar = calendar.clone();
        Ok(match self {
            Self::None => Box::new(NoCache::new(calendar)),
            Self::Ttl => Box::new(TtlCache::new(calendar)),
            Self::HourlyKeys => Box::new(HourlyKeys::new(calendar)),
            Self::Vacancy => Box::new(VacancyCache::new(calendar)?),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Ttl => "TTL 300 s",
            Self::HourlyKeys => "three hourly keys",
            Self::Vacancy => "Vacancy",
        })
    }
}
