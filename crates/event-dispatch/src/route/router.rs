//! The router of a route: one task that gives accepted events to all lanes.

use std::{
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{runtime::Handle, task::coop::consume_budget};

use super::{Batch, Route};
use crate::{
    Event,
    bus::Core,
    duty::{Duty, Relieved},
    lane::Lane,
    runs::{Run, let_go},
    task::{counted, spawn},
    watch::Watch,
};

/// How many events the router gives to all lanes before it gives them the next.
const AT_ONCE: usize = 64;

impl<E: Event> Route<E> {
    /// The lanes that come after no other.
    pub(super) fn first_lanes(&self) -> impl Iterator<Item = &Arc<Lane<E>>> {
        self.lanes.iter().filter(|lane| lane.is_first())
    }

    /// Starts a router, which goes on duty.
    pub(crate) fn start_router(self: &Arc<Self>, core: &Arc<Core>, runtime: &Handle, duty: Duty) {
        let (route, watch) = (Arc::clone(self), Arc::clone(&core.watch));
        let router = async move { route.run(&watch, duty).await };
        let route = Arc::clone(self);
        let ended = move || route.router_ended(duty);
        spawn(core, runtime, counted(core, router, ended));
    }

    /// Gives events to the lanes until the intake is closed and empty, or another router has taken over.
    async fn run(&self, watch: &Watch, mut duty: Duty) {
        let mut lingered = false;
        let mut room = 0;
        loop {
            while let Some(events) = self.next_of_batch() {
                for lane in self.first_lanes() {
                    lane.take(&events);
                }
                let relieved = self.run_lanes(&events, watch, &mut duty).is_err();
                let_go(events.batch);
                if relieved {
                    return;
                }
                consume_budget().await;
            }
            // Made here, since publishers wait for the lock.
            let mut empty = Some(Arc::new(Vec::with_capacity(room)));
            let next =
                poll_fn(|context| self.poll_batch(&mut empty, &mut lingered, watch, context));
            let Some(batch) = next.await else { return };
            lingered = false;
            room = batch.len();
            self.taps.offer(&batch);
            let_go(batch);
        }
    }

    /// The next events of the batch that is being given to the lanes: few enough to stay in the
    /// processor's cache until the last lane has handled them.
    fn next_of_batch(&self) -> Option<Run<E>> {
        let mut intake = self.lock();
        let routing = intake.routing.as_mut()?;
        let given = routing.range.end;
        if given == routing.batch.len() {
            let routed = intake.routing.take();
            drop(intake);
            routed.into_iter().for_each(|run| let_go(run.batch));
            return None;
        }
        routing.range = given..routing.batch.len().min(given + AT_ONCE);
        Some(routing.clone())
    }

    /// Lets the workers that sleep handle what they have been given: here, if they are quick.
    fn run_lanes(&self, events: &Run<E>, watch: &Watch, duty: &mut Duty) -> Result<(), Relieved> {
        for lane in self.first_lanes().filter(|lane| lane.pace.is_quick()) {
            let Some(seat) = lane.seat_to_wake() else {
                continue;
            };
            self.roster.poll_next(duty)?;
            if watch.is_awake() {
                let begun = lane.pace.begin();
                seat.poll_here();
                if let Some(begun) = begun {
                    lane.pace.end(begun.elapsed(), events.range.len() as u64);
                }
            }
            if !self.roster.has(*duty) {
                lane.pace.too_slow();
                return Err(Relieved);
            }
        }
        self.roster.poll_no_more(duty)?;
        // Last, since the task that was woken last waits for this thread.
        for lane in self.first_lanes().filter(|lane| lane.is_to_wake()) {
            lane.wake();
        }
        Ok(())
    }

    /// Called when a router's task is gone, however it ended.
    fn router_ended(&self, duty: Duty) {
        if !self.roster.has(duty) {
            return;
        }
        let mut intake = self.lock();
        intake.closed = true;
        let batch = mem::take(&mut intake.batch);
        let routing = intake.routing.take().map(|run| run.batch);
        drop(intake);
        self.abandon_all(routing.as_deref(), &batch);
        for lane in self.first_lanes() {
            lane.close();
        }
        self.taps.close();
        routing
            .into_iter()
            .chain([Arc::new(batch)])
            .for_each(let_go);
    }

    /// Takes what has been accepted in exchange for an empty batch.
    fn poll_batch(
        &self,
        empty: &mut Option<Arc<Batch<E>>>,
        lingered: &mut bool,
        watch: &Watch,
        context: &mut Context<'_>,
    ) -> Poll<Option<Arc<Batch<E>>>> {
        let mut intake = self.lock();
        if intake.batch.is_empty() {
            if intake.closed {
                return Poll::Ready(None);
            }
            // Once behind the tasks that are ready to run, the publisher perhaps among them: what it
            // dispatches meanwhile needs no wake.
            if !mem::replace(lingered, true) {
                drop(intake);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            intake.router = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !watch.is_awake() {
            drop(intake);
            // Behind the watch, which else would wait for this thread, and the first listener may block it.
            watch.call();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut batch = empty.take().unwrap_or_default();
        if let Some(batch) = Arc::get_mut(&mut batch) {
            mem::swap(batch, &mut intake.batch);
        }
        intake.routing = Some(Run {
            batch: Arc::clone(&batch),
            range: 0..0,
        });
        Poll::Ready(Some(batch))
    }
}
