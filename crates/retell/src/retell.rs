//! [`Retell`]: answers the function calls of a phone agent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use http::HeaderMap;
use metrics::{counter, histogram};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::builder::RetellBuilder;
use crate::desk::{DeskError, PhoneCall, PhoneDesk};
use crate::function_call::FunctionCall;
use crate::ledger::{End, Ledger, Settled, Wanted};
use crate::operation_key::OperationKey;
use crate::reply::Reply;
use crate::request::Request;
use crate::signature::ApiKey;
use crate::{CallError, Function, SignatureError};

/// Answers the function calls of a phone agent, each within a time that a caller can wait.
///
/// A handle: `clone` is cheap and shares everything. It owns the tasks of its operations;
/// [`close`](Self::close) joins them. Dropping all handles lets running operations go on to their end.
///
/// # Operations
///
/// A function call that reaches the desk is an operation, with an [`OperationKey`] of call id,
/// function and arguments. It runs on a task of its own, so it goes on when the HTTP request that
/// began it is dropped. The answer waits for it for
/// [`answer_within`](RetellBuilder::answer_within), and says `running` after that.
///
/// A change that is asked for again in the same call, with equal arguments, is not made again: the
/// retry waits for the operation that runs, or gets the result that it had. Other arguments are
/// another operation. A result is remembered for [`keep`](RetellBuilder::keep) after the call's last
/// request; of the calls beyond [`max_calls`](RetellBuilder::max_calls) the one that was silent
/// longest is forgotten. Of one call 64 changes are remembered, and any beyond these is refused. 256 operations run at once at most.
///
/// - `taken`, `not_found` and `refused` are results: a retry gets the same.
/// - After [`DeskError::Unavailable`] a retry asks the desk again, with the same key.
/// - After a panic of the desk or its time-out nobody knows what was done. A retry of a change gets
///   the same answer, that a person has to look.
/// - Moving or cancelling an appointment forgets what was answered about it before: who books it
///   anew, or moves it back, in the same call, is not told of the first time.
///
/// Questions, which change nothing, are asked anew each time. Only where nobody has waited for the
/// answer is it kept, for ten seconds and one retry, unless something is changed in the call
/// meanwhile.
///
/// All this is the memory of one process. For a retry that reaches another one, or this one after a
/// restart, give the key to the write path as its idempotency key.
pub struct Retell<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    desk: Arc<D>,
    settings: Settings,
    ledger: Arc<Ledger>,
}

pub(crate) struct Settings {
    pub(crate) key: Option<ApiKey>,
    pub(crate) zone: Tz,
    pub(crate) names: Vec<(String, Function)>,
    pub(crate) answer_within: Duration,
    pub(crate) max_body: usize,
    pub(crate) clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl<D: PhoneDesk> Retell<D> {
    /// Settings for answering by `desk`. `zone` is the business's: local times that name no zone are
    /// read in it, and times are told in it.
    pub fn builder(desk: D, zone: Tz) -> RetellBuilder<D> {
        RetellBuilder::new(desk, zone)
    }

    pub(crate) fn new(desk: D, settings: Settings, ledger: Arc<Ledger>) -> Self {
        Self {
            inner: Arc::new(Inner {
                desk: Arc::new(desk),
                settings,
                ledger,
            }),
        }
    }

    /// The longest body that is read, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.inner.settings.max_body
    }

    /// Answers a function call whose body is `{"name", "call": {"call_id", ..}, "args"}`.
    ///
    /// `body` has to be as it came, since it is what was signed.
    ///
    /// # Cancel safety
    ///
    /// The operation goes on when the future is dropped, and a retry gets its result.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the call does not reach the desk.
    pub async fn answer(&self, headers: &HeaderMap, body: &[u8]) -> Result<Answer, CallError> {
        let received = Instant::now();
        let read = || FunctionCall::read(body);
        let answer = self.answer_read(headers, body, received, read).await;
        answer.inspect_err(refused)
    }

    /// Answers a function call whose body is the arguments alone ('args at root').
    ///
    /// Such a body tells neither function nor call. The function's name is the application's to
    /// say, by the route. The call id has to come beside the body, for instance in the query; without
    /// it questions are answered if they can be in time, and changes are refused. Neither is signed: whoever has overheard a
    /// request can send its body as another function or another call within the five minutes of its
    /// signature. Where that matters, have the agent send the whole body.
    ///
    /// # Cancel safety
    ///
    /// As for [`answer`](Self::answer).
    ///
    /// # Errors
    ///
    /// [`CallError`] when the call does not reach the desk.
    pub async fn answer_arguments(
        &self,
        function: &str,
        call_id: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer, CallError> {
        let received = Instant::now();
        let read = || FunctionCall::read_arguments(function, call_id, body);
        let answer = self.answer_read(headers, body, received, read).await;
        answer.inspect_err(refused)
    }

    /// Takes no new operations from now on, and waits for those that run.
    ///
    /// Retries still get the results that there are. Ends within the
    /// [`operation_time_out`](RetellBuilder::operation_time_out), at which an operation is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it stays closed, and can be waited for again.
    pub async fn close(&self) {
        self.inner.ledger.close().await;
    }

    async fn answer_read(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        received: Instant,
        read: impl FnOnce() -> Result<FunctionCall, crate::BodyError>,
    ) -> Result<Answer, CallError> {
        let settings = &self.inner.settings;
        if body.len() > settings.max_body {
            return Err(CallError::TooLarge {
                max: settings.max_body,
            });
        }
        let now = (settings.clock)();
        let key = settings.key.as_ref().ok_or(SignatureError::NoKey)?;
        key.verify(headers, body, now)?;
        let call = read()?;
        let function = settings
            .names
            .iter()
            .rfind(|(name, _)| *name == call.name)
            .map(|(_, function)| *function)
            .ok_or(CallError::UnknownFunction)?;
        if function.writes() && call.call_id.is_none() {
            return Err(CallError::NoCallId);
        }
        let answer = self.operate(&call, function, now, received).await?;
        let outcome = answer.outcome().to_owned();
        debug!(
            function = function.name(),
            outcome, "function call answered"
        );
        counter!("retell_calls_total", "function" => function.name(), "outcome" => outcome)
            .increment(1);
        Ok(answer)
    }

    async fn operate(
        &self,
        call: &FunctionCall,
        function: Function,
        now: DateTime<Utc>,
        received: Instant,
    ) -> Result<Answer, CallError> {
        let wanted = Wanted {
            call: call.call_id.clone(),
            function,
            request: OperationKey::of_request(call.call_id.as_ref(), function, &call.arguments),
        };
        // Before it is understood: what could be booked a minute ago may be in the past now, and the
        // retry is to hear that it was booked.
        let mut pending = match self.inner.ledger.find(&wanted) {
            Some(pending) => pending,
            None => {
                let arguments = Arguments {
                    values: &call.arguments,
                    now,
                    zone: self.inner.settings.zone,
                };
                match Request::read(function, &arguments) {
                    Ok(request) => self.begin(call, &wanted, request)?,
                    Err(question) => return Ok(Answer::of_question(&question)),
                }
            }
        };
        let deadline = received + self.inner.settings.answer_within;
        Ok(match timeout_at(deadline, pending.answer()).await {
            Ok(answer) => {
                self.inner.ledger.delivered(&wanted, &pending);
                Arc::unwrap_or_clone(answer)
            }
            Err(_) if wanted.call.is_some() => Answer::running(pending.operation),
            // Nobody could ask for its result.
            Err(_) => Answer::too_slow(),
        })
    }

    fn begin(
        &self,
        call: &FunctionCall,
        wanted: &Wanted,
        request: Request,
    ) -> Result<crate::ledger::Pending, CallError> {
        let desk = Arc::clone(&self.inner.desk);
        let (function, zone) = (wanted.function, self.inner.settings.zone);
        let (id, agent) = (call.call_id.clone(), call.agent.clone());
        self.inner.ledger.begin(wanted, |operation| async move {
            let call = PhoneCall {
                id,
                agent,
                operation,
            };
            let changed = request.appointment().cloned();
            let started = Instant::now();
            let served = desk.serve(&call, request).await;
            histogram!("retell_operation_duration_seconds", "function" => function.name())
                .record(started.elapsed().as_secs_f64());
            settle(served, changed, zone, &call, function)
        })
    }
}

/// What a retry gets, and what is forgotten.
fn settle(
    served: Result<Reply, DeskError>,
    changed: Option<vacancy_slots::AppointmentId>,
    zone: Tz,
    call: &PhoneCall,
    function: Function,
) -> Settled {
    match served {
        Ok(reply) => Settled {
            answer: Answer::of_reply(&reply, zone),
            end: End::Done {
                about: reply
                    .appointment()
                    .into_iter()
                    .chain(&changed)
                    .cloned()
                    .collect(),
                undone: changed,
            },
        },
        Err(error) => {
            let end = match &error {
                DeskError::Unavailable(source) => {
                    let operation = call.operation;
                    warn!(function = function.name(), %operation, error = %source, "the desk could not answer");
                    End::Transient
                }
                DeskError::Taken { .. } | DeskError::NotFound | DeskError::Refused { .. } => {
                    End::Refused
                }
            };
            Settled {
                answer: Answer::of_error(&error, zone),
                end,
            }
        }
    }
}

fn refused(error: &CallError) {
    warn!(reason = error.code(), "function call refused");
    counter!("retell_refused_total", "reason" => error.code()).increment(1);
}

impl<D> Clone for Retell<D> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<D> fmt::Debug for Retell<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.inner.settings;
        f.debug_struct("Retell")
            .field("zone", &settings.zone)
            .field("answer_within", &settings.answer_within)
            .field("max_body", &settings.max_body)
            .finish_non_exhaustive()
    }
}
