//! [`EventRef`]: an event as a person names it.

use std::{fmt, str::FromStr};

use vacancy_dispatch::{Bus, EventId};

/// An event as a person names it: by its id, or by its number on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventRef {
    Id(EventId),
    Number(u64),
}

/// It is neither an id nor a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event is named by its id, sixteen hexadecimal digits, a dash and a number, or by the number"
)]
pub(crate) struct NotAnEvent;

impl EventRef {
    pub(crate) fn on(self, bus: &Bus) -> EventId {
        match self {
            Self::Id(id) => id,
            Self::Number(number) => bus.event_id(number),
        }
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Number(number) => write!(f, "event {number}"),
        }
    }
}

impl FromStr for EventRef {
    type Err = NotAnEvent;

    fn from_str(text: &str) -> Result<Self, NotAnEvent> {
        let number = text.parse().map(Self::Number);
        number.or_else(|_| text.parse().map(Self::Id).map_err(|_| NotAnEvent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_id_or_its_number() {
        let id = "00c0ffee00c0ffee-17";
        let named: EventRef = id.parse().expect("an id");
        assert!(matches!(named, EventRef::Id(_)), "{named:?}");
        assert_eq!(named.to_string(), id);
        assert_eq!("17".parse(), Ok(EventRef::Number(17)));
        for text in ["", "-", "17-", "c0ffee-17", "-17", "mail"] {
            assert_eq!(text.parse::<EventRef>(), Err(NotAnEvent), "{text}");
        }
    }
}
