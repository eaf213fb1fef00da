//! What all tests of the dispatcher share.

use std::time::Duration;

use vacancy::dispatch::Event;

/// An event with a number.
#[derive(PartialEq, Eq)]
pub(crate) struct Ping(pub(crate) u64);

impl Event for Ping {
    const NAME: &'static str = "ping";
}

/// Waits, but fails the test instead of waiting for ever.
pub(crate) async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("waited for too long")
}
