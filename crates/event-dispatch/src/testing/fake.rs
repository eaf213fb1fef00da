//! [`Fake`]: stands in for a listener.

use crate::{BoxError, Delivery, Event, InlineListener, Listener, Permanent, Skip, testing::Gate};

/// Stands in for a listener, whose own code does not run.
///
/// Its lane and policy are the listener's: its retries, time-out, capacity and keys.
#[derive(Debug, Clone)]
pub struct Fake(Behaviour);

#[derive(Debug, Clone)]
enum Behaviour {
    Done,
    Skips,
    Fails { times: u32 },
    FailsPermanently,
    Panics,
    Hangs,
    Gated(Gate),
}

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
        Self(Behaviour::Fails { times })
    }

    /// Fails with a [`Permanent`] error.
    #[must_use]
    pub fn fails_permanently() -> Self {
        Self(Behaviour::FailsPermanently)
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

/// The listener that a [`Fake`] is.
pub(crate) struct Faked(pub(crate) Fake);

impl<E: Event> Listener<E> for Faked {
    async fn handle(&self, _: &E) -> Result<(), BoxError> {
        let attempt = Delivery::current().map_or(1, |delivery| delivery.attempt());
        match &self.0.0 {
            Behaviour::Done => Ok(()),
            Behaviour::Skips => Err(Skip.into()),
            Behaviour::Fails { times } if attempt > *times => Ok(()),
            Behaviour::Fails { .. } => Err(ERROR.into()),
            Behaviour::FailsPermanently => Err(Permanent::new(ERROR).into()),
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
