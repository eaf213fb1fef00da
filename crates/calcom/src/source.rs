//! Cal.com's slots API as a source of availability.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use metrics::counter;
use tokio::time::Instant;
use tracing::debug;
use vacancy_slots::{Interval, ResourceId, Slot, SlotSource, SlotsRequest, SourceError};

mod answer;
mod breaker;
mod builder;
mod call;
mod error;
mod event_type;
mod exchange;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod limit;
mod retry_after;
mod window;

pub use builder::{CalcomApi, CalcomBuildError, CalcomSlotsBuilder};
pub use error::{CalcomError, Unreadable};
pub use event_type::CalcomEventType;
pub use exchange::MAX_ANSWER_BYTES;
pub use limit::{CalcomLimit, RateLimited};

use answer::Offered;
use builder::EventTypes;
use call::Calls;
use error::UNASKED;
use exchange::{Exchange, Question};
use window::Window;

/// The most event types of Cal.com that one request may ask, each with a call of its own.
pub const MAX_EVENT_TYPES: usize = 16;

/// Asks Cal.com which slots are free.
///
/// One call gives all days of a request, however many. Each is asked for with a day more on either
/// side, since Cal.com gives the slots that end in the window; slots that start outside of the days
/// of the request are dropped. Where a request needs [several](CalcomSlotsBuilder::event_types) event
/// types it costs as many calls, made at once, and fails when one of them does.
///
/// Calls keep to the [limit](CalcomLimit) of the key, and stop for a while when Cal.com does not
/// work. Whatever is not an answer is a [`CalcomError`], never 'no slots'.
///
/// Cal.com keeps its own answers for about two seconds, and some of its webhooks come before its
/// commit: leave the cache's [`source_lag`](vacancy_slots::SlotsCacheBuilder::source_lag) at its 5 s
/// or above.
///
/// A slot that somebody has reserved, but not booked, disappears without an event, for five minutes
/// as a rule: the cache may go on offering it for its time to live.
///
/// A handle: `clone` is cheap and shares connections, limit and breaker. It owns no task.
///
/// # Metrics
///
/// - `calcom_calls_total`: calls and attempts of calls by `outcome`: `answered`, `rate_limited`,
///   `breaker_open`, `timed_out`, `unauthorized`, `refused`, `unreadable`, `length_unknown`,
///   `unreachable`; and `unasked` for requests that could not be asked as they are.
/// - `calcom_limiter_wait_seconds`: how long calls waited for their turn, of those that did.
/// - `calcom_limiter_refusals_total`, `calcom_limiter_pauses_total`.
/// - `calcom_breakers_open`: breakers that are not closed now; `calcom_breaker_opened_total`.
///
/// # Examples
///
/// ```no_run
/// use vacancy_calcom::{CalcomEventType, CalcomSlots};
/// use vacancy_slots::{SlotsCache, SlotsQuery};
///
/// # async fn open(api_key: String) -> Result<(), Box<dyn std::error::Error>> {
/// let source = CalcomSlots::builder(api_key)
///     .event_types(|_| vec![CalcomEventType::id(4711).resource(42)])
///     .build()?;
/// let slots = SlotsCache::builder(source).build();
/// let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
/// let open = slots.open(&SlotsQuery::new(15, 123, today).resource(42)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CalcomSlots(Arc<Inner>);

pub(crate) struct Inner {
    exchange: Exchange,
    calls: Calls,
    event_types: Box<EventTypes>,
}

impl CalcomSlots {
    /// Settings for a source that asks with this key.
    pub fn builder(api_key: impl Into<String>) -> CalcomSlotsBuilder {
        CalcomSlotsBuilder::new(api_key.into())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The limit of its key, for the other calls that are made with it.
    #[must_use]
    pub fn limit(&self) -> &CalcomLimit {
        self.0.calls.limit()
    }
}

/// See [`CalcomError`] for what an error of it holds.
#[async_trait]
impl SlotSource for CalcomSlots {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let slots = self.0.slots(request).await;
        slots
            .inspect(|slots| debug!(event_type = %request.event_type, slots = slots.len(), "Cal.com answered"))
            .inspect_err(|error| {
                let outcome = error.outcome();
                if outcome == UNASKED {
                    counter!("calcom_calls_total", "outcome" => outcome).increment(1);
                }
                debug!(event_type = %request.event_type, outcome, "Cal.com did not answer");
            })
            .map_err(SourceError::new)
    }
}

impl Inner {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, CalcomError> {
        let deadline = Instant::now() + self.calls.time_out();
        let event_types = self.event_types(request)?;
        let calls = event_types
            .iter()
            .map(|event_type| self.slots_of(request, event_type, deadline));
        // All or nothing: a part of the answer would hide slots.
        let slots = try_join_all(calls).await?;
        Ok(together(slots.into_iter().flatten()))
    }

    fn event_types(&self, request: &SlotsRequest) -> Result<Vec<CalcomEventType>, CalcomError> {
        let mut event_types: Vec<CalcomEventType> = Vec::new();
        for named in (self.event_types)(request) {
            match event_types.iter_mut().find(|it| it.name == named.name) {
                // Nobody named is anybody, and not one more.
                Some(known) if named.resources.is_empty() => known.resources.clear(),
                Some(known) if known.resources.is_empty() => {}
                Some(known) => {
                    known.resources.extend(named.resources);
                    known.resources.sort_unstable();
                    known.resources.dedup();
                }
                None => event_types.push(named),
            }
        }
        match event_types.len() {
            0 => Err(CalcomError::Unmapped),
            asked if asked > MAX_EVENT_TYPES => Err(CalcomError::TooManyEventTypes {
                asked,
                max: MAX_EVENT_TYPES,
            }),
            _ => Ok(event_types),
        }
    }

    async fn slots_of(
        &self,
        request: &SlotsRequest,
        event_type: &CalcomEventType,
        deadline: Instant,
    ) -> Result<Vec<Slot>, CalcomError> {
        let length = request.duration.or(event_type.length);
        let Some(window) = Window::of(request, length) else {
            return Ok(Vec::new());
        };
        let url = self.exchange.url(&Question {
            name: &event_type.name,
            start: window.start,
            end: window.end,
            zone: request.zone.name(),
            duration: request.duration.map(minutes).transpose()?,
        })?;
        let offered = self
            .calls
            .call(deadline, || self.exchange.ask(url.clone()))
            .await?;
        offered
            .into_iter()
            .filter(|offered| window.asks_for(offered.start))
            .map(|offered| slot(offered, length, &event_type.resources))
            .collect()
    }
}

fn minutes(asked: Duration) -> Result<u64, CalcomError> {
    let minutes = asked.as_secs() / 60;
    match minutes > 0 && Duration::from_secs(minutes * 60) == asked {
        true => Ok(minutes),
        false => Err(CalcomError::UnusableLength { asked }),
    }
}

fn slot(
    offered: Offered,
    length: Option<Duration>,
    resources: &[ResourceId],
) -> Result<Slot, CalcomError> {
    let end = offered.end.or_else(|| {
        let length = chrono::TimeDelta::from_std(length?).ok()?;
        offered.start.checked_add_signed(length)
    });
    let interval = end.and_then(|end| Interval::new(offered.start, end).ok());
    Ok(Slot {
        interval: interval.ok_or(CalcomError::LengthUnknown)?,
        resources: resources.to_vec(),
        seats: offered.seats,
    })
}

/// The slots of several event types as those of one: what two of them offer at one time is one slot
/// that either can serve. Seats stay apart, since they are counted by event type.
fn together(slots: impl Iterator<Item = Slot>) -> Vec<Slot> {
    let mut slots: Vec<Slot> = slots.collect();
    slots.sort_by_key(|slot| {
        (
            slot.interval,
            slot.resources.is_empty(),
            slot.seats.is_some(),
        )
    });
    slots.dedup_by(|next, first| {
        let same = next.interval == first.interval
            && (next.seats, first.seats) == (None, None)
            // Nobody named is anybody, and not one more.
            && next.resources.is_empty() == first.resources.is_empty();
        if same {
            let known: HashSet<_> = first.resources.iter().cloned().collect();
            let others = std::mem::take(&mut next.resources).into_iter();
            first
                .resources
                .extend(others.filter(|it| !known.contains(it)));
        }
        same
    });
    slots
}

impl fmt::Debug for CalcomSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CalcomSlots")
            .field("exchange", &self.0.exchange)
            .field("limit", self.limit())
            .finish_non_exhaustive()
    }
}
