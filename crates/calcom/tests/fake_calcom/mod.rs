//! A server that behaves as the slots API of Cal.com is documented to, over a diary in memory.
//!
//! Its clock is tokio's, so that a test of paused time decides when its cache, its limit and its
//! reservations end.

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

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use vacancy_calcom::{CalcomError, CalcomSlots};
use vacancy_slots::{
    Interval, LocalDay, OpenError, Slot, SlotSource, SlotsCache, SlotsQuery, SlotsRequest,
    SourceError,
};

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// The whole local days from the first to the last.
pub(crate) fn days(first: &str, last: &str, zone: Tz) -> Interval {
    let start = LocalDay::new(date(first), zone).start();
    let end = LocalDay::new(date(last), zone).end();
    Interval::new(start, end).expect("days in order")
}

/// A source that shows what another one gave last: a cache drops what it did not ask for.
#[derive(Clone)]
struct Overheard {
    source: CalcomSlots,
    heard: Arc<Mutex<Option<Vec<Slot>>>>,
}

#[async_trait]
impl SlotSource for Overheard {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let slots = self.source.slots(request).await?;
        *self.heard.lock().expect("nobody panics with it") = Some(slots.clone());
        Ok(slots)
    }
}

/// What the source gives for the days of this window, in order. Asked by a cache that has nothing
/// kept: the only way for a request to come about.
pub(crate) async fn read(
    source: &CalcomSlots,
    query: &SlotsQuery,
) -> Result<Vec<Slot>, SourceError> {
    let overheard = Overheard {
        source: source.clone(),
        heard: Arc::default(),
    };
    let cache = SlotsCache::builder(overheard.clone())
        .source_time_out(Duration::from_secs(3600))
        .build();
    match soon(cache.open(query)).await {
        Ok(_) => {
            let heard = overheard
                .heard
                .lock()
                .expect("nobody panics with it")
                .take();
            let mut slots = heard.expect("it was asked");
            slots.sort_by_key(|slot| slot.interval);
            Ok(slots)
        }
        Err(OpenError::Source(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// What the source said went wrong.
pub(crate) async fn failure(source: &CalcomSlots, query: &SlotsQuery) -> SourceError {
    let error = read(source, query).await.expect_err("it cannot answer");
    assert!(error.downcast_ref::<CalcomError>().is_some(), "{error:?}");
    error
}

/// Where slots start, in UTC.
pub(crate) fn starts(slots: &[Slot]) -> Vec<String> {
    let start = |slot: &Slot| slot.start().format("%dT%H:%M").to_string();
    slots.iter().map(start).collect()
}
