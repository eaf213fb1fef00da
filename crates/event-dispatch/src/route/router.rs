//! The router of a route: one task that gives accepted events to all lanes.

use std::{
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    runtime::Handle,
    task::{coop::consume_budget, yield_now},
};

use super::{Intake, Route, spares::Spares};
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

/// How many workers the router polls before it says that it gets on: quick ones, so a small part of the watch's patience.
const LANES_A_STEP: usize = 8;

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
        let mut spares = Spares::new();
        loop {
            // Made here, since publishers wait for the lock.
            spares.make_batch();
            let next = poll_fn(|context| self.poll_run(&mut spares, watch, context));
            let Some(events) = next.await else { return };
            if events.range.start == 0 {
                self.taps.offer(&events.batch);
            }
            let mut crowded = false;
            for lane in self.first_lanes() {
                crowded |= !lane.take(&events);
            }
            let relieved = self.run_lanes(&events, watch, &mut duty).is_err();
            let_go(events.batch);
            if relieved {
                return;
            }
            if crowded && self.may_make_way() {
                yield_now().await;
            } else {
                consume_budget().await;
            }
        }
    }

    /// Whether the router may let others run although it has more to give.
    ///
    /// A crowded lane gets room only by turns of its worker. A router that went on for as long as there are events would
    /// take the thread from it for very many, and bury nearly all on a bus that has the time to handle them. But a full
    /// intake buries at all lanes, so that must not come near.
    fn may_make_way(&self) -> bool {
        self.lock().batch.len() < self.bound / 2
    }

    /// The next events to give to the lanes: few enough to stay in the processor's cache until the last lane has
    /// handled them. A new batch is taken from the intake in exchange for an empty one, and spare envelopes.
    ///
    /// A router that has nothing sleeps at once. Then a publisher wakes it where the publisher runs, so a burst is
    /// handled by the core that has it in its cache, as one batch; a router that looked once more on another core would
    /// get it piece by piece from there, which took three times as long.
    fn poll_run(
        &self,
        spares: &mut Spares<E>,
        watch: &Watch,
        context: &mut Context<'_>,
    ) -> Poll<Option<Run<E>>> {
        loop {
            let mut intake = self.lock();
            spares.hand_over(&mut intake.spares);
            if let Some(run) = intake.next_run() {
                return Poll::Ready(Some(run));
            }
            let routed = intake.routing.take();
            if !intake.batch.is_empty() && watch.is_awake() {
                intake.routing = Some(Run::before(spares.exchange(&mut intake.batch)));
                let run = intake.next_run();
                drop(intake);
                routed.into_iter().for_each(|run| spares.reclaim(run.batch));
                return Poll::Ready(run);
            }
            if let Some(routed) = routed {
                drop(intake);
                spares.reclaim(routed.batch);
                continue;
            }
            if !intake.batch.is_empty() {
                drop(intake);
                // Behind the watch, which else would wait for this thread, and the first listener may block it.
                watch.call();
                context.waker().wake_by_ref();
            } else if intake.closed {
                return Poll::Ready(None);
            } else {
                intake.router = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
    }

    /// Lets the workers that sleep handle what they have been given: here, if they are quick.
    fn run_lanes(&self, events: &Run<E>, watch: &Watch, duty: &mut Duty) -> Result<(), Relieved> {
        let lanes = self.first_lanes().filter(|lane| lane.pace.is_quick());
        let seats = lanes.filter_map(|lane| Some((lane, lane.seat_to_wake()?)));
        for (number, (lane, seat)) in seats.enumerate() {
            if number.is_multiple_of(LANES_A_STEP) {
                self.roster.poll_next(duty)?;
            }
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
}

impl<E> Intake<E> {
    /// The next events of the batch that is being given to the lanes.
    fn next_run(&mut self) -> Option<Run<E>> {
        let routing = self.routing.as_mut()?;
        let given = routing.range.end;
        if given == routing.batch.len() {
            return None;
        }
        routing.range = given..routing.batch.len().min(given + AT_ONCE);
        Some(routing.clone())
    }
}
