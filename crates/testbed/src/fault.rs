//! What can be wrong with a connection.

use std::time::Duration;

/// What a [`Proxy`](crate::Proxy) does to the connections it carries.
///
/// A chunk of bytes that it has read is subject to the fault of the moment in which it would be
/// handed on, so a fault that is lifted lets everything go that it held back, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// New connections are reset at once. Existing ones go on.
    Refuse,
    /// All connections are reset now, and new ones at once.
    Cut,
    /// Bytes are held back, and the ends of connections too; new connections are accepted.
    ///
    /// Both are delivered when the fault is lifted. Beyond some megabytes the sender has to wait.
    BlackHole(Direction),
    /// Bytes are lost, and the ends of connections too; new connections are accepted.
    ///
    /// A connection that has once met this fault loses everything in that direction for ever: it is
    /// half-open, as after a router has forgotten it.
    Drop(Direction),
    /// Every byte arrives that much later, each way, in order and without waiting for the one before.
    ///
    /// tokio's timer is exact to a millisecond and rounds up, so a delay is at most that much longer.
    Delay(Duration),
    /// That many bytes a second pass, each way, on each connection. Zero counts as one.
    Throttle(u32),
    /// After that many bytes to the client, the next one closes the connection instead.
    ///
    /// Counts from the moment in which the fault is set, or the connection opened if that is later.
    /// What the client sent before that has reached the server, so with `0` a command is carried out
    /// and its reply lost.
    TruncateAfter(u64),
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server: commands.
    ToServer,
    /// From the server to the client: replies and notices.
    ToClient,
    /// Each way.
    Both,
}

/// One way of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

impl Direction {
    pub(crate) fn covers(self, way: Way) -> bool {
        match self {
            Self::ToServer => way == Way::ToServer,
            Self::ToClient => way == Way::ToClient,
            Self::Both => true,
        }
    }
}

impl Fault {
    pub(crate) fn loses(self, way: Way) -> bool {
        matches!(self, Self::Drop(direction) if direction.covers(way))
    }
}
