//! What the tests share: gates in place of sleeps, and waits that end.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

pub(crate) mod claims;
pub(crate) mod diary;
#[cfg(feature = "redis")]
pub(crate) mod nodes;
#[cfg(feature = "redis")]
pub(crate) mod salon;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// A place in the code under test where a test decides when to go on.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A gate that is shut.
    pub(crate) fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Stands before the gate until the test lets one pass.
    pub(crate) async fn pass(&self) {
        self.entered.add_permits(1);
        self.open
            .acquire()
            .await
            .expect("the gate is never closed")
            .forget();
    }

    /// Waits until somebody stands before the gate.
    pub(crate) async fn entered(&self) {
        soon(self.entered.acquire())
            .await
            .expect("the gate is never closed")
            .forget();
    }

    /// Lets one pass.
    pub(crate) fn release(&self) {
        self.open.add_permits(1);
    }

    /// How many stand before the gate, beyond those already waited for.
    pub(crate) fn waiting(&self) -> usize {
        self.entered.available_permits()
    }
}

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it should have come by now")
}

/// Waits until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets every task that can run do so, on a runtime of one thread.
pub(crate) async fn until_idle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
