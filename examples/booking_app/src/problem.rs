//! What a caller is told when his request comes to nothing.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::error;
use vacancy::slots::{OpenError, SourceError};
use vacancy_sqlx::{BookError, WriteError};

use crate::{
    alternatives::Offer,
    salon::{EventType, Host, Salon},
};

/// What a caller is told: a status, a code for programs and a message that says what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    alternatives: Option<Vec<Offer>>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alternatives: Option<&'a [Offer]>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            alternatives: None,
        }
    }

    pub(crate) fn bad_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", message)
    }

    pub(crate) fn bad_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_json", message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// The application is being stopped.
    pub(crate) fn closing() -> Self {
        let message = "the salon is closing; ask again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", message)
    }

    /// Somebody else has the time.
    pub(crate) fn taken(alternatives: Vec<Offer>) -> Self {
        let message = "somebody else has that time; take one of the alternatives";
        Self {
            alternatives: Some(alternatives),
            ..Self::new(StatusCode::CONFLICT, "taken", message)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            error: self.code,
            message: &self.message,
            alternatives: self.alternatives.as_deref(),
        };
        (self.status, Json(body)).into_response()
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Query(error) => Self::unprocessable("window_too_long", error.to_string()),
            OpenError::Source(error) => error.into(),
            error => internal(&error),
        }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        error!(%error, "the calendar did not answer");
        let message = "the calendar did not answer; ask again in a moment";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "calendar_unavailable",
            message,
        )
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => error.into(),
            WriteError::Unheld(_) | WriteError::TimedOut => busy(),
            WriteError::Closed => Self::closing(),
            error => internal(&error),
        }
    }
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Taken { .. } => Self::taken(Vec::new()),
            BookError::UnknownAppointment => {
                Self::not_found("unknown_booking", "there is no such booking")
            }
            BookError::Conflict { .. } => {
                let message = "somebody else has changed it; look again";
                Self::new(StatusCode::CONFLICT, "changed", message)
            }
            BookError::OperationReused => {
                let message = "this key was used for another booking; make a new one";
                Self::unprocessable("key_reused", message)
            }
            BookError::Busy(_) => busy(),
            error => internal(&error),
        }
    }
}

fn busy() -> Problem {
    let message = "the diary is busy; ask again with the same key";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    error!(error, "a request failed");
    let message = "this should not have happened; ask again with the same key";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

impl Salon {
    pub(crate) fn known_event_type(&self, id: &str) -> Result<&EventType, Problem> {
        self.event_type(id).ok_or_else(|| {
            Problem::not_found("unknown_event_type", "see /salon for what can be booked")
        })
    }

    /// A host who serves the event type.
    pub(crate) fn known_host(&self, id: &str, event_type: &EventType) -> Result<&Host, Problem> {
        self.host(id)
            .filter(|host| event_type.served_by(&host.id))
            .ok_or_else(|| Problem::not_found("unknown_host", "see /salon for who serves what"))
    }
}
