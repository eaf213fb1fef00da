//! The calendar behind the caches: slow, and behind the times.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::NaiveDate;
use moka::future::Cache;
use tokio::time::{Instant, sleep};
use vacancy::slots::{
    EventTypeId, Interval, ResourceId, Slot, SlotSource, SlotsRequest, SourceError,
};

use crate::{
    diary::{Diary, Taken},
    salon::{EventType, Salon},
};

/// A calendar with an API, as such calendars are: it takes its time for an answer, and what it
/// answered it goes on answering for a while, whatever is booked. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    salon: Arc<Salon>,
    diary: Diary,
    delay: Duration,
    lag: Duration,
    /// Its own cache, at most this many answers.
    answers: Cache<Question, Answer>,
}

const ANSWERS: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    event_type: EventTypeId,
    hosts: Vec<ResourceId>,
    first: NaiveDate,
    last: NaiveDate,
}

#[derive(Clone, Debug)]
struct Answer {
    /// Just before the diary was looked at.
    at: Instant,
    slots: Arc<[Slot]>,
}

impl Calendar {
    pub(crate) fn new(salon: Arc<Salon>, diary: Diary, delay: Duration, lag: Duration) -> Self {
        Self {
            salon,
            diary,
            delay,
            lag,
            answers: Cache::builder().max_capacity(ANSWERS).build(),
        }
    }

    /// The slots of whole local days, as the calendar knows them.
    pub(crate) async fn slots_on(
        &self,
        event_type: &EventTypeId,
        hosts: &[ResourceId],
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Arc<[Slot]>, SourceError> {
        let offered = self
            .salon
            .event_type(event_type.as_str())
            .ok_or_else(|| SourceError::new("the calendar does not know the event type"))?;
        let question = Question {
            event_type: event_type.clone(),
            hosts: match hosts {
                [] => offered.hosts.clone(),
                hosts => hosts.to_vec(),
            },
            first,
            last,
        };
        let answer = match self.answers.get(&question).await {
            Some(answer) if answer.at.elapsed() < self.lag => answer,
            _ => {
                let at = Instant::now();
                let slots = self.free(offered, &question).await?;
                let answer = Answer { at, slots };
                self.answers.insert(question, answer.clone()).await;
                answer
            }
        };
        // The answer travels.
        sleep(self.delay).await;
        Ok(answer.slots)
    }

    async fn free(
        &self,
        event_type: &EventType,
        question: &Question,
    ) -> Result<Arc<[Slot]>, SourceError> {
        let days = question
            .first
            .iter_days()
            .take_while(|day| *day <= question.last);
        let times: Vec<Interval> = days.flat_map(|day| event_type.times(day)).collect();
        let (Some(earliest), Some(latest)) = (times.first(), times.last()) else {
            return Ok(Arc::from([]));
        };
        let window = Interval::new(
            event_type.busy(*earliest).start(),
            event_type.busy(*latest).end(),
        );
        let window = window.map_err(SourceError::new)?;
        let taken = self.diary.taken(window).await.map_err(SourceError::new)?;
        let slots = times.into_iter().filter_map(|time| {
            let busy = event_type.busy(time);
            let mut slot = Slot::new(time);
            for host in question
                .hosts
                .iter()
                .filter(|host| event_type.served_by(host))
            {
                if !taken
                    .iter()
                    .any(|taken: &Taken| taken.host == *host && taken.busy.overlaps(&busy))
                {
                    slot = slot.resource(host.clone());
                }
            }
            (!slot.resources.is_empty()).then_some(slot)
        });
        Ok(slots.collect())
    }
}

#[async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let (event_type, hosts) = (&request.event_type, &request.resources);
        let slots = self
            .slots_on(event_type, hosts, request.first, request.last)
            .await?;
        Ok(slots.to_vec())
    }
}
