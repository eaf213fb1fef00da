//! A model of the protocol by which the caches of several processes share a Redis: fences, notices,
//! leases, acknowledgements, holds, and lives of Redis. `stateright` explores every state of it.
//!
//! # What is modelled
//!
//! One partition, one key with one scope, three nodes, two writes. A value is the number of commits
//! that it has seen. Redis runs each script in one step. Notices are never taken off the network:
//! each node hears each of them at any time, in any order, again, or never. A reply to a pulse comes
//! at any time, or is lost when the next pulse is sent.
//!
//! # What is left out, and why nothing is lost by it
//!
//! - *Clocks.* A lease runs out before a wait ends that began after its pulse. So each lease carries
//!   the timers that were begun after it, and the end of a timer ends those leases; nothing else
//!   does. A lease counts from the step in which Redis executed its pulse, and a wait from the step
//!   in which it executed the raise. Leases that begin at the sending end sooner, and waits that
//!   begin at the reply end later. The ratio of the clocks' rates is not modelled.
//! - *Readers.* No step depends on a value, and an older value only breaks more promises. So the
//!   worst that readers can do is to read at every moment, on every node, wherever something may be
//!   kept: the model does that after each step. A load that departed and an entry of level 1 are
//!   given to later readers under the same condition, so one field stands for the older of them.
//!   What a load may write to level 2 counts as written, and as written again at any time.
//! - *Acknowledgements.* One that is lost or late is one after which time confirms, or the writer
//!   goes on later: both are always possible.
//! - *Candidates.* A reply whose number a node has not reached grants its lease when it does: that
//!   is a reply that came then.
//! - *Spans* and logs that end: they keep out less, or more, of one scope; the cache's own tests are
//!   about them.
//! - *Order of readers.* Nodes that write nothing are exchangeable, and sorted.
//!
//! # What is not covered
//!
//! Two servers that both believe themselves master: a node that renews its lease at the one is not
//! in the registry of the other. Any number of rebirths, retries and evictions beyond the bounds of
//! the tests. All faults together were explored for two nodes and one write only.

mod node;
mod planted;
mod properties;
mod protocol;
mod redis;
mod state;
mod witness;
mod write;

pub use planted::Planted;
pub use protocol::{Guard, Plan, Protocol, Step};
pub use state::{Faults, State};
pub use witness::{Witness, Witnesses};
