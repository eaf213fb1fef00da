//! A Redis process of one's own.

use std::{io, net::SocketAddr, time::Duration};

use tempfile::TempDir;
use thiserror::Error;
use tokio::time::{sleep, timeout};

use crate::{
    PATIENCE,
    launch::Settings,
    monitor::Monitor,
    port::Port,
    process::Process,
    reply::{Connection, Reply},
};

/// How many ports are tried before giving up, should others always be faster.
const PORTS: usize = 5;

/// A Redis server on a port of 127.0.0.1, in a temporary folder.
///
/// Owns the process: dropping it kills the process and removes the folder.
#[derive(Debug)]
pub struct RedisServer {
    // Before the folder, which is removed when nobody writes there any more.
    process: Option<Process>,
    pid: u32,
    settings: Settings,
    port: Port,
    folder: TempDir,
}

/// Why a server could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Neither redis-server nor valkey-server is on the search path.
    #[error(
        "redis-server was not found; install it (Debian: apt-get install redis-server, \
         macOS: brew install redis) or run cargo xtask test, which does"
    )]
    Missing,
    /// It ended at once. Most often an option is wrong, and the log tells which.
    #[error("the server ended at once: {log}")]
    Ended {
        /// All that it wrote.
        log: String,
    },
    /// It runs and did not become ready. The machine is overloaded, or the server waits for
    /// something.
    #[error("the server was not ready within {} s: {log}", PATIENCE.as_secs())]
    NotReady {
        /// All that it wrote until then.
        log: String,
    },
    /// The system refused a process, a folder or a port, or the server a command.
    #[error("the server could not be set up")]
    Io(#[from] io::Error),
}

impl RedisServer {
    /// Starts an empty server that keeps nothing on disk, on a port that was free.
    ///
    /// It answers when this returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more settings than [`start`](Self::start), by their names in `redis.conf`.
    ///
    /// They win over the settings of `start` and hold for restarts too. A value of several words is
    /// several arguments, as in `redis.conf`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start_with(options: &[(&str, &str)]) -> Result<Self, StartError> {
        let settings = Settings::new(options);
        let folder = TempDir::with_prefix("vacancy-redis-")?;
        let mut ports = 0;
        loop {
            let port = Port::claim()?;
            ports += 1;
            match settings.launch(&port, &folder).await {
                Ok(process) => {
                    return Ok(Self {
                        pid: process.0.id(),
                        process: Some(process),
                        settings,
                        port,
                        folder,
                    });
                }
                // Somebody took the port between our look and the server's.
                Err(StartError::Ended { log }) if log.contains("in use") && ports < PORTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts a server that replicates `primary`, with the same password.
    ///
    /// When this returns, it has what `primary` had at the time of the call. After a restart it is a
    /// replica again, even if it was [promoted](Self::promote).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn replica_of(primary: &RedisServer) -> Result<Self, StartError> {
        let of = format!("127.0.0.1 {}", primary.port());
        let mut options = vec![("replicaof", of.as_str())];
        if let Some(password) = primary.settings.password() {
            options.extend([("requirepass", password), ("masterauth", password)]);
        }
        let replica = Self::start_with(&options).await?;
        replica
            .until(&["INFO", "replication"], |info| {
                info.contains("master_link_status:up")
            })
            .await?;
        Ok(replica)
    }

    /// The port it listens on, the same for all its life.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its address as clients want it, with the password if one was set.
    pub fn url(&self) -> String {
        let secret = self.settings.password().map(|word| format!(":{word}@"));
        format!("redis://{}{}", secret.unwrap_or_default(), self.address())
    }

    /// The id of its process, or of the last one when it was killed.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it as a power cut would. Nothing happens if it was killed before.
    ///
    /// It is gone when this returns. Blocks the thread until then, about a millisecond.
    ///
    /// # Cancel safety
    ///
    /// Never suspended.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub async fn kill(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(mut process) => process.end(),
            None => Ok(()),
        }
    }

    /// Kills it if it lives, and starts it on the same port and folder.
    ///
    /// It answers when this returns, and remembers nothing unless it was told to keep it on disk.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the server killed.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.kill().await?;
        let process = self.settings.launch(&self.port, &self.folder).await?;
        self.pid = process.0.id();
        self.process = Some(process);
        Ok(())
    }

    /// Stops its process in its tracks: connections stay open and nothing is answered.
    ///
    /// It stands still when this returns.
    ///
    /// # Errors
    ///
    /// When it was killed, or the system has no such thing.
    pub fn pause(&self) -> io::Result<()> {
        self.living()?.pause()
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// When it was killed, or the system has no such thing.
    pub fn resume(&self) -> io::Result<()> {
        self.living()?.resume()
    }

    /// Makes a replica a primary, which is a failover. It keeps what it has.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, it may have happened.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub async fn promote(&self) -> io::Result<()> {
        let reply = self.command(&["REPLICAOF", "NO", "ONE"]).await?;
        reply.accepted().map(drop)
    }

    /// Runs one command on a connection of its own, with the password if one was set.
    ///
    /// A refusal is a [`Reply::Error`].
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the command may have run.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, does not answer in time, or refuses the password.
    pub async fn command(&self, words: &[&str]) -> io::Result<Reply> {
        let asked = async { self.connect().await?.call(words).await };
        timeout(PATIENCE, asked).await?
    }

    /// Watches the commands that it runs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub async fn monitor(&self) -> io::Result<Monitor> {
        timeout(PATIENCE, async { Monitor::on(self.connect().await?).await }).await?
    }

    /// Repeats a command until its reply is a text that `holds`.
    pub(crate) async fn until(
        &self,
        words: &[&str],
        holds: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let asked = async {
            let mut connection = self.connect().await?;
            loop {
                let reply = connection.call(words).await?.accepted()?;
                if reply.text().is_some_and(&holds) {
                    return Ok(());
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, asked).await?
    }

    async fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.address(), self.settings.password()).await
    }

    fn living(&self) -> io::Result<&Process> {
        let killed = || io::Error::new(io::ErrorKind::NotFound, "the server was killed");
        self.process.as_ref().ok_or_else(killed)
    }
}
