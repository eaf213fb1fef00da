//! The loop that calls one listener: attempts, time-out, retries, and the outcome.
//!
//! # Invariants
//!
//! 1. All of the listener's code, the drop of its future and the text of its error included, runs
//!    inside `within` or `guarded`: a panic is an outcome, never the end of the worker.
//! 2. The future is polled once before a timer is made for it.

use std::{
    fmt::Write, future::poll_fn, num::NonZeroUsize, pin::pin, sync::Arc, task::Poll, time::Duration,
};

use tokio::{task::coop::consume_budget, time::sleep};

use crate::{
    Batch, BoxError, Delivery, Event, Outcome, Permanent, Policy, Reason, Skip, Stage,
    bus::Core,
    delivery::within,
    guard::guarded,
    handler::Handler,
    lane::Lane,
    queue::Hands,
    time_out::{Over, TimeOut},
};

/// Handles the lane's events until it is closed and empty.
pub(crate) async fn work<E: Event, H: Handler<E>>(
    lane: Arc<Lane<E>>,
    handler: Arc<H>,
    core: Arc<Core>,
    worker: usize,
) {
    let most = lane.batching.map_or(1, |batching| batching.most.get());
    let mut hands = Hands::new(worker, most);
    while poll_fn(|context| lane.poll_next(&mut hands, context)).await {
        if !hands.are_full() {
            fill(&lane, &mut hands).await;
        }
        handle(&lane, &*handler, &core, &hands.batch).await;
        while let Some(envelope) = hands.batch.pop() {
            let _ = guarded(|| drop(envelope));
        }
        consume_budget().await;
    }
}

/// Waits for more, as long as the lane's batches may.
async fn fill<E: Event>(lane: &Lane<E>, hands: &mut Hands<E>) {
    let linger = lane
        .batching
        .map_or(Duration::ZERO, |batching| batching.linger);
    if linger.is_zero() {
        return;
    }
    let mut over = pin!(sleep(linger));
    poll_fn(|context| match lane.poll_more(hands, context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => over.as_mut().poll(context),
    })
    .await;
}

/// Gives all events of a batch their outcome.
async fn handle<E: Event, H: Handler<E>>(
    lane: &Lane<E>,
    handler: &H,
    core: &Arc<Core>,
    batch: &Batch<E>,
) {
    let policy = &lane.policy;
    let mut time_out = TimeOut::new(policy.time_out, policy.attempt_time_out);
    let mut pauses = policy.retry.map(|retry| retry.pauses());
    let mut attempt = 1;
    loop {
        lane.turn().await;
        let (reason, error) = match call(lane, handler, core, batch, attempt, &mut time_out).await {
            Answer::Done => {
                end(lane, batch, Outcome::Done, attempt, String::new());
                return;
            }
            Answer::Skipped => {
                end(lane, batch, Outcome::Skipped, attempt, String::new());
                return;
            }
            Answer::Panicked(message) => (Reason::Panicked, message),
            Answer::Over(Over::Event) => (Reason::TimedOut, time_out.text(Over::Event)),
            Answer::Permanent(error) => (Reason::Failed, error),
            transient => {
                let (reason, error) = match transient {
                    Answer::Failed(error) => (Reason::Failed, error),
                    _ => (Reason::TimedOut, time_out.text(Over::Attempt)),
                };
                match pauses.as_mut().and_then(Iterator::next) {
                    None => (reason, error),
                    Some(pause) => {
                        for envelope in batch {
                            let error = &error;
                            lane.tell(
                                envelope,
                                Stage::Retrying {
                                    attempt,
                                    error,
                                    pause,
                                },
                            );
                        }
                        if rest(pause, &mut time_out).await {
                            time_out.next_attempt();
                            attempt += 1;
                            continue;
                        }
                        let text = time_out.text(Over::Event);
                        (Reason::TimedOut, format!("{text}; last error: {error}"))
                    }
                }
            }
        };
        end(lane, batch, Outcome::Dead(reason), attempt, error);
        return;
    }
}

fn end<E: Event>(lane: &Lane<E>, batch: &Batch<E>, outcome: Outcome, attempts: u32, error: String) {
    for envelope in &batch[1..] {
        lane.end(envelope, outcome, attempts, error.clone());
    }
    lane.end(&batch[0], outcome, attempts, error);
}

/// Waits between two attempts; false if the event's time is over before.
async fn rest(pause: Duration, time_out: &mut TimeOut) -> bool {
    let mut pause = pin!(sleep(pause));
    poll_fn(|context| match pause.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => time_out.poll_event(context).map(|()| false),
    })
    .await
}

/// What one call of the listener came to.
enum Answer {
    Done,
    Skipped,
    Failed(String),
    Permanent(String),
    Panicked(String),
    Over(Over),
}

async fn call<E: Event, H: Handler<E>>(
    lane: &Lane<E>,
    handler: &H,
    core: &Arc<Core>,
    batch: &Batch<E>,
    attempt: u32,
    time_out: &mut TimeOut,
) -> Answer {
    for envelope in batch {
        lane.tell(envelope, Stage::Started { attempt });
    }
    let first = &batch[0];
    let span = tracing::info_span!(
        "handle",
        event = E::NAME,
        id = %first.id(),
        listener = %lane.listener,
        attempt,
        batch = NonZeroUsize::new(batch.len() - 1).map(|more| more.get() + 1),
        cause = first.cause().map(tracing::field::display),
    );
    let delivery = Delivery::new(Arc::clone(core), Arc::clone(first) as _, attempt);
    let mut delivery = Some(delivery);
    let created = within(&mut delivery, || span.in_scope(|| handler.call(batch)));
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
            Ok(Poll::Ready(result)) => Poll::Ready(answer(result, &lane.policy)),
            Ok(Poll::Pending) => time_out.poll(context).map(Answer::Over),
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

fn answer<E>(result: Result<(), BoxError>, policy: &Policy<E>) -> Answer {
    let Err(error) = result else {
        return Answer::Done;
    };
    if error.is::<Skip>() {
        return Answer::Skipped;
    }
    // The classification, display and drop are the application's code.
    let told = guarded(|| {
        let is_permanent = |class: &crate::policy::ErrorClass| class(&*error);
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
        Ok((error, true)) => Answer::Permanent(error),
        Ok((error, false)) => Answer::Failed(error),
        Err(panic) => Answer::Panicked(panic.0),
    }
}
