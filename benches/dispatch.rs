//! The bus beside its peers and the floors that one would write by hand: what a dispatch costs, how many events a
//! second are handled, how late listeners start, and what it takes of memory.
//!
//! Every contender gets the same event and the same listeners, each on a runtime of its own with two workers. Those
//! whose name ends in *(inline)* run the listeners inside the dispatch.

mod comparison;
mod contenders;
mod cost;
mod dispatcher;
mod entrant;
mod event;
mod field;
mod latency;
mod memory;
mod throughput;
mod work;

pub use comparison::{OURS, compare, compare_memory};
pub use contenders::entrants;
pub use dispatcher::Dispatcher;
pub use entrant::Entrant;
pub use event::Booked;
pub use work::Work;
