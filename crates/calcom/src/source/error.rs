//! Why Cal.com gave no slots: decisions for the caller, and never the words of an answer.

use std::{error::Error, time::Duration};

use crate::source::limit::RateLimited;

/// Why a [`CalcomSlots`](crate::CalcomSlots) did not answer. It is never 'no slots'.
///
/// The source wraps it into a [`SourceError`](vacancy_slots::SourceError); `downcast_ref` gives it
/// back. No variant holds the key, an address or anything of an answer's body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalcomError {
    /// The [mapping](crate::CalcomSlotsBuilder::event_types) names no event type of Cal.com for what
    /// was asked. Asking again does not help; nothing was sent.
    #[error("no event type of cal.com is known for what was asked")]
    Unmapped,
    /// The mapping names more event types than one request may cost. Nothing was sent.
    #[error("{asked} event types of cal.com for one request are more than {max}")]
    TooManyEventTypes {
        /// How many it names.
        asked: usize,
        /// [`MAX_EVENT_TYPES`](crate::MAX_EVENT_TYPES).
        max: usize,
    },
    /// The mapping names an event type by slug, which the older API is not asked by. Give its id.
    /// Nothing was sent.
    #[error("the older api is asked by event type id only")]
    NeedsId,
    /// A length that was asked for is zero or not a whole number of minutes, in which Cal.com counts.
    /// Nothing was sent.
    #[error("a length of {asked:?} is not a whole number of minutes")]
    UnusableLength {
        /// The length.
        asked: Duration,
    },
    /// The key may ask no more for now: by the limiter, because its turn would come after the
    /// time-out, or by a 429.
    #[error("the limit of the key is reached for another {retry_after:?}")]
    RateLimited {
        /// How long until a call has its turn again.
        retry_after: Duration,
    },
    /// Too many calls in a row have failed, so that none is made for a while. Nothing was sent.
    #[error("calls have failed in a row, the next one is made in {retry_after:?}")]
    BreakerOpen {
        /// How long until a call is tried again, or the one that is being tried has ended.
        retry_after: Duration,
    },
    /// The answer did not come in time.
    #[error("no answer within {limit:?}")]
    TimedOut {
        /// The [time-out](crate::CalcomSlotsBuilder::time_out).
        limit: Duration,
    },
    /// The key is wrong, or may not ask for this. It takes a person to mend.
    #[error("the key was refused with status {status}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// Any other status than 200: 404 for an event type that does not exist, 5xx for a failure over
    /// there, 3xx for a base address that moved; redirects are not followed, for the key's sake.
    #[error("answered with status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// An answer came that is not what the API documents.
    #[error("the answer cannot be read")]
    Unreadable(#[source] Unreadable),
    /// The answer gives starts alone, and neither the request nor the mapping says how long a slot is.
    #[error("the slots of the answer have no end, and their length is not known")]
    LengthUnknown,
    /// The connection could not be made, or broke before the answer was complete.
    #[error("the api cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It does not say that it is JSON: a page of a proxy, most likely.
    #[error("the answer is not declared as json")]
    ContentType,
    /// There is nothing in it.
    #[error("the answer is empty")]
    Empty,
    /// It is longer than [`MAX_ANSWER_BYTES`](crate::MAX_ANSWER_BYTES).
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The bytes it may have.
        max: usize,
    },
    /// It is not JSON, or ends too early.
    #[error("the answer is not json, at line {line} column {column}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Its `status` is not `success`.
    #[error("the answer does not report success")]
    NotSuccess,
    /// It has no `data`.
    #[error("the answer has no data")]
    NoData,
    /// Its `data` is not slots by day.
    #[error("the answer is not slots by day, at line {line} column {column}")]
    Shape {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A slot ends where it starts, or before.
    #[error("a slot of the answer ends before it starts")]
    Reversed,
}

/// The outcome of what could not be asked as it is.
pub(crate) const UNASKED: &str = "unasked";

/// What a failed exchange says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It works, and did not like the question.
    Works,
    /// It does not work.
    Fails,
    /// Nothing.
    Unknown,
}

impl CalcomError {
    pub(crate) const fn verdict(&self) -> Verdict {
        match self {
            Self::TimedOut { .. } | Self::Unreadable(_) | Self::Unreachable(_) => Verdict::Fails,
            Self::Refused { status } if !matches!(*status, 400..=499) => Verdict::Fails,
            Self::RateLimited { .. } | Self::BreakerOpen { .. } => Verdict::Unknown,
            _ => Verdict::Works,
        }
    }

    /// Whether another attempt can have another outcome.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unreachable(_) => true,
            Self::Refused { status } => *status >= 500,
            _ => false,
        }
    }

    /// The name under which the outcome is counted.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Unmapped
            | Self::TooManyEventTypes { .. }
            | Self::NeedsId
            | Self::UnusableLength { .. } => UNASKED,
            Self::RateLimited { .. } => "rate_limited",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::TimedOut { .. } => "timed_out",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Refused { .. } => "refused",
            Self::Unreadable(_) => "unreadable",
            Self::LengthUnknown => "length_unknown",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl From<Unreadable> for CalcomError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<RateLimited> for CalcomError {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited {
            retry_after: limited.retry_after,
        }
    }
}
