//! Where availability comes from: the calendar behind the cache.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::{
    ids::{BranchId, EventTypeId, ResourceId, TenantId},
    interval::Interval,
    key::DayKey,
    local_day::LocalDay,
    slot::Slot,
};

/// Where availability comes from: a calendar's API, or the application's own tables.
///
/// Implemented by the application. Called by the task that reads, when the cache has no answer that
/// stands; concurrent readers of the same days share a call. Dropping the future cancels the call: a
/// reader went away, or [`source_time_out`](crate::SlotsCacheBuilder::source_time_out) has passed.
#[async_trait]
pub trait SlotSource: Send + Sync + 'static {
    /// Gives every slot that starts in the local days `first ..= last` of the request, in any order.
    ///
    /// An empty answer means that nothing is free, and is kept like any other. Whatever else
    /// happened, a time-out or an answer that cannot be read, is an error: it reaches the readers
    /// that wait and is never kept.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any await.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from answering.
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError>;
}

/// A call to the source: whole local days of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotsRequest {
    /// Whose slots.
    pub tenant: TenantId,
    /// Where, unless anywhere.
    pub branch: Option<BranchId>,
    /// Slots of what.
    pub event_type: EventTypeId,
    /// Served by one of these; empty when anybody will do.
    pub resources: Vec<ResourceId>,
    /// How long the slots are to be, where the event type leaves a choice.
    pub duration: Option<Duration>,
    /// Whose days these are.
    pub zone: Tz,
    /// The first local day.
    pub first: NaiveDate,
    /// The last local day.
    pub last: NaiveDate,
}

impl SlotsRequest {
    pub(crate) fn new(first: &DayKey, last: &DayKey) -> Self {
        Self {
            tenant: first.tenant().clone(),
            branch: first.branch().cloned(),
            event_type: first.event_type().clone(),
            resources: first.resources().to_vec(),
            duration: first.duration(),
            zone: first.day().zone(),
            first: first.day().date(),
            last: last.day().date(),
        }
    }

    /// The instants of the days asked for; `None` for days that their zone has skipped.
    #[must_use]
    pub fn window(&self) -> Option<Interval> {
        let start = LocalDay::new(self.first, self.zone).start();
        let end = LocalDay::new(self.last, self.zone).end();
        Interval::new(start, end).ok()
    }
}

/// Why the source did not answer. `clone` is cheap: all who waited for the call get it.
///
/// Its `Display` is that of the error it was made from, and so are its sources.
#[derive(Clone)]
pub struct SourceError(Arc<dyn Error + Send + Sync>);

impl SourceError {
    /// Wraps the source's own error.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The source's own error, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The source took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source did not answer within {limit:?}")]
#[non_exhaustive]
pub struct SourceTimedOut {
    /// How long it may take.
    pub limit: Duration,
}
