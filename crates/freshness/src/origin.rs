//! The database, as one node sees it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use rustix::process::{Signal, getpid, kill_process};

use crate::{
    clock::Moment,
    history::{Commit, Key, Value, Version, Write},
    journal::Journal,
    wire::Report,
};

/// No fault ever touches the database, so only a machine that stands still takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own, whose every command is atomic and ordered with all others.
pub(crate) struct Origin {
    database: MultiplexedConnection,
    loads: AtomicU64,
    dies: AtomicBool,
    journal: Journal,
}

impl Origin {
    pub(crate) async fn connect(url: &str, journal: Journal) -> anyhow::Result<Self> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let database = redis::Client::open(url)?
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .context("the database does not answer")?;
        Ok(Self {
            database,
            loads: AtomicU64::new(0),
            dies: AtomicBool::new(false),
            journal,
        })
    }

    /// Takes the version first and some time afterwards, as an answer does that is on its way.
    pub(crate) async fn load(&self, key: Key) -> Value {
        let version: Option<Version> = redis::cmd("GET")
            .arg(key)
            .query_async(&mut self.database.clone())
            .await
            .expect("the database outlives its nodes");
        let nth = self.loads.fetch_add(1, Ordering::Relaxed);
        match nth % 8 {
            0..3 => tokio::time::sleep(Duration::from_millis(1 + nth % 3)).await,
            3..6 => tokio::task::yield_now().await,
            _ => {}
        }
        Value {
            key,
            version: version.unwrap_or(0),
        }
    }

    /// What a transaction does before its commit. Half of them take long enough for a fault to come
    /// between the hold and the commit.
    pub(crate) async fn prepare(&self) {
        match fastrand::u8(..8) {
            0..4 => tokio::time::sleep(Duration::from_millis(fastrand::u64(10..40))).await,
            4..6 => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => {}
        }
    }

    /// Commits. Does not return where the node is to die of it.
    pub(crate) async fn commit(&self, write: &mut Write) {
        let started = Moment::now();
        let version = redis::cmd("INCR")
            .arg(write.key)
            .query_async(&mut self.database.clone())
            .await
            .expect("the database outlives its nodes");
        write.commit = Some(Commit {
            version,
            started,
            ended: Moment::now(),
        });
        if self.dies.load(Ordering::SeqCst) {
            self.journal.report(&Report::Writes(vec![*write]));
            die();
        }
    }

    /// Makes the next commit the node's last act.
    pub(crate) fn die_after_commit(&self) {
        self.dies.store(true, Ordering::SeqCst);
    }
}

/// Ends this process without anything else being done by it.
fn die() -> ! {
    // The kernel ends every thread before this call returns to any.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
