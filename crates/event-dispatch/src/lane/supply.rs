//! What a worker takes from its lane: its seat, runs or hands full of events, and turns.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tracing::{Level, level_filters::LevelFilter};

use super::{Lane, Store, Wakers};
use crate::{
    Envelope, Event,
    queue::{Hands, Next},
    runs::{NextRun, Run, let_go},
    seat::Seat,
    stretch::Way,
};

impl<E: Event> Lane<E> {
    /// Whether the lane has one worker, which is given runs.
    pub(crate) fn has_runs(&self) -> bool {
        matches!(&*self.lock(), Store::Runs(_))
    }

    /// Gives a lane of runs its worker.
    pub(crate) fn seat(&self, worker: impl Future<Output = ()> + Send + 'static) {
        // Once, when the bus is built.
        let _ = self.seat.set(Seat::new(worker));
    }

    /// Polls the worker in its own task.
    pub(crate) fn poll_at_home(&self, context: &Context<'_>) -> Poll<()> {
        let Some(seat) = self.seat.get() else {
            return Poll::Ready(());
        };
        let (begun, done) = (self.pace.begin(), self.counters.done());
        let polled = seat.poll_at_home(context);
        if let Some(begun) = begun {
            // The count may fall: an event counted too early, since somebody had abandoned it, is taken back.
            let events = self.counters.done().saturating_sub(done);
            self.pace.end(begun.elapsed(), events);
        }
        polled
    }

    /// Called when the worker's own task is gone, however it ended.
    pub(crate) fn home_is_gone(&self) {
        if let Some(seat) = self.seat.get() {
            seat.evict();
        }
    }

    /// Whether a worker may sleep although the router has brought something.
    pub(crate) fn is_to_wake(&self) -> bool {
        self.progress.to_wake.load(Ordering::Relaxed)
    }

    /// The seat of such a worker, if it has one.
    pub(crate) fn seat_to_wake(&self) -> Option<&Seat> {
        self.seat.get().filter(|_| self.is_to_wake())
    }

    /// Wakes a worker that sleeps, if there is something to do.
    pub(crate) fn wake(&self) {
        self.progress.to_wake.store(false, Ordering::Relaxed);
        let wakers = match &mut *self.lock() {
            Store::Runs(runs) => Wakers::Home(runs.wake()),
            Store::Queue(queue) => Wakers::Some(queue.wake()),
        };
        self.wake_all(wakers);
    }

    /// Gives the worker of a lane of runs its next run, after which the one it had counts as ended;
    /// `None` if the lane is closed and empty.
    pub(crate) fn poll_run(&self) -> Poll<Option<(Run<E>, Way)>> {
        let careful = self.is_careful();
        let mut store = self.lock();
        let Store::Runs(runs) = &mut *store else {
            return Poll::Ready(None);
        };
        let ended = self.progress.ended();
        self.counters.count_done(runs.count_passed(ended, ended));
        let (next, ended) = runs.next(ended, self.is_first() && !careful);
        if let NextRun::Nothing = next {
            runs.sleep();
        }
        self.progress.to_wake.store(false, Ordering::Relaxed);
        self.progress.rewind();
        drop(store);
        if let Some(ended) = ended {
            Self::wake_waiting(ended.events());
            let_go(ended.batch);
        }
        match next {
            NextRun::Run(run, plain) => {
                let way = match (careful, plain) {
                    (true, _) => Way::Careful,
                    (false, true) => Way::Plain,
                    (false, false) => Way::Marked,
                };
                Poll::Ready(Some((run, way)))
            }
            NextRun::End => Poll::Ready(None),
            NextRun::Nothing => Poll::Pending,
        }
    }

    /// Wakes who waits for one of these and did not yet when it passed: after the lane was locked, so that either this
    /// sees that they wait, or they see that it has passed.
    pub(crate) fn wake_waiting(passed: &[Arc<Envelope<E>>]) {
        for envelope in passed {
            envelope.marks().wake();
        }
    }

    /// Counts what has passed of the worker's run, of which it is at the event `next`; `apart` if that event will be
    /// counted by itself.
    pub(crate) fn count_passed(&self, next: usize, apart: bool) {
        if let Store::Runs(runs) = &mut *self.lock() {
            let counted = runs.count_passed(next, next + usize::from(apart));
            self.counters.count_done(counted);
        }
    }

    /// Ends the event before the one that has `index` in the worker's run; if it is done and has no mark, it passes.
    #[inline]
    pub(crate) fn end_before(&self, index: usize) {
        self.progress.end(index);
    }

    /// Whether more is to be done about an event than to call the listener and to settle it.
    fn is_careful(&self) -> bool {
        self.is_limited() || !self.ends_plainly() || LevelFilter::current() >= Level::INFO
    }

    /// Begins the event that has `index` in the worker's run, unless the lane is paused.
    #[inline]
    pub(crate) fn begin(&self, index: usize) -> bool {
        if self.progress.paused.load(Ordering::Relaxed) {
            return false;
        }
        self.progress.begun.store(index + 1, Ordering::Relaxed);
        true
    }

    /// Ready once the lane is not paused.
    pub(crate) fn poll_resumed(&self) -> Poll<()> {
        match &mut *self.lock() {
            Store::Runs(runs) if runs.is_paused() => {
                runs.sleep();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Gives a worker its next events, after which those it had count as ended; false if the lane is
    /// closed and empty.
    pub(crate) fn poll_next(&self, hands: &mut Hands<E>, context: &mut Context<'_>) -> Poll<bool> {
        let mut store = self.lock();
        let Store::Queue(queue) = &mut *store else {
            return Poll::Ready(false);
        };
        queue.end(hands);
        let next = queue.next(hands);
        if next == Next::Nothing {
            queue.sleep(hands, context.waker());
        }
        let heir = queue.heir();
        drop(store);
        if let Some(waker) = heir {
            waker.wake();
        }
        hands.let_go_of_ended();
        match next {
            Next::Events => Poll::Ready(true),
            Next::End => Poll::Ready(false),
            Next::Nothing => Poll::Pending,
        }
    }

    /// Fills a batch that has begun; ready when it is full, or nothing more will come.
    pub(crate) fn poll_more(&self, hands: &mut Hands<E>, context: &mut Context<'_>) -> Poll<()> {
        let mut store = self.lock();
        let Store::Queue(queue) = &mut *store else {
            return Poll::Ready(());
        };
        queue.next(hands);
        if hands.are_full() || queue.is_over() {
            return Poll::Ready(());
        }
        queue.sleep(hands, context.waker());
        Poll::Pending
    }

    /// Whether the listener may have to wait for its [`turn`](Self::turn).
    pub(crate) fn is_limited(&self) -> bool {
        #[cfg(feature = "rate-limit")]
        return self.limiter.is_some();
        #[cfg(not(feature = "rate-limit"))]
        false
    }

    /// Waits until the listener may be called once more.
    pub(crate) async fn turn(&self) {
        #[cfg(feature = "rate-limit")]
        if let Some(limiter) = &self.limiter {
            limiter.turn().await;
        }
    }
}
