//! `POST /webhooks/calcom`: what Cal.com tells of its bookings.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::body::Raw;
use crate::{app::App, calcom::Applied, problem::Problem};

pub(crate) async fn calcom(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let received = match app.calcom.webhooks.receive(&headers, &body) {
        Ok(received) => received,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    Ok(match app.calcom.apply(received).await? {
        Applied::Verdict(verdict) => Json(json!({"outcome": verdict})).into_response(),
        Applied::Conflict => Json(json!({"outcome": "conflict"})).into_response(),
        Applied::Defective(reason) => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            reason,
            "it cannot be an event",
        )
        .into_response(),
    })
}
