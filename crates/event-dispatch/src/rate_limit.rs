//! [`RateLimit`]: how often a listener may be called.

use std::{fmt, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

/// How often a listener may be called: so many calls in a period, evenly, and so many at once after a
/// rest.
///
/// The generic cell rate algorithm, by `governor`, on tokio's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit(Quota);

impl RateLimit {
    /// So many calls a second, and as many at once after a rest.
    pub fn per_second(calls: NonZeroU32) -> Self {
        Self(Quota::per_second(calls))
    }

    /// So many calls a minute, and as many at once after a rest.
    pub fn per_minute(calls: NonZeroU32) -> Self {
        Self(Quota::per_minute(calls))
    }

    /// Sets how many calls may come at once after a rest.
    #[must_use]
    pub fn burst(self, calls: NonZeroU32) -> Self {
        Self(self.0.allow_burst(calls))
    }

    /// How many calls may come at once after a rest.
    #[cfg(feature = "serde")]
    pub(crate) fn at_once(self) -> u32 {
        self.0.burst_size().get()
    }

    /// The time between two calls once the burst is used up.
    pub fn interval(self) -> Duration {
        self.0.replenish_interval()
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (every, burst) = (self.0.replenish_interval(), self.0.burst_size());
        write!(f, "every {every:?}, {burst} at once")
    }
}

/// Makes callers wait for their turn.
pub(crate) struct Limiter(
    RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
);

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self(RateLimiter::direct_with_clock(
            limit.0,
            TokioClock(Instant::now()),
        ))
    }

    /// Waits until one more call is allowed. Dropped before its end, it has used nothing up.
    pub(crate) async fn turn(&self) {
        while let Err(not_until) = self.0.check() {
            let now = self.0.clock().now();
            tokio::time::sleep(not_until.wait_time_from(now)).await;
        }
    }
}

/// The time since the lane began, by tokio's clock, so that tests can pause it.
#[derive(Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
