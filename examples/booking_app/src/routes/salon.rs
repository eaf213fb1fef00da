//! `GET /salon`: who works there and what can be booked.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use chrono::Utc;
use serde_json::json;

use crate::{app::App, salon::ZONE};

pub(crate) async fn get(State(app): State<Arc<App>>) -> impl IntoResponse {
    let hosts = app.salon.hosts.iter();
    let hosts: Vec<_> = hosts
        .map(|host| json!({"id": host.id, "name": host.name}))
        .collect();
    let event_types = app.salon.event_types.iter();
    let event_types: Vec<_> = event_types
        .map(|each| {
            let minutes = each.length.as_secs() / 60;
            json!({"id": each.id, "name": each.name, "minutes": minutes, "hosts": each.hosts})
        })
        .collect();
    Json(json!({
        "zone": ZONE.name(),
        "hosts": hosts,
        "event_types": event_types,
        "today": Utc::now().with_timezone(&ZONE).date_naive(),
    }))
}
