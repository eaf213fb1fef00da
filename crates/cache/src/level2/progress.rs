//! Up to which of this process's invalidations Redis, and all nodes, have been reached.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::store::Position;

pub(crate) struct Progress {
    reached: watch::Sender<Reached>,
    /// The last of this process's notices.
    latest: Mutex<Option<Position>>,
}

/// Numbers of the outbox: all up to them have come so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// To Redis.
    pub(crate) redis: u64,
    /// To every node that may serve from its level 1; for bounded consistency, to Redis.
    pub(crate) everybody: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            reached: watch::Sender::new(Reached::default()),
            latest: Mutex::new(None),
        }
    }
}

impl Progress {
    pub(crate) fn reached_redis(&self, upto: u64, at: Position) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.reached
            .send_modify(|reached| reached.redis = reached.redis.max(upto));
    }

    pub(crate) fn reached_everybody(&self, upto: u64) {
        self.reached
            .send_modify(|reached| reached.everybody = reached.everybody.max(upto));
    }

    /// Waits until all up to `upto` has reached everybody.
    pub(crate) async fn everybody(&self, upto: u64) {
        let mut reached = self.reached.subscribe();
        // The sender is in `self`, so it is never gone.
        let _ = reached.wait_for(|reached| reached.everybody >= upto).await;
    }

    pub(crate) fn now(&self) -> Reached {
        *self.reached.borrow()
    }

    pub(crate) fn latest(&self) -> Option<Position> {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Progress};

    #[test]
    fn the_latest_position_is_that_of_the_last_raise() {
        let progress = Progress::default();
        assert_eq!(progress.latest(), None);
        let at = |number| Position {
            incarnation: "a".into(),
            number,
        };
        progress.reached_redis(3, at(7));
        progress.reached_redis(4, at(9));
        assert_eq!(progress.latest(), Some(at(9)));
        progress.reached_everybody(3);
        let now = progress.now();
        assert_eq!((now.redis, now.everybody), (4, 3));
    }
}
