//! One load that several readers wait for.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    entry::Guards,
    level2::Trust,
    sync::{AtomicU8, Mutex, Ordering, lock},
};

/// One load and the readers that wait for it.
pub(crate) struct Flight<T> {
    /// The fences as they stood when the load began. A reader joins only while they stand.
    pub(crate) guards: Guards,
    /// The partition of level 2 and its epoch when the flight was made; `None` without a level 2.
    pub(crate) trust: Option<Trust>,
    stage: AtomicU8,
    state: Mutex<State<T>>,
    /// The load that those who waited here share when this one has brought them nothing.
    successor: Mutex<Option<Arc<Flight<T>>>>,
}

/// Who may still join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Everybody: neither level 2 nor the origin has been asked yet.
    Boarding,
    /// Those who can tell that nothing has been invalidated since it was asked.
    Departed,
    /// Nobody: something may have changed since that no fence tells of.
    Sealed,
}

enum State<T> {
    Airborne(Vec<Waker>),
    Landed(T),
    Lost,
}

impl<T> Flight<T> {
    pub(crate) fn new(guards: Guards, trust: Option<Trust>) -> Self {
        Self {
            guards,
            trust,
            stage: AtomicU8::new(Stage::Boarding as u8),
            state: Mutex::new(State::Airborne(Vec::new())),
            successor: Mutex::new(None),
        }
    }

    /// Whether a reader that begins now may wait for this flight, as far as what other processes
    /// have changed is concerned. `near` says that the reader trusts what this process has heard.
    pub(crate) fn is_open(&self, near: bool) -> bool {
        // Pairs with `enter`: who sees it boarding comes before anybody was asked.
        let stage = self.stage.load(Ordering::SeqCst);
        if stage == Stage::Boarding as u8 {
            return true;
        }
        stage == Stage::Departed as u8
            && self
                .trust
                .as_ref()
                .is_none_or(|trust| near && trust.stands())
    }

    /// To be called before level 2 or the origin is asked.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
    }

    /// The flight that follows this one, for all who waited: `begin` gives it to the first who
    /// asks, who leads it if it is new.
    ///
    /// They may share it whatever has been invalidated meanwhile, since every one of them asked
    /// before it began.
    pub(crate) fn succeed(&self, begin: impl FnOnce() -> (Arc<Self>, bool)) -> (Arc<Self>, bool) {
        let mut successor = lock(&self.successor);
        if let Some(flight) = &*successor {
            return (Arc::clone(flight), false);
        }
        let (flight, leads) = begin();
        *successor = Some(Arc::clone(&flight));
        (flight, leads)
    }

    /// Gives every reader that waits the result.
    pub(crate) fn land(&self, result: T) {
        self.end(State::Landed(result));
    }

    /// Tells every reader that waits that the load was cancelled or panicked.
    pub(crate) fn lose(&self) {
        self.end(State::Lost);
    }

    fn end(&self, end: State<T>) {
        let before = std::mem::replace(&mut *lock(&self.state), end);
        // Wakers are the reader's code: not under the lock.
        if let State::Airborne(readers) = before {
            readers.into_iter().for_each(Waker::wake);
        }
    }

    fn poll(&self, place: &mut Option<usize>, cx: &mut Context<'_>) -> Poll<Option<T>>
    where
        T: Clone,
    {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Landed(result) => Poll::Ready(Some(result.clone())),
            State::Lost => Poll::Ready(None),
            State::Airborne(readers) => {
                let waker = cx.waker().clone();
                let replaced = match *place {
                    Some(place) => Some(std::mem::replace(&mut readers[place], waker)),
                    None => {
                        *place = Some(readers.len());
                        readers.push(waker);
                        None
                    }
                };
                drop(state);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

/// Waits for a flight: its result, or `None` when it was lost.
pub(crate) struct Wait<T> {
    pub(crate) flight: Arc<Flight<T>>,
    place: Option<usize>,
}

impl<T> Wait<T> {
    pub(crate) fn new(flight: Arc<Flight<T>>) -> Self {
        Self {
            flight,
            place: None,
        }
    }
}

impl<T: Clone> Future for Wait<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.flight.poll(&mut this.place, cx)
    }
}
