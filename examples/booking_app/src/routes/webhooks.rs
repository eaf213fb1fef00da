//! `POST /webhooks/calcom`: what Cal.com tells of its bookings.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::body::Raw;
use crate::{
    app::App,
    calcom::{Applied, CalcomError},
    problem::Problem,
};

pub(crate) async fn calcom(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Response {
    match app.calcom.receive(headers, body).await {
        Ok(Applied::Verdict(verdict)) => Json(json!({"outcome": verdict})).into_response(),
        Ok(Applied::Conflict) => Json(json!({"outcome": "conflict"})).into_response(),
        Ok(Applied::Defective(reason)) => {
            let message = "it cannot be an event";
            Problem::unprocessable(reason, message).into_response()
        }
        Err(CalcomError::Refused(refusal)) => refusal.into_response(),
        Err(CalcomError::Closing) => Problem::closing().into_response(),
        Err(CalcomError::Diary(error)) => Problem::from(error).into_response(),
    }
}
