//! A server that behaves as the slots API of Cal.com is documented to, over a diary in memory.
//!
//! Its clock is tokio's, so that a test that has [frozen](Frozen) time decides when its cache, its
//! limit and its reservations end.

#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

mod diary;
mod server;
mod time;

pub(crate) use diary::Bookable;
pub(crate) use server::{FakeCalcom, KEY};
pub(crate) use time::{Frozen, soon};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use vacancy_calcom::CalcomError;
use vacancy_slots::{Interval, OpenError, Slot, SlotsCache, SlotsQuery, SourceError};

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// The whole local days from the first to the last.
pub(crate) fn days(first: &str, last: &str, zone: Tz) -> Interval {
    let start = vacancy_slots::LocalDay::new(date(first), zone).start();
    let end = vacancy_slots::LocalDay::new(date(last), zone).end();
    Interval::new(start, end).expect("days in order")
}

/// The slots of tenant 15 that start in these days, asked through a cache that has nothing kept: the
/// only way for a request to come about.
pub(crate) async fn read(
    source: &vacancy_calcom::CalcomSlots,
    query: &SlotsQuery,
) -> Result<Vec<Slot>, SourceError> {
    let cache = SlotsCache::builder(source.clone())
        .source_time_out(std::time::Duration::from_secs(3600))
        .build();
    match soon(cache.open(query)).await {
        Ok(open) => Ok(open.to_vec()),
        Err(OpenError::Source(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// What the source said went wrong.
pub(crate) async fn failure(
    source: &vacancy_calcom::CalcomSlots,
    query: &SlotsQuery,
) -> SourceError {
    let error = read(source, query).await.expect_err("it cannot answer");
    assert!(error.downcast_ref::<CalcomError>().is_some(), "{error:?}");
    error
}

/// Where slots start, in UTC.
pub(crate) fn starts(slots: &[Slot]) -> Vec<String> {
    let start = |slot: &Slot| slot.start().format("%dT%H:%M").to_string();
    slots.iter().map(start).collect()
}
