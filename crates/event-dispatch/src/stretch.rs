//! [`Stretch`]: events of a run, one after the other, as long as the listener is done with each at once.
//!
//! Most listeners are. Then what guards and surrounds the listener's code is set up once for all these events, and
//! an event costs little more than the call.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    BoxError, Envelope, Event,
    delivery::{Current, within},
    guard::Panic,
    handler::Handler,
    lane::Lane,
    runs::Run,
};

/// The events of a run that its worker has not handled.
pub(crate) struct Stretch<'a, E, H> {
    lane: &'a Lane<E>,
    handler: &'a H,
    events: &'a [Arc<Envelope<E>>],
    /// The next of them.
    next: usize,
    /// Those before have been counted.
    counted: usize,
    way: Way,
}

/// What is to be done about the events of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To call the listener: what is done passes the lane.
    Plain,
    /// To mark what is done as well.
    Marked,
    /// More: each event has to be observed, traced, given to other lanes, or to wait for its turn.
    Careful,
}

/// Why a stretch stops before its next event.
pub(crate) enum Stop {
    /// There is none.
    End,
    /// The lane is paused.
    Paused,
    /// It needs care.
    Careful,
    /// Its first attempt has begun and is not done.
    Begun(First),
}

/// What a first attempt came to that is not done at once.
pub(crate) enum First {
    Pending,
    Failed(BoxError),
    Panicked(Panic),
}

impl<'a, E: Event, H: Handler<E>> Stretch<'a, E, H> {
    /// All events of a run.
    pub(crate) fn of(run: &'a Run<E>, way: Way, lane: &'a Lane<E>, handler: &'a H) -> Self {
        Self {
            lane,
            handler,
            events: run.events(),
            next: 0,
            counted: 0,
            way,
        }
    }

    /// The event that it has stopped before, by itself.
    pub(crate) fn next(&self) -> &'a [Arc<Envelope<E>>] {
        std::slice::from_ref(&self.events[self.next])
    }

    /// Goes on behind the next event, which has ended.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
        self.lane.end_before(self.next);
    }

    /// Handles events up to one that takes more; `future` has room for an attempt.
    pub(crate) fn run<F>(
        &mut self,
        current: &mut Option<Box<Current>>,
        mut future: Pin<&mut Option<F>>,
        call: impl Fn(&'a H, &'a [Arc<Envelope<E>>]) -> F,
        context: &mut Context<'_>,
    ) -> Stop
    where
        F: Future<Output = Result<(), BoxError>>,
    {
        let lane = self.lane;
        let stop = within(current, || {
            while let Some(envelope) = self.events.get(self.next) {
                if lane.is_abandoned() {
                    return Stop::End;
                }
                if !lane.begin(self.next) {
                    return Stop::Paused;
                }
                if self.way == Way::Careful {
                    return Stop::Careful;
                }
                let attempt = call(self.handler, std::slice::from_ref(envelope));
                future.set(Some(attempt));
                let Some(attempt) = future.as_mut().as_pin_mut() else {
                    return Stop::Careful;
                };
                match attempt.poll(context) {
                    Poll::Pending => return Stop::Begun(First::Pending),
                    Poll::Ready(answer) => {
                        future.set(None);
                        if let Err(error) = answer {
                            return Stop::Begun(First::Failed(error));
                        }
                    }
                }
                if self.way == Way::Marked {
                    lane.done_plainly(envelope);
                }
                self.skip();
                envelope.marks().wake();
            }
            Stop::End
        });
        stop.unwrap_or_else(|panic| Stop::Begun(First::Panicked(panic)))
    }

    /// Counts what has passed, before the next event takes its time; `apart` if that one will be counted by itself.
    pub(crate) fn count_passed(&mut self, apart: bool) {
        if self.way == Way::Plain {
            self.lane.count_passed(self.next, apart);
            Lane::wake_waiting(&self.events[self.counted..self.next]);
            self.counted = self.next;
        }
    }
}
