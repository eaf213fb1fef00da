//! `GET /topology`: who listens to what.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header::ACCEPT},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use vacancy::dispatch::Row;

use crate::app::App;

#[derive(Serialize)]
struct Listens<'a> {
    event: &'a str,
    listener: Option<&'a str>,
    kind: &'a str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
}

#[derive(Serialize)]
struct Policy {
    capacity: usize,
    overflow: String,
    concurrency: usize,
    time_out_ms: u128,
    retry: Option<String>,
    ordered: bool,
    coalescing: bool,
}

pub(crate) async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let topology = app.bus.topology();
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match accepts.is_some_and(|accept| accept.starts_with("text/plain")) {
        true => topology.to_string().into_response(),
        false => Json(topology.rows().iter().map(listens).collect::<Vec<_>>()).into_response(),
    }
}

fn listens(row: &Row) -> Listens<'_> {
    Listens {
        event: row.event,
        listener: row.listener.as_deref(),
        kind: match (&row.listener, &row.lane) {
            (None, _) => "nobody",
            (_, None) => "inline",
            (_, Some(_)) => "lane",
        },
        required: row.required,
        policy: row.lane.as_ref().map(|lane| Policy {
            capacity: lane.capacity.get(),
            overflow: lane.overflow.to_string(),
            concurrency: lane.concurrency.get(),
            time_out_ms: lane.time_out.as_millis(),
            retry: lane.retry.map(|retry| retry.to_string()),
            ordered: lane.ordered,
            coalescing: lane.coalescing,
        }),
    }
}
