//! Leaves a server alone that does not work.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::{counter, gauge};
use tokio::time::Instant;
use tracing::{info, warn};

/// Lets calls through while they succeed.
///
/// After so many failures in a row it is open and lets none through. When its rest is over, one call
/// is let through to probe: if that succeeds it is closed, and else open again. What was begun while
/// it was closed and ends later than it opened changes nothing.
pub(crate) struct Breaker {
    failures: NonZeroU32,
    rest: Duration,
    /// How long a probe takes at most.
    probe: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { until: Instant },
}

/// No call is let through for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) retry_after: Duration,
}

/// A call that was let through. Dropped, it says nothing about the server.
#[must_use]
pub(crate) struct Passage<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new(failures: NonZeroU32, rest: Duration, probe: Duration) -> Self {
        Self {
            failures,
            rest,
            probe,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Whether a call would be let through now.
    pub(crate) fn look(&self) -> Result<(), Open> {
        let now = Instant::now();
        match *self.state() {
            State::Open { until } | State::HalfOpen { until } if until > now => Err(Open {
                retry_after: until - now,
            }),
            _ => Ok(()),
        }
    }

    /// Lets a call through.
    pub(crate) fn pass(&self) -> Result<Passage<'_>, Open> {
        let now = Instant::now();
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= now => {
                *state = State::HalfOpen {
                    until: now + self.probe,
                };
                true
            }
            State::Open { until } | State::HalfOpen { until } => {
                return Err(Open {
                    retry_after: until.saturating_duration_since(now),
                });
            }
        };
        Ok(Passage {
            breaker: self,
            probe,
        })
    }

    fn opens(&self, state: &mut State) {
        if matches!(state, State::Closed { .. }) {
            warn!(rest = ?self.rest, "Cal.com does not work, calls are stopped");
            gauge!("calcom_breakers_open").increment(1);
        }
        counter!("calcom_breaker_opened_total").increment(1);
        *state = State::Open {
            until: Instant::now() + self.rest,
        };
    }

    fn closes(state: &mut State) {
        if !matches!(state, State::Closed { .. }) {
            info!("Cal.com works again");
            gauge!("calcom_breakers_open").decrement(1);
        }
        *state = State::Closed { failures: 0 };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs halfway through a write.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gauge counts those that exist.
impl Drop for Breaker {
    fn drop(&mut self) {
        if !matches!(*self.state(), State::Closed { .. }) {
            gauge!("calcom_breakers_open").decrement(1);
        }
    }
}

impl Passage<'_> {
    /// The server works.
    pub(crate) fn succeeded(mut self) {
        let mut state = self.breaker.state();
        if self.probe || matches!(*state, State::Closed { .. }) {
            self.probe = false;
            Breaker::closes(&mut state);
        }
    }

    /// The server does not work.
    pub(crate) fn failed(mut self) {
        let mut state = self.breaker.state();
        match &mut *state {
            _ if self.probe => {
                self.probe = false;
                self.breaker.opens(&mut state);
            }
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= self.breaker.failures.get() {
                    self.breaker.opens(&mut state);
                }
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.probe {
            // It was cancelled: the next call probes.
            *self.breaker.state() = State::Open {
                until: Instant::now(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const REST: Duration = Duration::from_secs(30);
    const PROBE: Duration = Duration::from_secs(5);

    fn breaker() -> Breaker {
        Breaker::new(NonZeroU32::new(3).unwrap(), REST, PROBE)
    }

    fn opened() -> Breaker {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.pass().unwrap().failed();
        }
        breaker
    }

    fn refused(breaker: &Breaker) -> Option<Duration> {
        breaker.pass().err().map(|open| open.retry_after)
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_open_it() {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.pass().unwrap().failed();
            breaker.pass().unwrap().failed();
            drop(breaker.pass().unwrap()); // says nothing
            breaker.pass().unwrap().succeeded();
        }
        for _ in 0..2 {
            breaker.pass().unwrap().failed();
        }
        assert_eq!(refused(&breaker), None);
        breaker.pass().unwrap().failed();
        assert_eq!(refused(&breaker), Some(REST));
        assert_eq!(breaker.look(), Err(Open { retry_after: REST }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_probes_and_its_success_closes_it() {
        let breaker = opened();
        advance(REST - Duration::from_millis(1)).await;
        assert!(refused(&breaker).is_some());
        advance(Duration::from_millis(1)).await;
        assert_eq!(breaker.look(), Ok(()));
        let probe = breaker.pass().unwrap();
        assert_eq!(refused(&breaker), Some(PROBE));
        probe.succeeded();
        for _ in 0..5 {
            breaker.pass().unwrap().succeeded();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_for_another_rest() {
        let breaker = opened();
        advance(REST).await;
        breaker.pass().unwrap().failed();
        assert_eq!(refused(&breaker), Some(REST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_cancelled_leaves_its_place_to_the_next_call() {
        let breaker = opened();
        advance(REST).await;
        drop(breaker.pass().unwrap());
        breaker.pass().unwrap().succeeded();
        assert_eq!(refused(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_after_it_opened_changes_nothing() {
        let breaker = breaker();
        let (late, later) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        for _ in 0..3 {
            breaker.pass().unwrap().failed();
        }
        advance(REST / 2).await;
        late.failed();
        later.succeeded();
        assert_eq!(refused(&breaker), Some(REST / 2));
    }
}
