//! Time that stands still beside real sockets, and waits that end.

use std::{sync::mpsc, time::Duration};

use tokio::task::spawn_blocking;

/// Longer than any machine needs.
const TOO_LONG: Duration = Duration::from_secs(60);

/// While it lives, paused time moves only where the test advances it.
///
/// Paused time runs to the next timer as soon as nothing else can be done, and whoever waits for a
/// socket can do nothing: every time-out would be over before its answer comes. Time does not run
/// while something blocks, so something does. It lets go after a minute of real time, upon which the
/// wait that did not end times out.
pub(crate) struct Frozen(#[expect(dead_code, reason = "its end is what counts")] mpsc::Sender<()>);

impl Frozen {
    pub(crate) fn new() -> Self {
        let (frozen, thawed) = mpsc::channel();
        drop(spawn_blocking(move || thawed.recv_timeout(TOO_LONG)));
        Self(frozen)
    }
}

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    // Longer than any time that a test advances; in frozen time it is over when that lets go.
    tokio::time::timeout(TOO_LONG * 600, what)
        .await
        .expect("it should have come by now")
}
