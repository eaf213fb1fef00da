//! Which of two deliveries about a booking is the newer one.
//!
//! There is no delivery id, and `createdAt` tells when a copy was sent, so that copies of one fact differ in it
//! and an early fact may carry a late one. What orders deliveries is that a booking lives once: after it has
//! ended (cancelled, rejected, moved to another `uid`) it never comes back. So an end beats everything; else the
//! iCalendar sequence decides, which copies of a fact share; else what was moved beats what was made. Only what
//! is left, two moves of a booking that keeps its `uid` and has no sequence, is ordered by `createdAt`. So is a
//! seat without an id, which its attendees may take again.

use chrono::{DateTime, Utc};
use vacancy_slots::{AppointmentId, InvalidId, Revision};

/// How far a booking has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Made,
    Moved,
    /// Cancelled, rejected, or continued under another `uid`.
    Ended,
}

const ENDED: u64 = 1 << 60;
/// The largest iCalendar sequence that is told from its neighbours.
const MAX_SEQUENCE: u64 = (1 << 56) - 1;

/// The revision of an appointment at a stage.
///
/// Always with a sequence, so that all revisions of a booking can be compared. Copies without `createdAt` are
/// the oldest among equals.
pub(crate) fn revision(
    seat: &Seat,
    stage: Stage,
    sequence: Option<u64>,
    created_at: Option<DateTime<Utc>>,
) -> Revision {
    let sequence = sequence.unwrap_or(0).min(MAX_SEQUENCE) << 1;
    let stage = match stage {
        Stage::Made => 0,
        Stage::Moved => 1,
        Stage::Ended => ENDED,
    };
    let revision = Revision::changed_at(created_at.unwrap_or(DateTime::UNIX_EPOCH));
    match seat {
        Seat::TakenBy(_) => revision.sequence(0),
        Seat::Whole | Seat::Numbered(_) => revision.sequence(sequence | stage),
    }
}

/// One booking, or one seat of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// The booking as a whole.
    Whole,
    /// By the id that the sender gives it.
    Numbered(String),
    /// By a digest of who takes it, where the sender gives no id.
    TakenBy(String),
}

impl Seat {
    /// The id of the appointment: the `uid` of the booking, with its seat if it is about one.
    pub(crate) fn appointment(&self, uid: &str) -> Result<AppointmentId, InvalidId> {
        // No uid of Cal.com contains either; with them, two bookings could share an id.
        let escaped = |text: &str| text.replace('%', "%25").replace('/', "%2F");
        match self {
            Self::Whole => escaped(uid).try_into(),
            Self::Numbered(seat) => format!("{}/{}", escaped(uid), escaped(seat)).try_into(),
            Self::TakenBy(digest) => format!("{}/by/{digest}", escaped(uid)).try_into(),
        }
    }
}
