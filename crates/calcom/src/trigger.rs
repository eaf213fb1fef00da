//! [`Trigger`]: what a webhook says has happened.

use std::fmt;

/// What a webhook says has happened, as Cal.com names it.
///
/// Read from `BOOKING_CREATED` and, as some gateways write it, from `BOOKING.CREATED`, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Trigger {
    /// `BOOKING_CREATED`: something is booked, or a request was confirmed, or a seat was taken.
    BookingCreated,
    /// `BOOKING_RESCHEDULED`, or `BOOKING.UPDATED`: a booking or a seat of one was moved.
    BookingRescheduled,
    /// `BOOKING_REQUESTED`: waits for the host's consent.
    BookingRequested,
    /// `BOOKING_CANCELLED`: a booking, a seat of one, or a whole series is off.
    BookingCancelled,
    /// `BOOKING_REJECTED`: the host did not consent.
    BookingRejected,
    /// `BOOKING_PAID`.
    BookingPaid,
    /// `BOOKING_PAYMENT_INITIATED`.
    BookingPaymentInitiated,
    /// `OOO_CREATED`: a host is away for some days.
    OooCreated,
    /// `BOOKING_NO_SHOW_UPDATED`, or a name that ends in `_NO_SHOW`.
    NoShow,
    /// A name that begins with `MEETING_`.
    Meeting,
    /// A name that begins with `RECORDING_`.
    Recording,
    /// `INSTANT_MEETING`.
    InstantMeeting,
    /// `PING`: the button that tests a subscription.
    Ping,
    /// Anything else: the beginning of its name.
    Unknown(String),
}

/// Characters that are kept of a name that is not known.
const SHOWN: usize = 64;

impl Trigger {
    /// Reads the name of a trigger. There is none that cannot be read.
    #[must_use]
    pub fn named(name: &str) -> Self {
        // Longer than any name there is, so that a long one is not copied to be compared.
        if name.len() > SHOWN {
            return Self::Unknown(name.chars().take(SHOWN).collect());
        }
        match name.to_ascii_uppercase().replace('.', "_").as_str() {
            "BOOKING_CREATED" => Self::BookingCreated,
            "BOOKING_RESCHEDULED" | "BOOKING_UPDATED" => Self::BookingRescheduled,
            "BOOKING_REQUESTED" => Self::BookingRequested,
            "BOOKING_CANCELLED" => Self::BookingCancelled,
            "BOOKING_REJECTED" => Self::BookingRejected,
            "BOOKING_PAID" => Self::BookingPaid,
            "BOOKING_PAYMENT_INITIATED" => Self::BookingPaymentInitiated,
            "OOO_CREATED" => Self::OooCreated,
            "INSTANT_MEETING" => Self::InstantMeeting,
            "PING" => Self::Ping,
            "BOOKING_NO_SHOW_UPDATED" => Self::NoShow,
            other if other.ends_with("_NO_SHOW") => Self::NoShow,
            other if other.starts_with("MEETING_") => Self::Meeting,
            other if other.starts_with("RECORDING_") => Self::Recording,
            _ => Self::Unknown(name.to_owned()),
        }
    }

    /// What it is called in metrics and logs: one of a few words, whatever was sent.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BookingCreated => "booking_created",
            Self::BookingRescheduled => "booking_rescheduled",
            Self::BookingRequested => "booking_requested",
            Self::BookingCancelled => "booking_cancelled",
            Self::BookingRejected => "booking_rejected",
            Self::BookingPaid => "booking_paid",
            Self::BookingPaymentInitiated => "booking_payment_initiated",
            Self::OooCreated => "ooo_created",
            Self::NoShow => "no_show",
            Self::Meeting => "meeting",
            Self::Recording => "recording",
            Self::InstantMeeting => "instant_meeting",
            Self::Ping => "ping",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
