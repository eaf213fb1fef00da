//! [`Dispatcher`]: what every contender can do.

use crate::dispatch::{Booked, Work};

/// A way to get an event to its listeners.
///
/// A clone publishes to the same listeners: there is one for every publisher.
pub trait Dispatcher: Clone + Send + 'static {
    /// Its name in the tables.
    const NAME: &'static str;

    /// Begins with one listener for each of `works`, on the runtime that it is called on.
    fn start(works: Vec<Work>) -> impl Future<Output = Self> + Send;

    /// Publishes one event.
    ///
    /// One that does not wait does its work before it returns and hands back a future that is ready, so that the event
    /// is not moved once more.
    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send;
}
