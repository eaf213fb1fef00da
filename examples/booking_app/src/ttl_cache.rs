//! The contender: what most applications have.

use std::{sync::Arc, time::Duration};

use chrono::NaiveDate;
use moka::future::Cache;
use tokio::time::Instant;
use vacancy::slots::{EventTypeId, ResourceId, Slot, SourceError};

use crate::{calendar::Calendar, counts::Counts};

/// A cache over the same calendar that keeps an answer for a time to live, one load at a time for
/// each question. Nobody tells it of a booking. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct TtlCache {
    calendar: Calendar,
    counts: Arc<Counts>,
    answers: Cache<Question, Kept>,
}

const ANSWERS: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) event_type: EventTypeId,
    pub(crate) host: Option<ResourceId>,
    pub(crate) first: NaiveDate,
    pub(crate) last: NaiveDate,
}

/// What is kept of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) slots: Arc<[Slot]>,
    pub(crate) asked_at: Instant,
}

impl TtlCache {
    pub(crate) fn new(calendar: Calendar, counts: Arc<Counts>, ttl: Duration) -> Self {
        Self {
            calendar,
            counts,
            answers: Cache::builder()
                .max_capacity(ANSWERS)
                .time_to_live(ttl)
                .build(),
        }
    }

    /// Gives an answer, and whether it was kept before.
    pub(crate) async fn open(&self, question: Question) -> Result<(Kept, bool), SourceError> {
        let hosts: Vec<_> = question.host.iter().cloned().collect();
        let entry = self
            .answers
            .entry(question.clone())
            .or_try_insert_with(async {
                self.counts.ttl.loaded();
                let asked_at = Instant::now();
                let slots = self.calendar.slots_on(
                    &question.event_type,
                    &hosts,
                    question.first,
                    question.last,
                );
                Ok::<_, SourceError>(Kept {
                    slots: slots.await?,
                    asked_at,
                })
            });
        let entry = entry
            .await
            .map_err(|error: Arc<SourceError>| (*error).clone())?;
        let fresh = entry.is_fresh();
        Ok((entry.into_value(), !fresh))
    }
}
