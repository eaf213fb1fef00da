//! The loop that calls one listener: attempts, time-out, retries, and the outcome.
//!
//! # Invariants
//!
//! 1. All of the listener's code, the drop of its future and the text of its error included, runs
//!    inside `within` or `guarded`: a panic is an outcome, never the end of the worker.
//! 2. The future is polled once before a timer is made for it.

use std::{
    fmt::Write,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::coop::consume_budget, time::Sleep};

use crate::{
    BoxError, Delivery, Envelope, Event, Listener, Outcome, Permanent, Reason, Skip, Stage,
    bus::Core, delivery::within, guard::guarded, lane::Lane,
};

/// Handles the lane's events until it is closed and empty.
pub(crate) async fn work<E: Event, L: Listener<E>>(
    lane: Arc<Lane<E>>,
    listener: Arc<L>,
    core: Arc<Core>,
    worker: usize,
) {
    while let Some(envelope) = poll_fn(|context| lane.poll_next(worker, context)).await {
        handle(&lane, &*listener, &core, &envelope).await;
        let _ = guarded(|| drop(envelope));
        consume_budget().await;
    }
}

async fn handle<E: Event, L: Listener<E>>(
    lane: &Lane<E>,
    listener: &L,
    core: &Arc<Core>,
    envelope: &Arc<Envelope<E>>,
) {
    let mut time_out = TimeOut {
        limit: lane.policy.time_out,
        sleep: None,
    };
    let mut pauses = lane.policy.retry.map(|retry| retry.pauses());
    let mut attempt = 1;
    loop {
        lane.tell(envelope, Stage::Started { attempt });
        let delivery = Delivery::new(Arc::clone(core), Arc::clone(envelope) as _, attempt);
        let (reason, error) = match call(lane, listener, envelope, delivery, &mut time_out).await {
            Answer::Done => {
                lane.settle(envelope, Outcome::Done, attempt);
                return;
            }
            Answer::Skipped => {
                lane.settle(envelope, Outcome::Skipped, attempt);
                return;
            }
            Answer::TimedOut => (Reason::TimedOut, time_out.text()),
            Answer::Panicked(message) => (Reason::Panicked, message),
            Answer::Failed { error, permanent } => {
                let pause = if permanent {
                    None
                } else {
                    pauses.as_mut().and_then(Iterator::next)
                };
                match pause {
                    Some(pause) => {
                        lane.tell(
                            envelope,
                            Stage::Retrying {
                                attempt,
                                error: &error,
                                pause,
                            },
                        );
                        let mut pause = pin!(tokio::time::sleep(pause));
                        let in_time = poll_fn(|context| match pause.as_mut().poll(context) {
                            Poll::Ready(()) => Poll::Ready(true),
                            Poll::Pending => time_out.poll(context).map(|()| false),
                        });
                        if in_time.await {
                            attempt += 1;
                            continue;
                        }
                        (
                            Reason::TimedOut,
                            format!("{}; last error: {error}", time_out.text()),
                        )
                    }
                    None => (Reason::Failed, error),
                }
            }
        };
        lane.bury(envelope, reason, error, attempt);
        return;
    }
}

/// What one call of the listener came to.
enum Answer {
    Done,
    Skipped,
    Failed { error: String, permanent: bool },
    Panicked(String),
    TimedOut,
}

async fn call<E: Event, L: Listener<E>>(
    lane: &Lane<E>,
    listener: &L,
    envelope: &Arc<Envelope<E>>,
    delivery: Delivery,
    time_out: &mut TimeOut,
) -> Answer {
    let span = tracing::info_span!(
        "handle",
        event = E::NAME,
        id = %envelope.id(),
        listener = %lane.listener,
        attempt = delivery.attempt(),
        cause = envelope.cause().map(tracing::field::display),
    );
    let mut delivery = Some(delivery);
    let created = within(&mut delivery, || {
        span.in_scope(|| listener.receive(Arc::clone(envelope)))
    });
    let future = match created {
        Ok(future) => future,
        Err(panic) => return Answer::Panicked(panic.0),
    };
    let mut future = pin!(Some(future));
    let answer = poll_fn(|context| {
        let Some(running) = future.as_mut().as_pin_mut() else {
            return Poll::Ready(Answer::Done);
        };
        match within(&mut delivery, || span.in_scope(|| running.poll(context))) {
            Ok(Poll::Ready(result)) => Poll::Ready(answer(result)),
            Ok(Poll::Pending) => time_out.poll(context).map(|()| Answer::TimedOut),
            Err(panic) => Poll::Ready(Answer::Panicked(panic.0)),
        }
    })
    .await;
    let dropped = within(&mut delivery, || span.in_scope(|| future.set(None)));
    match (answer, dropped) {
        (Answer::Done | Answer::Skipped, Err(panic)) => Answer::Panicked(panic.0),
        (answer, _) => answer,
    }
}

fn answer(result: Result<(), BoxError>) -> Answer {
    let Err(error) = result else {
        return Answer::Done;
    };
    if error.is::<Skip>() {
        return Answer::Skipped;
    }
    let permanent = error.is::<Permanent>();
    // Display and drop are the application's code.
    let text = guarded(|| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(next) = source {
            let _ = write!(text, ": {next}");
            source = next.source();
        }
        drop(error);
        text
    });
    match text {
        Ok(error) => Answer::Failed { error, permanent },
        Err(panic) => Answer::Panicked(panic.0),
    }
}

/// The time that one event may take, counted from the first time that something has to wait.
struct TimeOut {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl TimeOut {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(context)
    }

    fn text(&self) -> String {
        format!("not done within {:?}", self.limit)
    }
}
