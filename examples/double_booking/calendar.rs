//! The calendar behind the caches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{Days, NaiveDate, TimeDelta};
use tokio::time::{Instant, sleep};
use vacancy::slots::{
    EventTypeId, Interval, LocalDay, Slot, SlotSource, SlotsQuery, SlotsRequest, SourceError,
    TenantId,
};

use super::diary::Diary;
use super::directory::{Directory, EventType};
use super::recording::Recording;

/// A calendar with an API: it answers for whole local days, takes its time, and goes on giving the old
/// answer for a while after a booking.
///
/// `clone` is cheap, and all clones are one calendar.
#[derive(Clone, Debug)]
pub(crate) struct Calendar(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recording: Arc<Recording>,
    diary: Mutex<Diary>,
    latency: Mutex<fastrand::Rng>,
    lag: Duration,
    loads: AtomicU64,
}

impl Calendar {
    pub(crate) fn new(recording: Arc<Recording>, lag: Duration, seed: u64) -> Self {
        Self(Arc::new(Inner {
            recording,
            diary: Mutex::default(),
            latency: Mutex::new(fastrand::Rng::with_seed(seed)),
            lag,
            loads: AtomicU64::new(0),
        }))
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.recording.directory
    }

    pub(crate) fn diary(&self) -> MutexGuard<'_, Diary> {
        self.0.diary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long it goes on giving an old answer.
    pub(crate) fn lag(&self) -> Duration {
        self.0.lag
    }

    /// How often it was asked.
    pub(crate) fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::Relaxed)
    }

    /// Asks for the slots that start in the window of a query. A call is for whole days all the same.
    pub(crate) async fn slots_of(&self, query: &SlotsQuery) -> Result<Vec<Slot>, SourceError> {
        let days = query.days().map_err(SourceError::new)?;
        let (Some(first), Some(last)) = (days.first(), days.last()) else {
            return Ok(Vec::new());
        };
        let mut slots = self
            .load(&query.tenant, &query.event_type, *first, *last)
            .await?;
        slots.retain(|slot| query.window.contains(slot.start()));
        Ok(slots)
    }

    async fn load(
        &self,
        tenant: &TenantId,
        event_type: &EventTypeId,
        first: LocalDay,
        last: LocalDay,
    ) -> Result<Vec<Slot>, SourceError> {
        self.0.loads.fetch_add(1, Ordering::Relaxed);
        let latency = {
            let mut latency = self
                .0
                .latency
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Duration::from_millis(latency.u64(50..=800))
        };
        // The question travels, is answered, and the answer travels back.
        sleep(latency / 2).await;
        let event_type = self
            .directory()
            .event_type(tenant, event_type)
            .ok_or_else(|| SourceError::new("the calendar does not know the event type"))?;
        let slots = self.free_slots(event_type, first, last);
        sleep(latency / 2).await;
        Ok(slots)
    }

    fn free_slots(&self, event_type: &EventType, first: LocalDay, last: LocalDay) -> Vec<Slot> {
        let Ok(days) = Interval::new(first.start(), last.end()) else {
            return Vec::new();
        };
        let (before, after) = (event_type.buffers.before(), event_type.buffers.after());
        let window = days.widened(before, event_type.length + after);
        let seen = Instant::now().checked_sub(self.0.lag);
        let diary = self.diary();
        let busy: Vec<_> = event_type
            .hosts
            .iter()
            .map(|host| match seen {
                Some(seen) => diary.taken_at(&event_type.tenant, host, window, seen),
                None => Vec::new(),
            })
            .collect();
        drop(diary);
        let mut slots = Vec::new();
        for interval in starts(event_type, first.date(), last.date()) {
            if !days.contains(interval.start()) {
                continue;
            }
            let needs = interval.widened(before, after);
            let mut slot = Slot::new(interval);
            for (host, busy) in event_type.hosts.iter().zip(&busy) {
                if !busy.iter().any(|busy| busy.overlaps(&needs)) {
                    slot = slot.resource(host.clone());
                }
            }
            if !slot.resources.is_empty() {
                slots.push(slot);
            }
        }
        slots
    }
}

/// What fits into the opening hours of some days, and of the day before: it may end after midnight.
fn starts(
    event_type: &EventType,
    first: NaiveDate,
    last: NaiveDate,
) -> impl Iterator<Item = Interval> {
    let step = TimeDelta::from_std(event_type.step).unwrap_or(TimeDelta::MAX);
    let length = TimeDelta::from_std(event_type.length).unwrap_or(TimeDelta::MAX);
    let from = first.checked_sub_days(Days::new(1)).unwrap_or(first);
    from.iter_days()
        .take_while(move |date| *date <= last)
        .flat_map(|date| event_type.hours.on(date))
        .flat_map(move |open| {
            std::iter::successors(Some(open.start()), move |start| {
                start.checked_add_signed(step)
            })
            .map(move |start| (start, start.checked_add_signed(length)))
            .map_while(|(start, end)| Interval::new(start, end?).ok())
            .take_while(move |slot| slot.end() <= open.end())
        })
}

#[async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let first = LocalDay::new(request.first, request.zone);
        let last = LocalDay::new(request.last, request.zone);
        self.load(&request.tenant, &request.event_type, first, last)
            .await
    }
}
