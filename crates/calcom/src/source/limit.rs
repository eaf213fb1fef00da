//! How often a key may ask.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use metrics::{counter, histogram};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// The longest pause that is believed: one hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How often one API key may call, whoever calls with it.
///
/// Cal.com counts by key. Give every [`CalcomSlots`](crate::CalcomSlots) of a key the same limit, and
/// take a [`turn`](Self::turn) before the application's own calls with that key. Several processes
/// with one key have to divide it among them.
///
/// A handle: `clone` is cheap and shares everything. It owns no task.
#[derive(Clone)]
pub struct CalcomLimit(Arc<Limit>);

struct Limit {
    per_minute: NonZeroU32,
    begun: Instant,
    turns: Mutex<Turns>,
}

/// Instants are nanoseconds since `begun`.
struct Turns {
    limiter: RateLimiter<NotKeyed, InMemoryState, Reading, NoOpMiddleware<Nanos>>,
    paused_until: Nanos,
}

/// A clock that is set before it is read, so that a turn can be taken in the future: who waits knows
/// at once for how long, and those who wait have their turns in the order in which they came.
struct Reading(AtomicU64);

impl Clock for Reading {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        // Set and read under the same lock.
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// A turn would come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of the key is reached for another {retry_after:?}")]
#[non_exhaustive]
pub struct RateLimited {
    /// How long until there is a turn.
    pub retry_after: Duration,
}

/// 120 calls a minute, which is what Cal.com grants a key.
impl Default for CalcomLimit {
    fn default() -> Self {
        Self::per_minute(const { NonZeroU32::new(120).unwrap() })
    }
}

impl CalcomLimit {
    /// At most so many calls in any minute: a quarter of them may come at once, and the others are
    /// spread evenly.
    #[must_use]
    pub fn per_minute(calls: NonZeroU32) -> Self {
        // All at once and then evenly would be nearly twice as many in the first minute.
        let at_once = NonZeroU32::new(calls.get() / 4).unwrap_or(NonZeroU32::MIN);
        let others = NonZeroU32::new(calls.get() - at_once.get()).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(others).allow_burst(at_once);
        Self(Arc::new(Limit {
            per_minute: calls,
            begun: Instant::now(),
            turns: Mutex::new(Turns {
                limiter: RateLimiter::direct_with_clock(quota, Reading(AtomicU64::new(0))),
                paused_until: Nanos::new(0),
            }),
        }))
    }

    /// Waits for a turn, at most for the time given.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped while it waits has used its turn.
    ///
    /// # Errors
    ///
    /// [`RateLimited`] as soon as it is known that the turn would come later: at once, unless the key
    /// is [paused](Self::pause) during the wait.
    pub async fn turn(&self, within: Duration) -> Result<(), RateLimited> {
        let now = Instant::now();
        let latest = now.checked_add(within).unwrap_or(now + LONGEST_PAUSE);
        self.turn_until(latest).await
    }

    pub(crate) async fn turn_until(&self, latest: Instant) -> Result<(), RateLimited> {
        let came = Instant::now();
        loop {
            let turn = self
                .take(latest)
                .inspect_err(|_| counter!("calcom_limiter_refusals_total").increment(1))?;
            if turn > Instant::now() {
                sleep_until(turn).await;
                // The server may have asked for a pause meanwhile.
                if self.paused() {
                    continue;
                }
            }
            if turn > came {
                histogram!("calcom_limiter_wait_seconds").record(came.elapsed());
            }
            return Ok(());
        }
    }

    /// Lets nobody have a turn for this time; a pause that ends later stays. Pauses of more than an
    /// hour are taken for an hour.
    ///
    /// What a 429 asks for. The source does this by itself for its own calls.
    pub fn pause(&self, pause: Duration) {
        let pause = pause.min(LONGEST_PAUSE);
        warn!(?pause, "calls to Cal.com are paused");
        counter!("calcom_limiter_pauses_total").increment(1);
        let until = self.nanos(Instant::now() + pause);
        let mut turns = self.turns();
        turns.paused_until = turns.paused_until.max(until);
    }

    fn paused(&self) -> bool {
        let now = self.nanos(Instant::now());
        self.turns().paused_until > now
    }

    /// Takes the next turn, unless it comes after `latest`.
    fn take(&self, latest: Instant) -> Result<Instant, RateLimited> {
        let now = Instant::now();
        let at = self.turns().take(self.nanos(now), self.nanos(latest));
        match at {
            Ok(at) => Ok(self.instant(at)),
            Err(at) => Err(RateLimited {
                retry_after: self.instant(at).saturating_duration_since(now),
            }),
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        // No code that can panic runs halfway through a write.
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos(&self, at: Instant) -> Nanos {
        at.saturating_duration_since(self.0.begun).into()
    }

    fn instant(&self, at: Nanos) -> Instant {
        self.0.begun + Duration::from(at)
    }
}

impl Turns {
    /// When the turn is, or would have been.
    fn take(&mut self, now: Nanos, latest: Nanos) -> Result<Nanos, Nanos> {
        let mut at = now.max(self.paused_until);
        loop {
            if at > latest {
                return Err(at);
            }
            self.limiter.clock().0.store(at.as_u64(), Ordering::Relaxed);
            match self.limiter.check() {
                Ok(()) => return Ok(at),
                // Later each time, or the limiter would contradict itself.
                Err(not_until) => at = not_until.earliest_possible().max(at + Nanos::new(1)),
            }
        }
    }
}

impl fmt::Debug for CalcomLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CalcomLimit")
            .field("per_minute", &self.0.per_minute)
            .field("paused", &self.paused())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn limit(calls: u32) -> CalcomLimit {
        CalcomLimit::per_minute(NonZeroU32::new(calls).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_calls_than_the_key_may_make() {
        for calls in [1, 2, 3, 7, 120] {
            let limit = limit(calls);
            let mut turns = Vec::new();
            for turn in 0..4 * calls + 4 {
                limit.turn(HOUR).await.unwrap();
                turns.push(Instant::now());
                if turn == calls {
                    advance(3 * MINUTE).await; // a rest does not save up more than a quarter
                }
            }
            for (first, &from) in turns.iter().enumerate() {
                let within = turns[first..].iter().filter(|&&at| at < from + MINUTE);
                let within = within.count();
                assert!(within <= calls as usize, "{within} of {calls}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_too_late_is_refused_at_once_and_not_used_up() {
        let limit = limit(4); // one at once, three a minute
        limit.turn(Duration::ZERO).await.unwrap();
        let begun = Instant::now();
        for _ in 0..3 {
            let refused = limit.turn(Duration::from_secs(19)).await.unwrap_err();
            assert_eq!(refused.retry_after, Duration::from_secs(20));
        }
        assert_eq!(Instant::now(), begun);
        limit.turn(Duration::from_secs(20)).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_has_a_turn_of_his_own_in_the_order_of_coming() {
        let limit = limit(4);
        limit.turn(HOUR).await.unwrap();
        let begun = Instant::now();
        let wait = async || {
            limit.turn(HOUR).await.unwrap();
            begun.elapsed().as_secs()
        };
        let (first, second, third) = tokio::join!(wait(), wait(), wait());
        assert_eq!([first, second, third], [20, 40, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_every_clone_and_those_who_wait_already() {
        let limit = limit(4);
        limit.turn(HOUR).await.unwrap();
        let begun = Instant::now();
        let waits = limit.clone();
        let waiting = tokio::spawn(async move { waits.turn(HOUR).await.map(|()| begun.elapsed()) });
        let impatient = limit.clone();
        let impatient = tokio::spawn(async move { impatient.turn(Duration::from_secs(40)).await });
        tokio::task::yield_now().await;
        limit.clone().pause(Duration::from_secs(90));
        limit.pause(Duration::from_secs(1)); // does not shorten it
        let refused = limit.turn(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(90));
        let waited = timeout(HOUR, waiting).await.unwrap().unwrap().unwrap();
        assert!(waited >= Duration::from_secs(90), "{waited:?}");
        assert!(timeout(HOUR, impatient).await.unwrap().unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_without_end_ends_after_an_hour() {
        let limit = limit(120);
        limit.pause(Duration::MAX);
        let refused = limit.turn(Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.retry_after, HOUR);
        limit.turn(Duration::MAX).await.unwrap();
    }
}
