use crate::node::{Node, Timers};
use crate::redis::Redis;
use crate::write::Write;

/// One moment of the whole system.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct State<const NODES: usize> {
    pub(crate) redis: Redis<NODES>,
    /// The committed version.
    pub(crate) database: u8,
    pub(crate) nodes: [Node; NODES],
    pub(crate) writes: [Write<NODES>; 2],
    /// The version that no read that begins now may fall behind, wherever it begins.
    pub(crate) floor: u8,
    /// Whose first attempt to raise its hold is still on its way to Redis.
    pub(crate) stray: [bool; 2],
    pub(crate) left: Faults,
}

/// How often each thing may yet happen that could happen for ever.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Faults {
    /// Flush, restart or failover of Redis.
    pub rebirths: u8,
    /// Invalidations of another scope of the partition.
    pub others: u8,
    /// Raises that Redis executes without the writer hearing of it, or executes late.
    pub unanswered: u8,
    /// Evictions of the fence.
    pub evictions: u8,
}

impl<const NODES: usize> State<NODES> {
    /// Begins a timer: the leases of all pulses sent so far run out before it ends.
    pub(crate) fn begin_timer(&mut self, timer: Timers) {
        for node in &mut self.nodes {
            if let Some(timers) = &mut node.lease {
                *timers |= timer;
            }
            if let Some(reply) = &mut node.reply {
                reply.timers |= timer;
            }
        }
    }

    /// Forgets a timer that nobody waits for any longer.
    pub(crate) fn drop_timer(&mut self, timer: Timers) {
        for node in &mut self.nodes {
            if let Some(timers) = &mut node.lease {
                *timers &= !timer;
            }
            if let Some(reply) = &mut node.reply {
                reply.timers &= !timer;
            }
        }
    }

    /// The leases that run out before this timer ends. A reply whose lease has run out may as well
    /// be lost.
    pub(crate) fn run_out(&mut self, timer: Timers) -> bool {
        let mut any = false;
        for node in &mut self.nodes {
            if node.lease.is_some_and(|timers| timers & timer != 0) {
                node.lease = None;
                any = true;
            }
            if node.reply.is_some_and(|reply| reply.timers & timer != 0) {
                node.reply = None;
            }
        }
        any
    }

    pub(crate) fn timer_matters(&self, timer: Timers) -> bool {
        self.nodes.iter().any(|node| {
            node.lease.is_some_and(|timers| timers & timer != 0)
                || node.reply.is_some_and(|reply| reply.timers & timer != 0)
        })
    }

    /// All that the system knows of a node, to be compared.
    pub(crate) fn place(&self, at: usize) -> (Node, u8, [(u8, u8); 2]) {
        let waits = self.writes.map(|write| match write {
            Write::HoldWaits(wait) | Write::Waits { wait, .. } => {
                (wait.missing >> at & 1, wait.listed[at])
            }
            Write::Confirmed { due } => (0, due[at]),
            _ => (0, 0),
        });
        (self.nodes[at], self.redis.registry[at], waits)
    }

    /// Exchanges two nodes.
    pub(crate) fn swap(&mut self, left: usize, right: usize) {
        self.nodes.swap(left, right);
        self.redis.registry.swap(left, right);
        for write in &mut self.writes {
            if let Write::Confirmed { due } = write {
                due.swap(left, right);
            }
            if let Some(wait) = write.wait_mut() {
                wait.listed.swap(left, right);
                if wait.missing >> left & 1 != wait.missing >> right & 1 {
                    wait.missing ^= 1 << left | 1 << right;
                }
            }
        }
    }
}
