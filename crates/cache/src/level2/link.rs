//! The connections to the server, made anew when they fail.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, Cmd, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub},
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
};
use tokio::time::timeout;

use super::store::StoreError;

/// How many calls in a row may be left without an answer before their connection is given up. A
/// half-open connection never ends by itself.
const PATIENCE: u32 = 3;

/// Where the server is.
#[derive(Clone)]
pub(crate) enum Server {
    Single(Box<Client>),
    Cluster {
        client: Box<ClusterClient>,
        /// The nodes that the user named; any of them passes notices on.
        seeds: Vec<Client>,
    },
    #[cfg(vacancy_simulation)]
    Dialed(std::sync::Arc<dyn crate::simulation::Dial>),
}

/// The connection for commands, shared by all tasks, and the way to new ones.
pub(crate) struct Link {
    server: Server,
    limit: Duration,
    wire: Mutex<Option<Wire>>,
    /// Calls in a row that were not answered in time.
    silent: AtomicU32,
    /// Which seed of a cluster to subscribe at next.
    next_seed: AtomicUsize,
}

/// One connection for commands.
#[derive(Clone)]
enum Wire {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    #[cfg(vacancy_simulation)]
    Dialed(redis::aio::MultiplexedConnection),
}

impl Link {
    /// `limit` is how long one call may take.
    pub(crate) fn new(server: Server, limit: Duration) -> Self {
        Self {
            server,
            limit,
            wire: Mutex::new(None),
            silent: AtomicU32::new(0),
            next_seed: AtomicUsize::new(0),
        }
    }

    /// Calls the server, within the limit.
    pub(crate) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let called = timeout(self.limit, async {
            let mut connection = Connection(self.wire().await?);
            call(&mut connection).await
        });
        match called.await {
            Ok(Ok(answer)) => {
                self.silent.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.failed(&error);
                Err(StoreError::from(error))
            }
            Err(_) => {
                if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
                    self.give_up();
                }
                Err(StoreError::TimedOut)
            }
        }
    }

    /// A connection that hears the channels, once the server has confirmed it.
    pub(crate) async fn subscribe(&self, channels: &[String]) -> Result<PubSub, StoreError> {
        let subscribed = timeout(self.limit.max(Duration::from_secs(1)), async {
            let mut hearing = self.hearing().await?;
            hearing.subscribe(channels).await?;
            Ok(hearing)
        });
        subscribed.await.map_err(|_| StoreError::TimedOut)?
    }

    async fn hearing(&self) -> Result<PubSub, StoreError> {
        match &self.server {
            Server::Single(client) => Ok(client.get_async_pubsub().await?),
            Server::Cluster { seeds, .. } => {
                let next = self.next_seed.fetch_add(1, Ordering::Relaxed);
                let seed = seeds.get(next % seeds.len().max(1));
                let seed = seed.ok_or_else(|| StoreError::Refused("no address".into()))?;
                Ok(seed.get_async_pubsub().await?)
            }
            #[cfg(vacancy_simulation)]
            Server::Dialed(dial) => {
                let stream = dial.dial().await.map_err(RedisError::from)?;
                Ok(PubSub::new(&redis::RedisConnectionInfo::default(), stream).await?)
            }
        }
    }

    #[cfg_attr(
        not(vacancy_simulation),
        expect(clippy::unused_async, reason = "the simulation dials here")
    )]
    async fn wire(&self) -> Result<Wire, RedisError> {
        if let Some(wire) = &*self.slot() {
            return Ok(wire.clone());
        }
        let wire = match &self.server {
            Server::Single(client) => {
                // Every failed call begins another attempt, so one at a time is enough.
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(1)
                    .set_min_delay(Duration::from_millis(10))
                    .set_connection_timeout(Some(self.limit.max(Duration::from_secs(1))))
                    .set_response_timeout(None);
                Wire::Single(ConnectionManager::new_lazy_with_config(
                    Client::clone(client),
                    config,
                )?)
            }
            Server::Cluster { client, .. } => {
                let config = ClusterConfig::new()
                    .set_connection_timeout(self.limit.max(Duration::from_secs(1)))
                    .set_response_timeout(self.limit);
                Wire::Cluster(client.get_pending_async_connection_with_config(config))
            }
            #[cfg(vacancy_simulation)]
            Server::Dialed(dial) => {
                let stream = dial.dial().await.map_err(RedisError::from)?;
                let info = redis::RedisConnectionInfo::default();
                let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
                let (connection, driver) =
                    redis::aio::MultiplexedConnection::new_with_config(&info, stream, config)
                        .await?;
                tokio::spawn(driver);
                Wire::Dialed(connection)
            }
        };
        Ok(self.slot().get_or_insert(wire).clone())
    }

    fn failed(&self, error: &RedisError) {
        self.silent.store(0, Ordering::Relaxed);
        let refused = match &self.server {
            // The manager makes a connection anew that has broken, but goes on for ever with the failure of
            // one that was refused when it was made, or whose first replies could not be read.
            Server::Single(_) => !error.is_io_error(),
            // A server that has become a replica keeps its connections, and would go on refusing here.
            Server::Cluster { .. } => {
                error.code() == Some(REPLICA) || error.code() == Some("READONLY")
            }
            #[cfg(vacancy_simulation)]
            Server::Dialed(_) => true,
        };
        if refused {
            self.give_up();
        }
    }

    fn give_up(&self) {
        self.silent.store(0, Ordering::Relaxed);
        let wire = self.slot().take();
        drop(wire);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Wire>> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the scripts say that the server is a replica.
const REPLICA: &str = "VACANCYREPLICA";

/// One connection, whatever kind of server it leads to.
pub(crate) struct Connection(Wire);

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.0 {
            Wire::Single(connection) => connection.req_packed_command(cmd),
            Wire::Cluster(connection) => connection.req_packed_command(cmd),
            #[cfg(vacancy_simulation)]
            Wire::Dialed(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.0 {
            Wire::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Wire::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(vacancy_simulation)]
            Wire::Dialed(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl From<RedisError> for StoreError {
    /// Keeps the kind and the code. The rest may quote what was sent.
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        let kind = error.category();
        Self::Refused(match error.code() {
            Some(code) => format!("{kind} ({code})"),
            None => kind.to_owned(),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Cluster { .. } => "Cluster",
            #[cfg(vacancy_simulation)]
            Self::Dialed(_) => "Dialed",
        })
    }
}
