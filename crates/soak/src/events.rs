//! The events of the load.

use tokio::time::Instant;
use vacancy_dispatch::Event;

/// What publishers dispatch.
pub(crate) struct Booked {
    /// Drawn at random; says which listeners fail at it.
    pub(crate) number: u64,
    /// When it was given to `dispatch`.
    pub(crate) dispatched: Instant,
    /// So that an event that is kept too long shows in the memory.
    pub(crate) note: Box<[u8; 256]>,
}

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

/// What a listener dispatches.
pub(crate) struct Invoiced(pub(crate) u64);

impl Event for Invoiced {
    const NAME: &'static str = "invoice.written";
}
