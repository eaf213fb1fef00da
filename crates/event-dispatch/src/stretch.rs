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
};

/// The events of a run that its worker has not handled.
pub(crate) struct Stretch<'a, E, H> {
    pub(crate) lane: &'a Lane<E>,
    pub(crate) handler: &'a H,
    pub(crate) events: &'a [Arc<Envelope<E>>],
    /// The next of them.
    pub(crate) next: usize,
}

/// Why a stretch stops before its next event.
pub(crate) enum Stop {
    /// There is none.
    End,
    /// The lane is paused.
    Paused,
    /// It has to be observed, traced, or to wait for its turn.
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
        let careful = lane.is_careful();
        let stop = within(current, || {
            while let Some(envelope) = self.events.get(self.next) {
                if !lane.begin(self.next) {
                    return Stop::Paused;
                }
                if lane.has_ended(envelope) {
                    self.next += 1;
                    continue;
                }
                if careful {
                    return Stop::Careful;
                }
                let attempt = call(self.handler, std::slice::from_ref(envelope));
                future.set(Some(attempt));
                let Some(attempt) = future.as_mut().as_pin_mut() else {
                    continue;
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
                lane.done_alone(envelope);
                self.next += 1;
            }
            Stop::End
        });
        stop.unwrap_or_else(|panic| Stop::Begun(First::Panicked(panic)))
    }
}
