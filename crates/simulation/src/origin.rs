//! The database that the cache is in front of.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;

use crate::history::History;

/// The database that the cache is in front of. A handle: clones share it.
///
/// It is never wrong and often slow: a load that a commit overtakes gives what was true before.
#[derive(Debug, Clone)]
pub struct Origin(Arc<Mutex<History>>);

/// The database did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

impl Origin {
    /// A database that writes down what happens.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self(Arc::new(Mutex::new(history)))
    }

    /// What has happened, and what happens next.
    ///
    /// # Panics
    ///
    /// After a panic of somebody who held it.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().expect("a panic ends the run")
    }

    /// Gives the version of a key.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    ///
    /// Now and then.
    pub async fn load(&self, key: usize, rng: &mut Rng) -> Result<u64, Unanswered> {
        wait(rng, 6).await;
        if rng.u8(..) < 4 {
            return Err(Unanswered);
        }
        let version = {
            let mut history = self.history();
            let version = history.version(key);
            history.note(format_args!("the database reads {key}@{version}"));
            version
        };
        let slow = if rng.u8(..) < 24 { 150 } else { 8 };
        wait(rng, slow).await;
        Ok(version)
    }
}

/// Waits for some time, at most this many milliseconds.
pub(crate) async fn wait(rng: &mut Rng, most: u64) {
    tokio::time::sleep(Duration::from_millis(rng.u64(0..=most))).await;
}
