//! [`Function`]: what a phone agent can ask for.

use std::fmt;

/// What a phone agent can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// Which times are free on a day? Called `check_availability`.
    CheckAvailability,
    /// Book a time. Called `book_appointment`.
    Book,
    /// Move an appointment. Called `reschedule_appointment`.
    Reschedule,
    /// Cancel an appointment. Called `cancel_appointment`.
    Cancel,
    /// Which free times are near one that is not? Called `find_alternatives`.
    Alternatives,
}

impl Function {
    pub(crate) const ALL: [Self; 5] = [
        Self::CheckAvailability,
        Self::Book,
        Self::Reschedule,
        Self::Cancel,
        Self::Alternatives,
    ];

    /// Its name unless [another one](crate::RetellBuilder::function_name) is given; also its name in
    /// logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckAvailability => "check_availability",
            Self::Book => "book_appointment",
            Self::Reschedule => "reschedule_appointment",
            Self::Cancel => "cancel_appointment",
            Self::Alternatives => "find_alternatives",
        }
    }

    /// Whether it changes anything, and so must not happen twice when it is asked for twice.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Book | Self::Reschedule | Self::Cancel => true,
            Self::CheckAvailability | Self::Alternatives => false,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
