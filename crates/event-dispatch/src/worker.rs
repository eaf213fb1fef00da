//! The loop that calls one listener: attempts, time-out, retries, and the outcome.
//!
//! # Invariants
//!
//! 1. All of the listener's code, the drop of its future and the text of its error included, runs
//!    inside `within` or `guarded`: a panic is an outcome, never the end of the worker.
//! 2. The future is polled once before a timer is made for it.

use std::{
    fmt::Write, future::poll_fn, mem, num::NonZeroUsize, pin::pin, sync::Arc, task::Poll,
    time::Duration,
};

use tokio::{task::coop::consume_budget, time::sleep};

use crate::{
    BoxError, Envelope, Event, Outcome, Permanent, Policy, Reason, Skip, Stage,
    bus::Core,
    delivery::{Current, within},
    guard::guarded,
    handler::Handler,
    lane::Lane,
    queue::Hands,
    runs::let_go,
    time_out::{Over, TimeOut},
    trace_context::TraceContext,
};

/// Handles the lane's events until it is closed and empty.
pub(crate) async fn work<E: Event, H: Handler<E>>(
    lane: Arc<Lane<E>>,
    handler: Arc<H>,
    core: Arc<Core>,
    worker: usize,
) {
    if lane.has_runs() {
        work_on_runs(&lane, &*handler, &core).await;
    } else {
        work_on_queue(&lane, &*handler, &core, worker).await;
    }
}

async fn work_on_runs<E: Event, H: Handler<E>>(lane: &Lane<E>, handler: &H, core: &Arc<Core>) {
    while let Some(run) = poll_fn(|context| lane.poll_run(context)).await {
        let mut current = Some(Current::new(Arc::clone(core), Arc::clone(&run.events) as _));
        for (index, envelope) in run.events().iter().enumerate() {
            while !lane.begin(index) {
                poll_fn(|context| lane.poll_resumed(context)).await;
            }
            if lane.has_ended(envelope) {
                continue;
            }
            if let Some(current) = &mut current {
                current.index = index;
            }
            handle(lane, handler, &mut current, std::slice::from_ref(envelope)).await;
        }
        drop(current);
        let_go(run.events);
        consume_budget().await;
    }
}

async fn work_on_queue<E: Event, H: Handler<E>>(
    lane: &Lane<E>,
    handler: &H,
    core: &Arc<Core>,
    worker: usize,
) {
    let most = lane.batching.map_or(1, |batching| batching.most.get());
    let mut hands = Hands::new(worker, most);
    while poll_fn(|context| lane.poll_next(&mut hands, context)).await {
        if !hands.are_full() {
            fill(lane, &mut hands).await;
        }
        let first = Arc::clone(&hands.events[0]) as _;
        let mut current = Some(Current::new(Arc::clone(core), first));
        handle(lane, handler, &mut current, &hands.events).await;
        let _ = guarded(|| drop(current));
        hands.let_go();
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

/// Gives all of these events their outcome.
async fn handle<E: Event, H: Handler<E>>(
    lane: &Lane<E>,
    handler: &H,
    current: &mut Option<Current>,
    events: &[Arc<Envelope<E>>],
) {
    let policy = &lane.policy;
    let mut time_out = TimeOut::new(policy.time_out, policy.attempt_time_out);
    let mut pauses = None;
    let mut attempt = 1;
    loop {
        lane.turn().await;
        let answer = call(lane, handler, current, events, attempt, &mut time_out).await;
        let (reason, error) = match answer {
            Answer::Done => {
                for envelope in events {
                    lane.done(envelope, attempt);
                }
                return;
            }
            Answer::Skipped => {
                end(lane, events, Outcome::Skipped, attempt, String::new());
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
                let pauses = pauses.get_or_insert_with(|| policy.retry.map(|retry| retry.pauses()));
                match pauses.as_mut().and_then(Iterator::next) {
                    None => (reason, error),
                    Some(pause) => {
                        for envelope in events {
                            let stage = Stage::Retrying {
                                attempt,
                                error: &error,
                                pause,
                            };
                            lane.tell(envelope, stage);
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
        end(lane, events, Outcome::Dead(reason), attempt, error);
        return;
    }
}

fn end<E: Event>(
    lane: &Lane<E>,
    events: &[Arc<Envelope<E>>],
    outcome: Outcome,
    attempts: u32,
    error: String,
) {
    for envelope in &events[1..] {
        lane.end(envelope, outcome, attempts, error.clone());
    }
    lane.end(&events[0], outcome, attempts, error);
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
    current: &mut Option<Current>,
    events: &[Arc<Envelope<E>>],
    attempt: u32,
    time_out: &mut TimeOut,
) -> Answer {
    for envelope in events {
        lane.tell(envelope, Stage::Started { attempt });
    }
    let first = &events[0];
    let span = tracing::info_span!(
        "handle",
        event = E::NAME,
        id = %first.id(),
        listener = %lane.listener,
        attempt,
        batch = NonZeroUsize::new(events.len() - 1).map(|more| more.get() + 1),
        cause = first.cause().map(tracing::field::display),
    );
    for envelope in &events[1..] {
        envelope.header().trace.joins(&span);
    }
    if let Some(current) = current {
        current.begin(attempt, first.header(), &span);
    }
    let mut called = false;
    let mut future = pin!(None);
    let answer = poll_fn(|context| {
        let polled = within(current, || {
            span.in_scope(|| {
                if !mem::replace(&mut called, true) {
                    future.set(Some(handler.call(events)));
                }
                let Some(running) = future.as_mut().as_pin_mut() else {
                    return Poll::Ready(Ok(()));
                };
                let polled = running.poll(context);
                if polled.is_ready() {
                    future.set(None);
                }
                polled
            })
        });
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(answer(result, &lane.policy)),
            Ok(Poll::Pending) => time_out.poll(context).map(Answer::Over),
            Err(panic) => Poll::Ready(Answer::Panicked(panic.0)),
        }
    })
    .await;
    // What has not ended by itself: its time is over, or it has panicked.
    if future.is_some() {
        let _ = within(current, || span.in_scope(|| future.set(None)));
    }
    if let Some(how) = answer.failure() {
        TraceContext::failed(&span, how);
    }
    answer
}

impl Answer {
    fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Done | Self::Skipped => None,
            Self::Failed(_) | Self::Permanent(_) => Some("failed"),
            Self::Panicked(_) => Some("panicked"),
            Self::Over(_) => Some("timed out"),
        }
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
