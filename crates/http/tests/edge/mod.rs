//! What the tests share: a calendar, an application before it, and a real Varnish before that.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

pub(crate) mod application;
pub(crate) mod calendar;
pub(crate) mod varnish;

use std::time::Duration;

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), what)
        .await
        .expect("it should have come by now")
}
