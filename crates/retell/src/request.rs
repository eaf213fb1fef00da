//! [`Request`]: what the caller wants, understood.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use vacancy_slots::{AppointmentId, BranchId, EventTypeId, Interval, ResourceId};

use crate::Function;
use crate::arguments::Arguments;
use crate::question::Question;

/// The longest appointment that can be asked for, in minutes: a day.
const MAX_MINUTES: u32 = 24 * 60;

/// What the caller wants. Every instant in it exists, has not passed, and is at most
/// [`MAX_DAYS_AHEAD`](crate::MAX_DAYS_AHEAD) days away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Which times are free?
    CheckAvailability(CheckAvailability),
    /// Book this time.
    Book(Book),
    /// Move this appointment.
    Reschedule(Reschedule),
    /// Cancel this appointment.
    Cancel(Cancel),
    /// Which free times are near this one?
    Alternatives(Alternatives),
}

/// Which times are free in a window? Arguments: `event_type`, `date` (or `start`), `days`, and those of
/// [`Wish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckAvailability {
    /// For what.
    pub wish: Wish,
    /// Whole local days, from now on at the earliest.
    pub window: Interval,
    /// The zone whose days these are.
    pub zone: Tz,
}

/// Book a time. Arguments: `start`, or `date` and `time`; `name`, `phone`, `email`, `notes`; and those of
/// [`Wish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Book {
    /// What.
    pub wish: Wish,
    /// When it begins.
    pub start: DateTime<Utc>,
    /// For whom, as far as the caller has said.
    pub customer: Customer,
}

/// Move an appointment. Arguments: `appointment_id`; `start`, or `date` and `time`; `resource`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reschedule {
    /// Which.
    pub appointment: AppointmentId,
    /// When it is to begin.
    pub start: DateTime<Utc>,
    /// By whom it is to be served, where the caller wants somebody else.
    pub resource: Option<ResourceId>,
}

/// Cancel an appointment. Arguments: `appointment_id`, `reason`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancel {
    /// Which.
    pub appointment: AppointmentId,
    /// Why, in the caller's words.
    pub reason: Option<String>,
}

/// Which free times are near one? Arguments: `start`, or `date` and `time`; and those of [`Wish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternatives {
    /// For what.
    pub wish: Wish,
    /// Near which time.
    pub near: DateTime<Utc>,
}

/// What is to be booked. Arguments: `event_type`, `resource`, `branch`, `duration_minutes`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wish {
    /// Which service.
    pub event_type: EventTypeId,
    /// By whom, where the caller has a wish.
    pub resource: Option<ResourceId>,
    /// Where, where the caller has a wish.
    pub branch: Option<BranchId>,
    /// How long, where the service leaves a choice: from a minute to a day.
    pub duration: Option<Duration>,
}

/// Who the appointment is for, as far as the caller has said. `Debug` shows none of it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Customer {
    /// The caller's name.
    pub name: Option<String>,
    /// A phone number.
    pub phone: Option<String>,
    /// An email address.
    pub email: Option<String>,
    /// Anything else that was said.
    pub notes: Option<String>,
}

impl Request {
    pub(crate) fn read(function: Function, arguments: &Arguments<'_>) -> Result<Self, Question> {
        Ok(match function {
            Function::CheckAvailability => {
                let wish = Wish::read(arguments)?;
                let (window, zone) = arguments.window()?;
                Self::CheckAvailability(CheckAvailability { wish, window, zone })
            }
            Function::Book => Self::Book(Book {
                wish: Wish::read(arguments)?,
                start: arguments.start()?,
                customer: Customer {
                    name: arguments.text("name")?,
                    phone: arguments.text("phone")?,
                    email: arguments.text("email")?,
                    notes: arguments.text("notes")?,
                },
            }),
            Function::Reschedule => Self::Reschedule(Reschedule {
                appointment: arguments.required_id("appointment_id")?,
                start: arguments.start()?,
                resource: arguments.id("resource")?,
            }),
            Function::Cancel => Self::Cancel(Cancel {
                appointment: arguments.required_id("appointment_id")?,
                reason: arguments.text("reason")?,
            }),
            Function::Alternatives => Self::Alternatives(Alternatives {
                wish: Wish::read(arguments)?,
                near: arguments.start()?,
            }),
        })
    }

    /// The appointment that it changes, if it changes one.
    pub(crate) fn appointment(&self) -> Option<&AppointmentId> {
        match self {
            Self::Reschedule(reschedule) => Some(&reschedule.appointment),
            Self::Cancel(cancel) => Some(&cancel.appointment),
            Self::CheckAvailability(_) | Self::Book(_) | Self::Alternatives(_) => None,
        }
    }
}

impl Wish {
    fn read(arguments: &Arguments<'_>) -> Result<Self, Question> {
        let minutes = arguments.count("duration_minutes", MAX_MINUTES)?;
        Ok(Self {
            event_type: arguments.required_id("event_type")?,
            resource: arguments.id("resource")?,
            branch: arguments.id("branch")?,
            duration: minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
        })
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("appointment", &self.appointment)
            .finish_non_exhaustive()
    }
}
