//! [`Event`]: a fact with a stable name and version.

use crate::BusBuilder;

/// A fact that has happened, named in the past tense.
///
/// Implemented by the application for each of its event types. Events are shared between listeners,
/// never cloned for them.
///
/// # Examples
///
/// ```
/// use vacancy_dispatch::Event;
///
/// struct AppointmentBooked {
///     seat: u32,
/// }
///
/// impl Event for AppointmentBooked {
///     const NAME: &'static str = "appointment.booked";
/// }
/// ```
pub trait Event: Send + Sync + 'static {
    /// The name of the event in logs, ledgers and dead letters: stable across renames of the Rust
    /// type, and different for every event type of a bus.
    const NAME: &'static str;

    /// The version of the event's shape, raised when its meaning changes.
    const VERSION: u16 = 1;

    /// Called when a bus hears of this type of event; for events that the bus itself dispatches.
    #[doc(hidden)]
    fn connect(_: &mut BusBuilder) {}
}
