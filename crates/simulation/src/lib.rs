//! A Redis in memory, for simulations of the cache.

mod peer;
mod resp;
mod rules;
mod script;
mod server;
mod store;

pub use peer::Peer;
pub use resp::{Protocol, Reply, command};
pub use server::{Server, Snapshot};
