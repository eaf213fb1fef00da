//! [`Fake`]: stands in for a listener.

use std::{fmt, sync::Arc};

use crate::{
    BoxError, Delivery, Envelope, Event, InlineListener, Permanent, Skip, handler::Handler,
    testing::Gate,
};

/// Stands in for a listener, whose own code does not run.
///
/// Its lane and policy are the listener's: its retries, time-out, capacity and keys.
#[derive(Clone)]
pub struct Fake(Behaviour);

#[derive(Clone)]
enum Behaviour {
    Done,
    Skips,
    Fails { times: u32, error: MakeError },
    Panics,
    Hangs,
    Gated(Gate),
}

type MakeError = Arc<dyn Fn() -> BoxError + Send + Sync>;

const ERROR: &str = "the fake fails";
const PANIC: &str = "the fake panics";

impl Fake {
    /// Is done at once.
    #[must_use]
    pub fn done() -> Self {
        Self(Behaviour::Done)
    }

    /// Has nothing to do.
    #[must_use]
    pub fn skips() -> Self {
        Self(Behaviour::Skips)
    }

    /// Fails at every attempt.
    #[must_use]
    pub fn fails() -> Self {
        Self::fails_times(u32::MAX)
    }

    /// Fails at the first attempts of each event, so many of them, and then is done.
    #[must_use]
    pub fn fails_times(times: u32) -> Self {
        Self(Behaviour::Fails {
            times,
            error: Arc::new(|| ERROR.into()),
        })
    }

    /// Fails at every attempt with an error of its own, which the policy may take for permanent.
    #[must_use]
    pub fn fails_with<E: Into<BoxError>>(error: impl Fn() -> E + Send + Sync + 'static) -> Self {
        Self(Behaviour::Fails {
            times: u32::MAX,
            error: Arc::new(move || error().into()),
        })
    }

    /// Fails with a [`Permanent`] error.
    #[must_use]
    pub fn fails_permanently() -> Self {
        Self::fails_with(|| Permanent::new(ERROR))
    }

    /// Panics, without a message on the terminal.
    #[must_use]
    pub fn panics() -> Self {
        Self(Behaviour::Panics)
    }

    /// Never ends by itself. Its time-out ends it, which in paused time comes at once.
    #[must_use]
    pub fn hangs() -> Self {
        Self(Behaviour::Hangs)
    }

    /// Passes a gate, and is done.
    #[must_use]
    pub fn gated(gate: &Gate) -> Self {
        Self(Behaviour::Gated(gate.clone()))
    }

    /// Whether an inline listener can do this: it has no error to give and nothing to wait for.
    pub(crate) fn suits_inline(&self) -> bool {
        matches!(self.0, Behaviour::Done | Behaviour::Panics)
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").finish_non_exhaustive()
    }
}

/// The listener that a [`Fake`] is.
pub(crate) struct Faked(pub(crate) Fake);

impl<E: Event> Handler<E> for Faked {
    async fn call(&self, _: &[Arc<Envelope<E>>]) -> Result<(), BoxError> {
        let attempt = Delivery::current().map_or(1, |delivery| delivery.attempt());
        match &self.0.0 {
            Behaviour::Done => Ok(()),
            Behaviour::Skips => Err(Skip.into()),
            Behaviour::Fails { times, .. } if attempt > *times => Ok(()),
            Behaviour::Fails { error, .. } => Err(error()),
            Behaviour::Panics => std::panic::resume_unwind(Box::new(PANIC)),
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Gated(gate) => {
                gate.pass().await;
                Ok(())
            }
        }
    }
}

impl<E: Event> InlineListener<E> for Faked {
    fn handle(&self, _: &E) {
        if let Behaviour::Panics = self.0.0 {
            std::panic::resume_unwind(Box::new(PANIC));
        }
    }
}
