//! The loop that takes events from a lane and gives them to its listener.

use std::{future::poll_fn, mem, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{task::coop::consume_budget, time::sleep};

use crate::{
    Event,
    bus::Core,
    call::Call,
    delivery::Current,
    guard::guarded,
    handler::Handler,
    lane::Lane,
    queue::Hands,
    runs::let_go,
    stretch::{Stop, Stretch},
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

async fn work_on_runs<E: Event, H: Handler<E>>(lane: &Arc<Lane<E>>, handler: &H, core: &Arc<Core>) {
    let mut current = Some(Current::new(Arc::clone(core), Arc::clone(lane) as _));
    let mut waited = true;
    while let Some((run, way)) = poll_fn(|_| {
        let next = lane.poll_run();
        waited |= next.is_pending();
        next
    })
    .await
    {
        {
            let mut future = pin!(None);
            let mut stretch = Stretch::of(&run, way, lane, handler);
            loop {
                let stop = poll_fn(|context| {
                    let future = future.as_mut();
                    Poll::Ready(stretch.run(&mut current, future, H::call, context))
                });
                let begun = match stop.await {
                    Stop::End => break,
                    Stop::Paused => {
                        stretch.count_passed(false);
                        poll_fn(|_| lane.poll_resumed()).await;
                        continue;
                    }
                    Stop::Careful => None,
                    Stop::Begun(first) => {
                        stretch.count_passed(true);
                        Some(first)
                    }
                };
                let events = stretch.next();
                let mut call = Call::new(lane, events, &mut current, future.as_mut(), || {
                    handler.call(events)
                });
                let done = match begun {
                    None => poll_fn(|context| Poll::Ready(call.is_done_at_once(context))).await,
                    Some(first) => {
                        call.take_over(first);
                        false
                    }
                };
                if !done {
                    call.finish().await;
                }
                stretch.skip();
                if let Some(current) = &mut current {
                    current.reset();
                }
            }
        }
        let_go(run.batch);
        // The first run of a poll is paid for by the task that polls. A router polls all quick workers with one
        // budget, and if each took its part they would go home in turn.
        if !mem::take(&mut waited) {
            consume_budget().await;
        }
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
        {
            let mut future = pin!(None);
            let events = &hands.events;
            let mut call = Call::new(lane, events, &mut current, future.as_mut(), || {
                handler.call(events)
            });
            if !poll_fn(|context| Poll::Ready(call.is_done_at_once(context))).await {
                call.finish().await;
            }
        }
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
