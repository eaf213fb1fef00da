//! [`Seat`]: a worker that its own task polls, or whoever has just brought it something to do.
//!
//! # Invariants
//!
//! 1. The worker is polled by one thread at a time, and always with the waker of its own task, its
//!    home. So whatever it waits for wakes its home, whoever polled it last, and needs no handing over.
//! 2. Nobody waits for a seat: who finds it taken asks for another poll, and whoever has it wakes the
//!    home when it lets go.
//! 3. The worker is dropped once it has ended, or once its home is gone: by the home, or, if a poll is
//!    under way, behind that poll.

use std::{
    pin::Pin,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::guard::guarded;

/// A worker and the right to poll it.
pub(crate) struct Seat {
    state: AtomicU8,
    /// Locked by whoever has the seat only, so never contended.
    worker: Mutex<Option<Worker>>,
    home: OnceLock<Waker>,
}

type Worker = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Nobody polls the worker.
const FREE: u8 = 0;
/// Somebody does.
const TAKEN: u8 = 1;
/// Somebody does, and its home has been woken meanwhile.
const CALLED: u8 = 2;
/// Somebody does, and its home is gone.
const EVICTED: u8 = 3;
/// There is no worker any more.
const GONE: u8 = 4;

impl Seat {
    pub(crate) fn new(worker: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            state: AtomicU8::new(FREE),
            worker: Mutex::new(Some(Box::pin(worker))),
            home: OnceLock::new(),
        }
    }

    /// Polls the worker in its own task; ready once it has ended.
    pub(crate) fn poll_at_home(&self, context: &Context<'_>) -> Poll<()> {
        // The waker of a task stays the same as long as the task lives.
        let home = self.home.get_or_init(|| context.waker().clone());
        loop {
            match self.turn(FREE, TAKEN) {
                Ok(_) => return self.poll(home),
                Err(TAKEN) if self.turn(TAKEN, CALLED).is_ok() => return Poll::Pending,
                Err(CALLED) => return Poll::Pending,
                Err(GONE) => return Poll::Ready(()),
                Err(_) => {}
            }
        }
    }

    /// Polls the worker here and now, unless its home does.
    pub(crate) fn poll_here(&self) {
        if let Some(home) = self.home.get()
            && self.turn(FREE, TAKEN).is_ok()
            && self.poll(home).is_ready()
        {
            home.wake_by_ref();
        }
    }

    /// Has the worker polled in its own task, if that has begun.
    pub(crate) fn wake(&self) {
        if let Some(home) = self.home.get() {
            home.wake_by_ref();
        }
    }

    /// Drops the worker, since its home is gone.
    pub(crate) fn evict(&self) {
        loop {
            match self.turn(FREE, TAKEN) {
                Ok(_) => return self.leave(),
                Err(taken @ (TAKEN | CALLED)) if self.turn(taken, EVICTED).is_ok() => return,
                Err(EVICTED | GONE) => return,
                Err(_) => {}
            }
        }
    }

    fn turn(&self, from: u8, to: u8) -> Result<u8, u8> {
        let (succeeded, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(from, to, succeeded, failed)
    }

    /// Polls the worker and lets go of the seat, which the caller has taken.
    fn poll(&self, home: &Waker) -> Poll<()> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = guarded(|| match &mut *worker {
            Some(worker) => worker.as_mut().poll(&mut Context::from_waker(home)),
            None => Poll::Ready(()),
        });
        drop(worker);
        // A worker catches the panics of its listener. One that panics all the same has ended.
        if polled.is_ok_and(|polled| polled.is_pending()) {
            if self.turn(TAKEN, FREE).is_ok() {
                return Poll::Pending;
            }
            if self.turn(CALLED, FREE).is_ok() {
                home.wake_by_ref();
                return Poll::Pending;
            }
        }
        self.leave();
        Poll::Ready(())
    }

    /// Drops the worker, whose seat the caller has taken.
    fn leave(&self) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = worker.take();
        let _ = guarded(|| drop(worker));
        self.state.store(GONE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A seat whose worker does `then` at each poll, as somebody else would at the same time, and waits.
    fn seat_of(
        home: &Arc<Wakes>,
        then: impl Fn(&Seat, &Context<'_>) + Send + 'static,
    ) -> (Arc<Seat>, Arc<()>) {
        let alive = Arc::new(());
        let kept = Arc::clone(&alive);
        let seat = Arc::new_cyclic(|seat: &std::sync::Weak<Seat>| {
            let seat = seat.clone();
            let mut polls = 0;
            Seat::new(poll_fn(move |context| {
                let _kept = &kept;
                polls += 1;
                // The first poll only tells the home.
                if polls > 1
                    && let Some(seat) = seat.upgrade()
                {
                    then(&seat, context);
                }
                Poll::Pending
            }))
        });
        let waker = Waker::from(Arc::clone(home));
        let first = seat.poll_at_home(&Context::from_waker(&waker));
        assert!(first.is_pending());
        (seat, alive)
    }

    fn is_dropped(alive: &Arc<()>) -> bool {
        Arc::strong_count(alive) == 1
    }

    #[test]
    fn a_worker_waits_with_the_waker_of_its_home_wherever_it_is_polled() {
        let home = Arc::new(Wakes::default());
        let (seat, _) = seat_of(&home, |_, context| context.waker().wake_by_ref());
        seat.poll_here();
        assert_eq!(home.count(), 1);
    }

    #[test]
    fn a_worker_is_not_polled_elsewhere_before_its_home_is_known() {
        let seat = Seat::new(async { panic!("polled") });
        seat.poll_here();
        assert_eq!(seat.state.load(Ordering::Relaxed), FREE);
    }

    #[test]
    fn a_home_that_finds_its_seat_taken_is_woken_once_it_is_free() {
        let home = Arc::new(Wakes::default());
        let (seat, _) = seat_of(&home, |seat, context| {
            assert!(seat.poll_at_home(context).is_pending());
            assert!(seat.poll_at_home(context).is_pending());
        });
        seat.poll_here();
        assert_eq!(home.count(), 1);
        seat.poll_here();
        assert_eq!(home.count(), 2, "the seat was free again");
    }

    #[test]
    fn nobody_polls_a_worker_that_is_being_polled() {
        let home = Arc::new(Wakes::default());
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let (seat, _) = seat_of(&home, move |seat, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            seat.poll_here();
        });
        seat.poll_here();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        assert_eq!(
            home.count(),
            0,
            "whoever brings something wakes the worker itself"
        );
    }

    #[test]
    fn a_home_that_goes_drops_its_worker() {
        let home = Arc::new(Wakes::default());
        let (seat, alive) = seat_of(&home, |_, _| {});
        assert!(!is_dropped(&alive));
        seat.evict();
        assert!(is_dropped(&alive));
        seat.evict();
        seat.poll_here();
    }

    #[test]
    fn a_worker_whose_home_goes_during_a_poll_is_dropped_behind_it() {
        let home = Arc::new(Wakes::default());
        let (seat, alive) = seat_of(&home, |seat, context| {
            assert!(seat.poll_at_home(context).is_pending());
            seat.evict();
        });
        seat.poll_here();
        assert!(is_dropped(&alive));
    }

    #[test]
    fn a_worker_that_panics_or_ends_elsewhere_tells_its_home() {
        for panics in [true, false] {
            let home = Arc::new(Wakes::default());
            let mut polls = 0;
            let seat = Seat::new(poll_fn(move |_| {
                polls += 1;
                assert!(polls == 1 || !panics, "the worker panics");
                match polls {
                    1 => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            }));
            let waker = Waker::from(Arc::clone(&home));
            let context = Context::from_waker(&waker);
            assert!(seat.poll_at_home(&context).is_pending());
            seat.poll_here();
            assert_eq!(home.count(), 1);
            assert!(seat.poll_at_home(&context).is_ready());
        }
    }
}
