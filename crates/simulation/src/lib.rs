//! The cache on several nodes over one Redis, in simulated time and under faults, all of it drawn from one seed.
//!
//! A [`Simulation`] starts nodes with readers and writers, breaks things, and gives an [`Outcome`] with
//! every read that was stale. `cargo xtask simulate` runs many; `--trace --from SEED` runs one again with
//! as few faults as break it and prints all that happened.
//!
//! # What is real
//!
//! - The cache, its level 2, the client of Redis and the scripts, which run in Lua.
//! - The replies of the [`Server`]: `tests/faithful.rs` compares them with those of a `redis-server`.
//!
//! # What is simulated
//!
//! - Each [`Host`] has tasks and a clock of its own. Clocks differ in rate, and go on while a host is
//!   paused.
//! - The [`Network`] delivers late, in order, or never again; a stream that has lost bytes stays silent.
//! - The server restarts, falls back to data of a while ago, forgets, fills up and is demoted:
//!   see [`Fault`].
//! - The database behind the cache is always right and often slow: see [`Origin`].
//!
//! # What is not
//!
//! - Threads: everything runs in one, so races between atomics are not found here but in the models of
//!   the cache.
//! - Two masters at a time, and a cluster.
//! - How the cache dials in production: connections are made anew by simpler code.
//!
//! The parts that simulate the cache itself exist under `--cfg vacancy_simulation` alone, which
//! `cargo xtask simulate` sets.

#[cfg(vacancy_simulation)]
mod cached;
mod fault;
mod history;
mod host;
mod network;
mod origin;
mod peer;
mod report;
mod resp;
mod rules;
mod script;
mod server;
mod simulation;
mod store;
mod subject;
mod sweep;
mod tally;
mod violation;
mod workload;
mod world;

#[cfg(vacancy_simulation)]
pub use cached::{Cached, start_cache};
pub use fault::{Fault, Planned};
pub use history::{Held, History, Reading};
pub use host::Host;
pub use network::{Direction, Network, Stream, Streams};
pub use origin::{Origin, Unanswered};
pub use peer::Peer;
pub use report::Report;
pub use resp::{Protocol, Reply, command};
pub use server::{Server, Snapshot};
pub use simulation::{Outcome, Simulation, Start};
pub use subject::{Read, Subject, Unconfirmed};
pub use sweep::run_all;
pub use tally::Tally;
pub use violation::{Promise, Violation};
pub use workload::Settings;
