//! [`Call`]: events on their way through a listener: attempts, time-out, retries, and the outcome.
//!
//! # Invariants
//!
//! 1. All of the listener's code, the drop of its future and the text of its error included, runs
//!    inside `within` or `guarded`: a panic is an outcome, never the end of the worker.
//! 2. The future is polled once before a timer is made for it.

use std::{
    fmt::Write,
    future::poll_fn,
    mem,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;
use tracing::Span;

use crate::{
    BoxError, Envelope, Event, Outcome, Permanent, Policy, Reason, Skip, Stage,
    delivery::{Current, within},
    guard::guarded,
    lane::Lane,
    policy::ErrorClass,
    stretch::First,
    time_out::{Over, TimeOut},
    trace_context::TraceContext,
};

/// Events that a listener is to handle, and its present attempt at them.
///
/// Most listeners are done at once. So the first poll is a plain function, and all that it needs lies
/// in one place: handing it on piece by piece took longer than a quick listener does.
pub(crate) struct Call<'a, E, C, F> {
    lane: &'a Lane<E>,
    events: &'a [Arc<Envelope<E>>],
    current: &'a mut Option<Box<Current>>,
    call: C,
    /// The attempt, if one has begun and not ended.
    future: Pin<&'a mut Option<F>>,
    span: Span,
    attempt: u32,
    /// What the attempt came to, if it has ended.
    answer: Option<Answer>,
}

/// What one attempt came to: boxed, so that what most attempts come to is small.
type Answer = Result<(), Box<Failure>>;

/// What an attempt came to that is not done.
enum Failure {
    Skipped,
    Failed(String),
    Permanent(String),
    Panicked(String),
    Over(Over),
}

impl<'a, E, C, F> Call<'a, E, C, F>
where
    E: Event,
    C: Fn() -> F,
    F: Future<Output = Result<(), BoxError>>,
{
    /// Begins with no attempt: `call` makes one, and `future` has room for it.
    pub(crate) fn new(
        lane: &'a Lane<E>,
        events: &'a [Arc<Envelope<E>>],
        current: &'a mut Option<Box<Current>>,
        future: Pin<&'a mut Option<F>>,
        call: C,
    ) -> Self {
        Self {
            lane,
            events,
            current,
            call,
            future,
            span: Span::none(),
            attempt: 0,
            answer: None,
        }
    }

    /// Makes the first attempt, if it may begin at once, and says whether that was all.
    pub(crate) fn is_done_at_once(&mut self, context: &mut Context<'_>) -> bool {
        if self.lane.is_limited() {
            return false;
        }
        self.begin(context);
        let done = matches!(self.answer, Some(Ok(())));
        if done {
            self.done();
        }
        done
    }

    /// Takes over a first attempt that has begun and is not done.
    pub(crate) fn take_over(&mut self, first: First) {
        self.attempt = 1;
        match first {
            First::Pending => {}
            First::Failed(error) => {
                let failure = Failure::of(error, &self.lane.policy);
                self.over(Err(Box::new(failure)));
            }
            First::Panicked(panic) => {
                let failure = Failure::Panicked(panic.message());
                self.over(Err(Box::new(failure)));
            }
        }
    }

    /// Goes on from wherever the first attempt is, and gives all events their outcome.
    pub(crate) async fn finish(&mut self) {
        let policy = &self.lane.policy;
        let mut time_out = TimeOut::new(policy.time_out, policy.attempt_time_out);
        let mut pauses = None;
        if self.attempt == 0 {
            self.begin_next().await;
        }
        loop {
            let Err(failure) = self.rest(&mut time_out).await else {
                return self.done();
            };
            let (reason, error) = match *failure {
                Failure::Skipped => return self.end(Outcome::Skipped, String::new()),
                Failure::Panicked(message) => (Reason::Panicked, message),
                Failure::Over(Over::Event) => (Reason::TimedOut, time_out.text(Over::Event)),
                Failure::Permanent(error) => (Reason::Failed, error),
                transient => {
                    let (reason, error) = match transient {
                        Failure::Failed(error) => (Reason::Failed, error),
                        _ => (Reason::TimedOut, time_out.text(Over::Attempt)),
                    };
                    let pauses =
                        pauses.get_or_insert_with(|| policy.retry.map(|retry| retry.pauses()));
                    match pauses.as_mut().and_then(Iterator::next) {
                        None => (reason, error),
                        Some(pause) => {
                            self.tell_retry(&error, pause);
                            if wait(pause, &mut time_out).await {
                                time_out.next_attempt();
                                self.begin_next().await;
                                continue;
                            }
                            let text = time_out.text(Over::Event);
                            (Reason::TimedOut, format!("{text}; last error: {error}"))
                        }
                    }
                }
            };
            return self.end(Outcome::Dead(reason), error);
        }
    }

    /// Begins the next attempt once it may.
    async fn begin_next(&mut self) {
        self.lane.turn().await;
        poll_fn(|context| {
            self.begin(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Begins the next attempt, and polls it once.
    fn begin(&mut self, context: &mut Context<'_>) {
        self.attempt += 1;
        let attempt = self.attempt;
        for envelope in self.events {
            self.lane.tell(envelope, Stage::Started { attempt });
        }
        let first = &self.events[0];
        let span = tracing::info_span!(
            "handle",
            event = E::NAME,
            id = %first.id(),
            listener = %self.lane.listener,
            attempt,
            batch = NonZeroUsize::new(self.events.len() - 1).map(|more| more.get() + 1),
            cause = first.cause().map(tracing::field::display),
        );
        for envelope in &self.events[1..] {
            envelope.header().trace.joins(&span);
        }
        if let Some(current) = &mut *self.current {
            current.begin(attempt, first.header(), &span);
        }
        if !span.is_disabled() {
            self.span = span;
        }
        if let Poll::Ready(answer) = self.poll(context) {
            self.over(answer);
        }
    }

    /// Waits for what an attempt comes to that has just been polled.
    async fn rest(&mut self, time_out: &mut TimeOut) -> Answer {
        let mut polled = true;
        poll_fn(|context| {
            if let Some(answer) = self.answer.take() {
                return Poll::Ready(answer);
            }
            let over = match mem::take(&mut polled) {
                true => Poll::Pending,
                false => self.poll(context),
            };
            let over = match over {
                Poll::Ready(answer) => Poll::Ready(answer),
                Poll::Pending => time_out
                    .poll(context)
                    .map(|over| Err(Box::new(Failure::Over(over)))),
            };
            over.map(|answer| {
                self.over(answer);
                self.answer.take().unwrap_or(Ok(()))
            })
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        let mut turn = Turn {
            span: &self.span,
            call: &self.call,
            future: self.future.as_mut(),
            context,
            polled: Poll::Pending,
        };
        match within(self.current, || turn.run()) {
            Ok(()) => turn.polled.map(|result| {
                result.map_err(|error| Box::new(Failure::of(error, &self.lane.policy)))
            }),
            Err(panic) => Poll::Ready(Err(Box::new(Failure::Panicked(panic.message())))),
        }
    }

    /// Notes what the attempt came to.
    fn over(&mut self, answer: Answer) {
        // What has not ended by itself: its time is over, or it has panicked.
        if self.future.is_some() {
            let Self { span, future, .. } = self;
            let _ = within(self.current, || span.in_scope(|| future.set(None)));
        }
        if let Err(failure) = &answer
            && let Some(how) = failure.name()
        {
            TraceContext::failed(&self.span, how);
        }
        if !self.span.is_disabled() {
            self.span = Span::none();
        }
        self.answer = Some(answer);
    }

    fn tell_retry(&self, error: &str, pause: Duration) {
        for envelope in self.events {
            let stage = Stage::Retrying {
                attempt: self.attempt,
                error,
                pause,
            };
            self.lane.tell(envelope, stage);
        }
    }

    fn done(&self) {
        for envelope in self.events {
            self.lane.done(envelope, self.attempt);
        }
    }

    fn end(&self, outcome: Outcome, error: String) {
        let attempts = self.attempt;
        for envelope in &self.events[1..] {
            self.lane.end(envelope, outcome, attempts, error.clone());
        }
        self.lane.end(&self.events[0], outcome, attempts, error);
    }
}

/// One poll of an attempt, which is made first if there is none.
struct Turn<'a, 'c, C, F> {
    span: &'a Span,
    call: &'a C,
    future: Pin<&'a mut Option<F>>,
    context: &'a mut Context<'c>,
    polled: Poll<Result<(), BoxError>>,
}

impl<C, F> Turn<'_, '_, C, F>
where
    C: Fn() -> F,
    F: Future<Output = Result<(), BoxError>>,
{
    fn run(&mut self) {
        let _entered = self.span.enter();
        if self.future.is_none() {
            self.future.set(Some((self.call)()));
        }
        if let Some(attempt) = self.future.as_mut().as_pin_mut() {
            self.polled = attempt.poll(self.context);
        }
        if self.polled.is_ready() {
            self.future.set(None);
        }
    }
}

/// Waits between two attempts; false if the event's time is over before.
async fn wait(pause: Duration, time_out: &mut TimeOut) -> bool {
    let mut pause = pin!(sleep(pause));
    poll_fn(|context| match pause.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => time_out.poll_event(context).map(|()| false),
    })
    .await
}

impl Failure {
    fn of<E>(error: BoxError, policy: &Policy<E>) -> Self {
        if error.is::<Skip>() {
            return Self::Skipped;
        }
        // The classification, display and drop are the application's code.
        let told = guarded(|| {
            let is_permanent = |class: &ErrorClass| class(&*error);
            let permanent =
                error.is::<Permanent>() || policy.permanent.as_ref().is_some_and(is_permanent);
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(next) = source {
                let _ = write!(text, ": {next}");
                source = next.source();
            }
            drop(error);
            (text, permanent)
        });
        match told {
            Ok((error, true)) => Self::Permanent(error),
            Ok((error, false)) => Self::Failed(error),
            Err(panic) => Self::Panicked(panic.message()),
        }
    }

    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Skipped => None,
            Self::Failed(_) | Self::Permanent(_) => Some("failed"),
            Self::Panicked(_) => Some("panicked"),
            Self::Over(_) => Some("timed out"),
        }
    }
}
