//! [`Gate`]: a place in the code under test where a test decides when to go on.

use std::{panic::Location, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// How long a test waits for somebody to come to a gate.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in the code under test where a test decides when to go on.
///
/// Shut to begin with. `clone` is cheap, and all clones are one gate.
///
/// # Examples
///
/// ```
/// use vacancy_dispatch::{Bus, Event, listen_fn, testing::{Fake, Gate, TestBus}};
///
/// struct Booked;
/// impl Event for Booked {
///     const NAME: &'static str = "appointment.booked";
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let listeners = Bus::builder().listen(listen_fn::<Booked, _, _>("mail", |_| async { Ok(()) }));
/// let gate = Gate::new();
/// let bus = TestBus::of(listeners).fake("mail", Fake::gated(&gate)).build();
/// let receipt = bus.dispatch(Booked);
/// gate.entered().await;
/// assert_eq!(receipt.outcome("mail"), Ok(None));
/// gate.release();
/// bus.settled().await.ran("mail").once().done();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gate {
    entered: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "that it is shut should be read")]
    pub fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            released: Arc::new(Semaphore::new(0)),
        }
    }

    /// Stands before the gate until it lets one pass. For the code under test.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it takes nobody's turn, and still counts as having come.
    pub async fn pass(&self) {
        self.entered.add_permits(1);
        if let Ok(turn) = self.released.acquire().await {
            turn.forget();
        }
    }

    /// Waits until somebody stands before the gate whom no former call has waited for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who comes is left to the next call.
    ///
    /// # Panics
    ///
    /// If nobody comes within 60 s of tokio's time.
    #[track_caller]
    pub fn entered(&self) -> impl Future<Output = ()> + Send + '_ {
        let asked = Location::caller();
        async move {
            match tokio::time::timeout(PATIENCE, self.entered.acquire()).await {
                Ok(came) => came.expect("it is never closed").forget(),
                Err(_) => panic!("nobody came to the gate within {PATIENCE:?}, at {asked}"),
            }
        }
    }

    /// Lets one pass: who stands there, or who comes next.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.released.close();
    }
}
