//! Other slots for somebody who cannot have the one he wanted.

mod alternative;
mod preferred;
mod question;
mod search;
mod wanted;
mod wanted_time;

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

pub use alternative::{Alternative, Alternatives, NotAsked, Reason, Unasked};
pub use preferred::PreferredTime;
pub use wanted::Wanted;

use crate::{query::MAX_QUERY_DAYS, read::Calls, slots_cache::SlotsCache};
use search::Search;

/// Finds other slots for somebody who cannot have the one he wanted.
///
/// Offers only slots that the source gave, that last as long as the wanted one has to, that have not
/// begun, and that are not the wanted one; each of them once, with the best [`Reason`].
///
/// # Order
///
/// Slots at a preferred time come before all others. Within both, the best slot of each reason comes before the
/// second of any, in the order of the reasons; so three of them are three different offers, where there are
/// as many. The best of a reason is the nearest; of two that are as near, the earlier one, and of two
/// at the same time the one of the resource or branch that was named first. What happens to be kept does not
/// change what is found, only what it costs.
///
/// # Cost
///
/// A day that the cache can answer costs nothing. What is missing of a question - the wanted resources, each other
/// resource, each other branch - is asked for with one call of the source, up to the horizon, and
/// only if it could change what is offered: the wanted resources first, then the others at once.
/// A search therefore waits for the source at most twice, and makes no more calls than it may. Loads of
/// other readers are shared and cost no call.
///
/// A handle: `clone` is cheap and shares the cache. It owns no task.
///
/// # Examples
///
/// ```
/// # use async_trait::async_trait;
/// # use chrono::TimeDelta;
/// # use vacancy_slots::{Interval, Slot, SlotSource, SlotsRequest, SourceError};
/// # struct Calendar;
/// # #[async_trait]
/// # impl SlotSource for Calendar {
/// #     async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
/// #         let ten = request.window().expect("a day").start() + TimeDelta::hours(10);
/// #         let slot = Interval::new(ten, ten + TimeDelta::minutes(45)).expect("a slot");
/// #         Ok(vec![Slot::new(slot)])
/// #     }
/// # }
/// use vacancy_slots::{AlternativeFinder, Alternatives, SlotsCache, SlotsQuery, Wanted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let finder = AlternativeFinder::new(SlotsCache::builder(Calendar).build());
/// let at_nine = "2025-10-15T09:00:00Z/2025-10-15T09:45:00Z".parse()?;
/// let wanted = Wanted::new(SlotsQuery::new(15, 123, at_nine).resource(42)).or_resource(43);
///
/// let now = "2025-10-14T16:20:00Z".parse()?;
/// match finder.find(&wanted, now).await {
///     Alternatives::Found(ranked) | Alternatives::Partial { ranked, .. } => {
///         println!("how about {}, {}?", ranked[0].slot.start(), ranked[0].reason);
///     }
///     Alternatives::NoneFree => println!("nothing is free in the next weeks"),
///     Alternatives::CouldNotAsk { .. } => println!("the calendar does not answer; we call back"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AlternativeFinder {
    slots: SlotsCache,
    calls: usize,
    deadline: Duration,
    count: NonZeroUsize,
    horizon_days: usize,
}

impl AlternativeFinder {
    /// A finder over the answers of `slots`.
    pub fn new(slots: SlotsCache) -> Self {
        Self {
            slots,
            calls: 4,
            deadline: Duration::from_millis(1500),
            count: const { NonZeroUsize::new(3).unwrap() },
            horizon_days: 28,
        }
    }

    /// How many calls of the source a search may make. Default 4; with none, only what is kept, or being
    /// loaded for others, is found. What more calls would have told is named in the result.
    pub const fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// How long a search may wait for the source. Default 1.5 s, at most a day. What has not been answered
    /// then is dropped, and named in the result.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(Duration::from_secs(24 * 3600));
        self
    }

    /// How many alternatives are wanted. Default 3.
    pub const fn count(mut self, count: NonZeroUsize) -> Self {
        self.count = count;
        self
    }

    /// How many local days are searched, from that of the wanted slot, or of `not_before` if that is later.
    /// Default 28, at most [`MAX_QUERY_DAYS`].
    pub fn horizon_days(mut self, days: NonZeroU8) -> Self {
        self.horizon_days = usize::from(days.get()).min(MAX_QUERY_DAYS);
        self
    }

    /// Finds what can be offered instead of `wanted` and does not start before `not_before`: now, or as much
    /// later as somebody needs to get there.
    ///
    /// # Consistency
    ///
    /// As for [`SlotsCache::open`], counted from the begin of the call: nothing is offered that was known
    /// here to be booked before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: loads that this call has begun are taken over by the readers that wait for them.
    pub async fn find(&self, wanted: &Wanted, not_before: DateTime<Utc>) -> Alternatives {
        let until = Instant::now() + self.deadline;
        let calls = Calls::new(self.calls);
        let (horizon, count) = (self.horizon_days, self.count.get());
        let search = Search::new(self.slots.inner(), wanted, not_before, horizon, count);
        search.run(&calls, until).await
    }
}
