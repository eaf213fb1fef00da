//! [`Subscriber`]: several listeners registered at once.

use crate::BusBuilder;

/// A type that listens to several events, or to one event both inline and in a lane.
///
/// Called once, by [`BusBuilder::subscribe`].
pub trait Subscriber {
    /// Adds this type's listeners to `bus`.
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder;
}
