//! [`EventRef`]: an event as a person names it.

use std::{fmt, str::FromStr};

use vacancy_dispatch::EventId;

/// An event as a person names it: by its id, or by its number on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventRef {
    /// What the id prints.
    Id(String),
    Number(u64),
}

/// It is neither an id nor a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event is named by its id, sixteen hexadecimal digits, a dash and a number, or by the number"
)]
pub(crate) struct NotAnEvent;

impl EventRef {
    pub(crate) fn is(&self, id: EventId) -> bool {
        match self {
            Self::Id(text) => *text == id.to_string(),
            Self::Number(number) => *number == id.sequence(),
        }
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(text) => f.write_str(text),
            Self::Number(number) => write!(f, "event {number}"),
        }
    }
}

impl FromStr for EventRef {
    type Err = NotAnEvent;

    fn from_str(text: &str) -> Result<Self, NotAnEvent> {
        let Some((incarnation, sequence)) = text.split_once('-') else {
            return text.parse().map(Self::Number).map_err(|_| NotAnEvent);
        };
        let of_bus = u64::from_str_radix(incarnation, 16).map_err(|_| NotAnEvent)?;
        let number: u64 = sequence.parse().map_err(|_| NotAnEvent)?;
        let id = format!("{of_bus:016x}-{number}");
        (id == text).then_some(Self::Id(id)).ok_or(NotAnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_id_or_its_number() {
        let id = "00c0ffee00c0ffee-17";
        assert_eq!(id.parse(), Ok(EventRef::Id(id.to_owned())));
        assert_eq!("17".parse(), Ok(EventRef::Number(17)));
        for text in [
            "",
            "-",
            "17-",
            "c0ffee-17",
            "00c0ffee00c0ffee-+17",
            "-17",
            "mail",
        ] {
            assert_eq!(text.parse::<EventRef>(), Err(NotAnEvent), "{text}");
        }
    }
}
