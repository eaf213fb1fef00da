//! [`Answer`]: what Retell gets, a sentence for the agent and data beside it.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use vacancy_slots::{ResourceId, Slot};

use crate::desk::DeskError;
use crate::question::Question;
use crate::reply::{Outcome, Reply, Visit};
use crate::{CallError, OperationKey};

/// The most free times that one answer offers.
pub const MAX_OFFERS: usize = 20;

/// How many of them the sentence names; more cannot be remembered.
const SPOKEN_OFFERS: usize = 3;

/// What Retell gets: a JSON object with `status`, `say` and what else there is to know.
///
/// | `status` | beside it |
/// |---|---|
/// | `available` | `slots`: `start`, `end`, `resources` |
/// | `none_free` | |
/// | `booked`, `rescheduled` | `appointment_id`, `start`, `end`, `resource` |
/// | `cancelled` | `appointment_id` |
/// | `taken` | `slots` as alternatives |
/// | `not_found`, `refused` | |
/// | `unclear` | `argument`, `problem`: `say` asks for it |
/// | `running` | `operation`: calling again with the same arguments gets the result |
/// | `failed` | `error` |
///
/// Times are RFC 3339 with the offset of the business's zone. The HTTP status is 200 for all that the
/// agent can go on with, and an error where Retell should try again or somebody should look.
///
/// Its `Debug` shows the two statuses and nothing that was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    json: Value,
}

impl Answer {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.json
    }

    pub(crate) fn outcome(&self) -> &str {
        self.json["status"].as_str().unwrap_or_default()
    }

    pub(crate) fn of_reply(reply: &Reply, zone: Tz) -> Self {
        let mut json = match &reply.outcome {
            Outcome::Open(slots) if slots.is_empty() => {
                json!({"status": "none_free", "say": "I am sorry, nothing is free then."})
            }
            Outcome::Open(slots) => json!({
                "status": "available",
                "say": format!("{} would be possible.", times(slots, zone)),
                "slots": offers(slots, zone),
            }),
            Outcome::Booked(at) => visit("booked", "You are booked for", at, zone),
            Outcome::Rescheduled(at) => visit("rescheduled", "It is moved to", at, zone),
            Outcome::Cancelled(appointment) => json!({
                "status": "cancelled",
                "say": "The appointment is cancelled.",
                "appointment_id": appointment,
            }),
        };
        if let Some(say) = &reply.say {
            json["say"] = say.as_str().into();
        }
        Self::ok(json)
    }

    pub(crate) fn of_error(error: &DeskError, zone: Tz) -> Self {
        match error {
            DeskError::Taken { alternatives } if alternatives.is_empty() => Self::ok(json!({
                "status": "taken",
                "say": "I am sorry, that time has just been taken.",
                "slots": [],
            })),
            DeskError::Taken { alternatives } => Self::ok(json!({
                "status": "taken",
                "say": format!(
                    "I am sorry, that time has just been taken. {} would be possible.",
                    times(alternatives, zone)
                ),
                "slots": offers(alternatives, zone),
            })),
            DeskError::NotFound => Self::ok(json!({
                "status": "not_found",
                "say": "I am sorry, I cannot find that.",
            })),
            DeskError::Refused { say } => Self::ok(json!({"status": "refused", "say": say})),
            DeskError::Unavailable(_) => Self::failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "I cannot reach the calendar at the moment.",
            ),
        }
    }

    pub(crate) fn of_question(question: &Question) -> Self {
        Self::ok(json!({
            "status": "unclear",
            "say": question.say(),
            "argument": question.argument,
            "problem": question.problem.name(),
        }))
    }

    /// The operation goes on; calling again waits for it.
    pub(crate) fn running(operation: OperationKey) -> Self {
        Self::ok(json!({
            "status": "running",
            "say": "One moment please, I am still working on it.",
            "operation": operation.to_string(),
        }))
    }

    /// The question goes on, and there is no call in which to ask for its answer.
    pub(crate) fn too_slow() -> Self {
        Self::failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_slow",
            "I could not find that out in time.",
        )
    }

    /// The desk has panicked or was dropped: what it has done is not known.
    pub(crate) fn broken() -> Self {
        Self::failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unknown_outcome",
            "Something went wrong, and a person will have to look at it.",
        )
    }

    fn ok(json: Value) -> Self {
        Self {
            status: StatusCode::OK,
            json,
        }
    }

    fn failed(status: StatusCode, error: &'static str, say: &'static str) -> Self {
        Self {
            status,
            json: json!({"status": "failed", "error": error, "say": say}),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("http", &self.status.as_u16())
            .field("status", &self.outcome())
            .finish_non_exhaustive()
    }
}

impl From<&CallError> for Answer {
    fn from(error: &CallError) -> Self {
        let say = "I am sorry, I cannot do that at the moment.";
        Self::failed(error.status(), error.code(), say)
    }
}

impl From<Answer> for Response<String> {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(answer.json.to_string());
        *response.status_mut() = answer.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        // It is about one caller.
        let private = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, private);
        response
    }
}

fn visit(status: &str, say: &str, visit: &Visit, zone: Tz) -> Value {
    let mut json = json!({
        "status": status,
        "say": format!("{say} {}.", spoken(visit.interval.start(), zone)),
        "appointment_id": visit.appointment,
        "start": written(visit.interval.start(), zone),
        "end": written(visit.interval.end(), zone),
    });
    if let Some(resource) = &visit.resource {
        json["resource"] = resource.as_str().into();
    }
    json
}

fn offers(slots: &[Slot], zone: Tz) -> Vec<Value> {
    let offer = |slot: &Slot| {
        json!({
            "start": written(slot.start(), zone),
            "end": written(slot.end(), zone),
            "resources": slot.resources.iter().map(ResourceId::as_str).collect::<Vec<_>>(),
        })
    };
    slots.iter().take(MAX_OFFERS).map(offer).collect()
}

/// `Monday, 24 November at 14:30, … or …`.
fn times(slots: &[Slot], zone: Tz) -> String {
    let times: Vec<_> = slots
        .iter()
        .take(SPOKEN_OFFERS)
        .map(|slot| spoken(slot.start(), zone))
        .collect();
    match times.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join("; ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

fn spoken(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone)
        .format("%A, %-d %B at %H:%M")
        .to_string()
}

fn written(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone)
        .to_rfc3339_opts(SecondsFormat::Secs, false)
}
