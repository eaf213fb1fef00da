//! All contenders: ours, the floors, and every peer. Run `cargo bench` in this folder.
//!
//! Each peer is used in the fastest way that its documentation shows, and so that it loses no event. Those that clone
//! the event for every listener get it in an `Arc`; queues have no bound or more room than the window of the
//! publishers.

mod contenders;

pub use contenders::entrants;
