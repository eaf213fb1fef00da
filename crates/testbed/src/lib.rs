//! Real Redis and PostgreSQL servers and a TCP fault proxy, for tests, examples and benchmarks.
//!
//! ```
//! use std::time::Duration;
//! use vacancy_testbed::{Direction, Fault, Proxy, RedisServer, Reply};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut redis = RedisServer::start().await?;
//! assert_eq!(redis.command(&["INCR", "n"]).await?, Reply::Integer(1));
//!
//! let proxy = Proxy::start(redis.address()).await?; // clients connect to `proxy.url()`
//! proxy.set(Fault::Delay(Duration::from_millis(3)));
//! proxy.set(Fault::Drop(Direction::ToClient)); // half-open: commands arrive, replies do not
//! proxy.set(Fault::None);
//!
//! redis.restart().await?; // the same port, an empty memory
//! assert_eq!(redis.command(&["GET", "n"]).await?, Reply::Bulk(None));
//! # Ok(())
//! # }
//! ```
//!
//! Every server is a process of its own in a temporary folder, listens on 127.0.0.1 only, and ends with the value
//! that started it. Everything that waits gives up after half a minute with an error.
//!
//! Nothing ends servers whose owner was itself killed. All of this is real time: it does not go with
//! a paused clock of tokio, on which those limits would be over at once.

mod cluster;
mod fault;
mod launch;
mod monitor;
mod port;
mod postgres_server;
mod process;
mod proxy;
mod pump;
mod redis_server;
mod reply;

pub use crate::{
    cluster::Cluster,
    fault::{Direction, Fault},
    monitor::Monitor,
    postgres_server::{PostgresServer, PostgresStartError},
    proxy::Proxy,
    redis_server::{RedisServer, StartError},
    reply::Reply,
};

/// Longer than anything here takes on a busy machine, and short enough to see which test hangs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
