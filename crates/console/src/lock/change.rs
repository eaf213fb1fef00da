//! [`Change`]: one difference between what a bus is now and what was locked.

use std::fmt;

use crate::printable::Printable;

/// One difference between what a bus is now and what was locked.
///
/// Its `Display` names it in one line, control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Of an event as a whole.
    Event {
        /// Its name.
        event: String,
        /// What changed.
        change: EventChange,
    },
    /// Of a listener.
    Listener {
        /// The event.
        event: String,
        /// The listener's name.
        listener: String,
        /// What changed.
        change: ListenerChange,
    },
    /// Of a field.
    Field {
        /// The event.
        event: String,
        /// The field's path. The fields inside one that is new or gone are not named again.
        field: String,
        /// What changed.
        change: FieldChange,
    },
}

/// What changed in an event as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventChange {
    /// Breaking: it is neither listened to, declared nor sampled.
    Disappeared,
    /// Breaking: its version is lower than it was.
    VersionLowered {
        /// The version that it had.
        was: u16,
        /// The version that it has.
        is: u16,
    },
    /// Breaking: fields disappeared or have other types, and the version is the same. Raise
    /// [`Event::VERSION`](vacancy_dispatch::Event::VERSION), unless only the samples are others.
    VersionNotRaised {
        /// The version.
        version: u16,
    },
    /// Breaking: its fields were locked, and there is no sample of it any more.
    SampleDisappeared,
    /// It is new.
    Appeared,
    /// Its version is higher than it was.
    VersionRaised {
        /// The version that it had.
        was: u16,
        /// The version that it has.
        is: u16,
    },
    /// It has a sample, and had none.
    SampleAppeared,
}

/// What changed in a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerChange {
    /// Breaking: nobody of this name listens to the event.
    Disappeared,
    /// Breaking: it is there, but will not be called.
    Disabled,
    /// Breaking: the bus would be built without it.
    NotRequired,
    /// Breaking: it was inline and has a lane, or the other way round.
    Kind {
        /// What it was: `inline` or `lane`.
        was: String,
        /// What it is.
        is: String,
    },
    /// It is new.
    Appeared,
    /// It was disabled.
    Enabled,
    /// It was not required.
    Required,
    /// A setting of its policy is another one.
    Policy {
        /// The setting, as a serialized topology names it.
        setting: String,
        /// What it was, as JSON; none if it was not set.
        was: Option<String>,
        /// What it is; none if it is not set.
        is: Option<String>,
    },
}

/// What changed in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldChange {
    /// Breaking: no sample has it.
    Disappeared,
    /// Breaking: it has other types.
    Types {
        /// The types that it had.
        was: String,
        /// The types that it has.
        is: String,
    },
    /// It is new.
    Appeared,
}

impl Change {
    /// Whether somebody may rely on what was before: something was taken away or turned into something
    /// else, not added or set differently.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        match self {
            Self::Event { change, .. } => match change {
                EventChange::Disappeared
                | EventChange::VersionLowered { .. }
                | EventChange::VersionNotRaised { .. }
                | EventChange::SampleDisappeared => true,
                EventChange::Appeared
                | EventChange::VersionRaised { .. }
                | EventChange::SampleAppeared => false,
            },
            Self::Listener { change, .. } => match change {
                ListenerChange::Disappeared
                | ListenerChange::Disabled
                | ListenerChange::NotRequired
                | ListenerChange::Kind { .. } => true,
                ListenerChange::Appeared
                | ListenerChange::Enabled
                | ListenerChange::Required
                | ListenerChange::Policy { .. } => false,
            },
            Self::Field { change, .. } => match change {
                FieldChange::Disappeared | FieldChange::Types { .. } => true,
                FieldChange::Appeared => false,
            },
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { event, change } => write!(f, "event {} {change}", Printable(event)),
            Self::Listener {
                event,
                listener,
                change,
            } => {
                let (event, listener) = (Printable(event), Printable(listener));
                write!(f, "listener {listener} of {event} {change}")
            }
            Self::Field {
                event,
                field,
                change,
            } => {
                let (event, field) = (Printable(event), Printable(field));
                write!(f, "field {field} of {event} {change}")
            }
        }
    }
}

impl fmt::Display for EventChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disappeared => f.write_str("disappeared"),
            Self::VersionLowered { was, is } => {
                write!(f, "had version {was} and has {is}, a lower one")
            }
            Self::VersionNotRaised { version } => {
                write!(f, "has other fields and still version {version}")
            }
            Self::SampleDisappeared => f.write_str("has no sample any more"),
            Self::Appeared => f.write_str("is new"),
            Self::VersionRaised { was, is } => write!(f, "had version {was} and has {is}"),
            Self::SampleAppeared => f.write_str("has a sample now"),
        }
    }
}

impl fmt::Display for ListenerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disappeared => f.write_str("disappeared"),
            Self::Disabled => f.write_str("is disabled"),
            Self::NotRequired => f.write_str("is no longer required"),
            Self::Kind { was, is } => {
                write!(f, "was of kind {} and is {}", Printable(was), Printable(is))
            }
            Self::Appeared => f.write_str("is new"),
            Self::Enabled => f.write_str("is no longer disabled"),
            Self::Required => f.write_str("is required now"),
            Self::Policy { setting, was, is } => {
                let [was, is] = [was, is].map(|value| value.as_deref().unwrap_or("not set"));
                let (was, is) = (Printable(was), Printable(is));
                write!(f, "had {} {was} and has {is}", Printable(setting))
            }
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disappeared => f.write_str("disappeared"),
            Self::Types { was, is } => write!(f, "was {} and is {}", Printable(was), Printable(is)),
            Self::Appeared => f.write_str("is new"),
        }
    }
}
