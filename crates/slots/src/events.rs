//! The three events that change what is free.
//!
//! Each is serialized with its name and version beside its fields, for instance
//! `{"event":"appointment.booked","version":1,"appointment":{…}}`. Another name or version is an
//! error that says so; fields that are not known are ignored.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use vacancy_dispatch::Event;

use crate::appointment::Appointment;

/// An appointment was booked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppointmentBooked {
    /// What was booked.
    pub appointment: Appointment,
}

/// An appointment was moved to another time, place or resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppointmentRescheduled {
    /// The appointment as it is now.
    pub appointment: Appointment,
    /// The appointment as it was. Its id is another one where the source books anew.
    pub previous: Appointment,
}

/// An appointment was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppointmentCancelled {
    /// What was cancelled.
    pub appointment: Appointment,
    /// Why, in the words of whoever cancelled it.
    pub reason: Option<String>,
    /// Who cancelled it, as the application names people.
    pub actor: Option<String>,
}

impl Event for AppointmentBooked {
    const NAME: &'static str = "appointment.booked";
    const VERSION: u16 = 1;
}

impl Event for AppointmentRescheduled {
    const NAME: &'static str = "appointment.rescheduled";
    const VERSION: u16 = 1;
}

impl Event for AppointmentCancelled {
    const NAME: &'static str = "appointment.cancelled";
    const VERSION: u16 = 1;
}

impl AppointmentBooked {
    /// The event that this appointment was booked.
    #[must_use]
    pub const fn new(appointment: Appointment) -> Self {
        Self { appointment }
    }
}

impl AppointmentRescheduled {
    /// The event that the appointment `before` became the appointment `after`.
    #[must_use]
    pub const fn new(before: Appointment, after: Appointment) -> Self {
        Self {
            appointment: after,
            previous: before,
        }
    }
}

impl AppointmentCancelled {
    /// The event that this appointment was cancelled.
    #[must_use]
    pub const fn new(appointment: Appointment) -> Self {
        Self {
            appointment,
            reason: None,
            actor: None,
        }
    }

    /// Says why.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says who did it.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }
}

/// An event's fields beside its name and version.
///
/// Both are checked as they are read, before the fields are: a body of another version is reported
/// as such, not as the first field that it lacks.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(bound(serialize = "B: Serialize", deserialize = "B: Deserialize<'de>"))]
struct Wire<E: Event, B> {
    event: Name<E>,
    version: Version<E>,
    #[serde(flatten)]
    body: B,
}

impl<E: Event, B> Wire<E, B> {
    const fn new(body: B) -> Self {
        Self {
            event: Name(PhantomData),
            version: Version(PhantomData),
            body,
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Booked<'a> {
    appointment: Cow<'a, Appointment>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Rescheduled<'a> {
    appointment: Cow<'a, Appointment>,
    previous: Cow<'a, Appointment>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Cancelled<'a> {
    appointment: Cow<'a, Appointment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Cow<'a, str>>,
}

impl Serialize for AppointmentBooked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = Booked {
            appointment: Cow::Borrowed(&self.appointment),
        };
        Wire::<Self, _>::new(body).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AppointmentBooked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Wire::<Self, Booked<'_>>::deserialize(deserializer)?.body;
        Ok(Self {
            appointment: body.appointment.into_owned(),
        })
    }
}

impl Serialize for AppointmentRescheduled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = Rescheduled {
            appointment: Cow::Borrowed(&self.appointment),
            previous: Cow::Borrowed(&self.previous),
        };
        Wire::<Self, _>::new(body).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AppointmentRescheduled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Wire::<Self, Rescheduled<'_>>::deserialize(deserializer)?.body;
        Ok(Self {
            appointment: body.appointment.into_owned(),
            previous: body.previous.into_owned(),
        })
    }
}

impl Serialize for AppointmentCancelled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = Cancelled {
            appointment: Cow::Borrowed(&self.appointment),
            reason: self.reason.as_deref().map(Cow::Borrowed),
            actor: self.actor.as_deref().map(Cow::Borrowed),
        };
        Wire::<Self, _>::new(body).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AppointmentCancelled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Wire::<Self, Cancelled<'_>>::deserialize(deserializer)?.body;
        Ok(Self {
            appointment: body.appointment.into_owned(),
            reason: body.reason.map(Cow::into_owned),
            actor: body.actor.map(Cow::into_owned),
        })
    }
}

struct Name<E>(PhantomData<E>);

impl<E: Event> Serialize for Name<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(E::NAME)
    }
}

impl<'de, E: Event> Deserialize<'de> for Name<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == E::NAME {
            return Ok(Self(PhantomData));
        }
        Err(de::Error::custom(Mismatch {
            expected: E::NAME,
            found: &name,
        }))
    }
}

struct Mismatch<'a> {
    expected: &'static str,
    found: &'a str,
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name comes from outside; a megabyte of it helps nobody.
        let shown: String = self.found.chars().take(64).collect();
        write!(f, "expected the event {:?}, found {shown:?}", self.expected)
    }
}

struct Version<E>(PhantomData<E>);

impl<E: Event> Serialize for Version<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(E::VERSION)
    }
}

impl<'de, E: Event> Deserialize<'de> for Version<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = u64::deserialize(deserializer)?;
        if version == u64::from(E::VERSION) {
            return Ok(Self(PhantomData));
        }
        let (name, known) = (E::NAME, E::VERSION);
        Err(de::Error::custom(format_args!(
            "version {version} of the event {name:?} is unknown, only {known} is known"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appointment() -> Appointment {
        Appointment::between(
            7001.into(),
            15.into(),
            "2025-10-15T14:00:00Z".parse().unwrap(),
            "2025-10-15T15:00:00Z".parse().unwrap(),
        )
        .unwrap()
        .branch(1)
        .event_type(123)
        .resource(42)
    }

    #[test]
    fn events_come_back_as_they_were_written() {
        let booked = AppointmentBooked::new(appointment());
        let json = serde_json::to_string(&booked).unwrap();
        assert!(
            json.starts_with(r#"{"event":"appointment.booked","version":1,"#),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<AppointmentBooked>(&json).unwrap(),
            booked
        );

        let moved = AppointmentRescheduled::new(appointment(), appointment().branch(2));
        let json = serde_json::to_string(&moved).unwrap();
        assert_eq!(
            serde_json::from_str::<AppointmentRescheduled>(&json).unwrap(),
            moved
        );

        let cancelled = AppointmentCancelled::new(appointment())
            .reason("ill")
            .actor("u1");
        let json = serde_json::to_string(&cancelled).unwrap();
        assert_eq!(
            serde_json::from_str::<AppointmentCancelled>(&json).unwrap(),
            cancelled
        );
    }

    #[test]
    fn another_name_or_version_is_reported_before_the_fields() {
        let json = r#"{"appointment":{"new":"shape"},"event":"appointment.booked","version":2}"#;
        let error = serde_json::from_str::<AppointmentBooked>(json)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("version 2 of the event \"appointment.booked\""),
            "{error}"
        );
        let json = r#"{"appointment":1,"event":"appointment.cancelled","version":1}"#;
        let error = serde_json::from_str::<AppointmentBooked>(json)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected the event \"appointment.booked\""),
            "{error}"
        );
        let json = r#"{"appointment":1,"event":"appointment.booked"}"#;
        let error = serde_json::from_str::<AppointmentBooked>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains("missing field `version`"), "{error}");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let mut json = serde_json::to_value(AppointmentBooked::new(appointment())).unwrap();
        json["since"] = 3.into();
        json["appointment"]["colour"] = "red".into();
        let read: AppointmentBooked = serde_json::from_value(json).unwrap();
        assert_eq!(read.appointment.intervals(), appointment().intervals());
    }
}
