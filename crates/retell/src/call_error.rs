//! [`CallError`]: why a function call got no further than the door.

use http::StatusCode;

use crate::{BodyError, SignatureError};

/// Why a function call did not reach the desk. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It cannot be shown that Retell sent it. Status 401, or 500 where no key is configured.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The body is longer than [`max_body`](crate::RetellBuilder::max_body). Status 413.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// Retell sent it, and it is not a function call. Status 400.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// No function goes by this name. Give it one with
    /// [`function_name`](crate::RetellBuilder::function_name), or mend the agent. Status 404.
    #[error("no function of this name")]
    UnknownFunction,
    /// A change without the id of its call: a retry could not be told from another wish, so nothing
    /// is changed. Let the agent send the id. Status 400.
    #[error("a change needs the id of its phone call")]
    NoCallId,
    /// As many operations run as may. Retrying later is safe. Status 503.
    #[error("too many operations run at once")]
    Busy,
    /// The phone call has asked for as many different changes as are remembered. Status 429.
    #[error("too many changes in one phone call")]
    TooManyChanges,
    /// [`close`](crate::Retell::close) was called. Status 503.
    #[error("no new operations are taken")]
    Closed,
}

impl CallError {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Signature(SignatureError::NoKey) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(_) | Self::NoCallId => StatusCode::BAD_REQUEST,
            Self::UnknownFunction => StatusCode::NOT_FOUND,
            Self::TooManyChanges => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its name in answers and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Signature(SignatureError::NoKey) => "no_key",
            Self::Signature(SignatureError::Missing) => "signature_missing",
            Self::Signature(SignatureError::Doubled) => "signature_doubled",
            Self::Signature(SignatureError::Malformed) => "signature_malformed",
            Self::Signature(SignatureError::Wrong) => "signature_wrong",
            Self::Signature(SignatureError::Stale) => "signature_stale",
            Self::TooLarge { .. } => "too_large",
            Self::Body(_) => "unreadable_body",
            Self::UnknownFunction => "unknown_function",
            Self::NoCallId => "no_call_id",
            Self::Busy => "busy",
            Self::TooManyChanges => "too_many_changes",
            Self::Closed => "closed",
        }
    }
}
