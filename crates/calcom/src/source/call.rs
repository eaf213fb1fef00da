//! One call: its turn, its attempts, and what they say of the server.

use std::{num::NonZeroU32, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use metrics::counter;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::source::{
    breaker::{Breaker, Open, Passage},
    error::{CalcomError, Verdict},
    limit::CalcomLimit,
};

/// The pause before the first retry, before jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Where the doubling of pauses ends, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How calls are made. Shared by all calls of a source.
pub(crate) struct Calls {
    limit: CalcomLimit,
    breaker: Breaker,
    retries: usize,
    time_out: Duration,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) failures: NonZeroU32,
    pub(crate) time: Duration,
}

impl Calls {
    pub(crate) fn new(limit: CalcomLimit, rest: Rest, retries: usize, time_out: Duration) -> Self {
        Self {
            limit,
            breaker: Breaker::new(rest.failures, rest.time, time_out),
            retries,
            time_out,
        }
    }

    pub(crate) const fn limit(&self) -> &CalcomLimit {
        &self.limit
    }

    pub(crate) const fn time_out(&self) -> Duration {
        self.time_out
    }

    /// Makes a call that ends by `deadline`, with retries of what another attempt can mend.
    pub(crate) async fn call<T, F>(
        &self,
        deadline: Instant,
        mut exchange: impl FnMut() -> F + Send,
    ) -> Result<T, CalcomError>
    where
        F: Future<Output = Result<T, CalcomError>> + Send,
    {
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.retries)
            .with_jitter()
            .build();
        let mut failed = None;
        loop {
            let passage = match self.admitted(deadline).await {
                Ok(passage) => passage,
                // Why it was to be tried again tells more than why it was not.
                Err(refused) => return Err(failed.unwrap_or(refused)),
            };
            let error = match self.attempt(deadline, passage, exchange()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = pauses.next().filter(|_| error.is_transient()) else {
                return Err(error);
            };
            // A 429 has said itself how long to wait, and everybody waits for that.
            if !matches!(error, CalcomError::RateLimited { .. }) {
                let again = Instant::now() + pause;
                if again >= deadline {
                    return Err(error);
                }
                sleep_until(again).await;
            }
            failed = Some(error);
        }
    }

    /// Waits for a turn.
    async fn admitted(&self, deadline: Instant) -> Result<Passage<'_>, CalcomError> {
        // Looked at before the wait, so that it costs no turn; passed after it, so that a probe does
        // not wait while it is the only call.
        let admitted = async {
            self.breaker.look()?;
            self.limit.turn_until(deadline).await?;
            Ok(self.breaker.pass()?)
        };
        admitted
            .await
            .inspect_err(|refused: &CalcomError| count(refused.outcome()))
    }

    async fn attempt<T>(
        &self,
        deadline: Instant,
        passage: Passage<'_>,
        exchange: impl Future<Output = Result<T, CalcomError>>,
    ) -> Result<T, CalcomError> {
        let answer = timeout_at(deadline, exchange).await.unwrap_or({
            Err(CalcomError::TimedOut {
                limit: self.time_out,
            })
        });
        match &answer {
            Ok(_) => {
                count("answered");
                passage.succeeded();
            }
            Err(error) => {
                count(error.outcome());
                match error.verdict() {
                    Verdict::Works => passage.succeeded(),
                    Verdict::Fails => passage.failed(),
                    Verdict::Unknown => drop(passage),
                }
                if let CalcomError::RateLimited { retry_after } = error {
                    self.limit.pause(*retry_after);
                }
            }
        }
        answer
    }
}

fn count(outcome: &'static str) {
    counter!("calcom_calls_total", "outcome" => outcome).increment(1);
}

impl From<Open> for CalcomError {
    fn from(open: Open) -> Self {
        Self::BreakerOpen {
            retry_after: open.retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future, iter};

    use super::*;

    const TIME_OUT: Duration = Duration::from_secs(5);
    const REST: Duration = Duration::from_secs(30);

    fn calls(retries: usize) -> Calls {
        let rest = Rest {
            failures: NonZeroU32::new(3).unwrap(),
            time: REST,
        };
        Calls::new(CalcomLimit::default(), rest, retries, TIME_OUT)
    }

    /// Makes a call whose attempts end like this, and says how it ended and after how many.
    async fn call(
        calls: &Calls,
        outcomes: impl IntoIterator<Item = Result<(), CalcomError>, IntoIter: Send>,
    ) -> (Result<(), CalcomError>, usize) {
        let mut attempts = 0;
        let mut outcomes = outcomes.into_iter();
        let answer = calls.call(Instant::now() + TIME_OUT, || {
            attempts += 1;
            future::ready(outcomes.next().expect("no more attempts than outcomes"))
        });
        (answer.await, attempts)
    }

    fn refused(status: u16) -> Result<(), CalcomError> {
        Err(CalcomError::Refused { status })
    }

    fn limited(seconds: u64) -> Result<(), CalcomError> {
        Err(CalcomError::RateLimited {
            retry_after: Duration::from_secs(seconds),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_attempt_can_mend_is_tried_again() {
        let unreachable = || Err(CalcomError::Unreachable("gone".into()));
        let (answer, attempts) = call(&calls(2), [refused(503), unreachable(), Ok(())]).await;
        assert!(answer.is_ok() && attempts == 3, "{answer:?}");
        let (answer, attempts) = call(&calls(1), [unreachable(), refused(502)]).await;
        assert!(
            matches!(answer, Err(CalcomError::Refused { status: 502 })),
            "{answer:?}"
        );
        assert_eq!(attempts, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_attempt_can_mend_is_not_tried_again() {
        for status in [204, 302, 400, 404, 422] {
            let (answer, attempts) = call(&calls(2), [refused(status)]).await;
            assert!(answer.is_err() && attempts == 1, "{status}: {answer:?}");
        }
        let unauthorized = CalcomError::Unauthorized { status: 401 };
        assert_eq!(call(&calls(2), [Err(unauthorized)]).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_together_end_with_the_time_out() {
        let calls = calls(2);
        let begun = Instant::now();
        let answer = calls.call(begun + TIME_OUT, future::pending::<Result<(), _>>);
        let error = answer.await.unwrap_err();
        assert!(matches!(error, CalcomError::TimedOut { limit: TIME_OUT }));
        assert_eq!(begun.elapsed(), TIME_OUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_pauses_everybody_and_is_waited_for_when_there_is_time() {
        let calls = calls(1);
        let begun = Instant::now();
        let (answer, _) = call(&calls, [limited(3), Ok(())]).await;
        assert!(answer.is_ok() && begun.elapsed() == Duration::from_secs(3));

        let (answer, attempts) = call(&calls, [limited(40)]).await;
        assert!(matches!(answer, Err(CalcomError::RateLimited { .. })));
        assert_eq!(attempts, 1);
        // Who comes now is told at once, and sends nothing.
        let now = Instant::now();
        let (answer, attempts) = call(&calls, iter::empty()).await;
        match answer {
            Err(CalcomError::RateLimited { retry_after }) => {
                assert!(retry_after > TIME_OUT && retry_after <= Duration::from_secs(40));
            }
            other => panic!("{other:?}"),
        }
        assert!(attempts == 0 && now == Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_the_breaker_and_refusals_do_not() {
        let calls = calls(0);
        for status in [400, 401, 404, 409, 422].repeat(2) {
            assert_eq!(call(&calls, [refused(status)]).await.1, 1);
        }
        for _ in 0..2 {
            assert_eq!(call(&calls, [refused(500)]).await.1, 1);
        }
        let unreadable = Err(crate::source::error::Unreadable::Empty.into());
        assert_eq!(call(&calls, [unreadable]).await.1, 1);
        let (answer, attempts) = call(&calls, iter::empty()).await;
        match answer {
            Err(CalcomError::BreakerOpen { retry_after }) => assert_eq!(retry_after, REST),
            other => panic!("{other:?}"),
        }
        assert_eq!(attempts, 0);
        tokio::time::advance(REST).await;
        assert!(call(&calls, [Ok(())]).await.0.is_ok());
        assert!(call(&calls, [Ok(())]).await.0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_costs_no_turn() {
        let calls = Calls::new(
            CalcomLimit::per_minute(NonZeroU32::new(4).unwrap()),
            Rest {
                failures: NonZeroU32::MIN,
                time: REST,
            },
            0,
            TIME_OUT,
        );
        assert_eq!(call(&calls, [refused(500)]).await.1, 1);
        for _ in 0..50 {
            let (answer, _) = call(&calls, iter::empty()).await;
            assert!(matches!(answer, Err(CalcomError::BreakerOpen { .. })));
        }
        tokio::time::advance(REST).await;
        assert!(call(&calls, [Ok(())]).await.0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_that_is_not_let_through_ends_with_why_it_was_needed() {
        let calls = calls(5);
        let (answer, attempts) = call(&calls, iter::repeat_with(|| refused(503))).await;
        assert!(matches!(answer, Err(CalcomError::Refused { status: 503 })));
        assert_eq!(attempts, 3, "the breaker opens at the third");
    }
}
