//! `GET /metrics`: what Prometheus reads.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::app::App;

pub(crate) async fn get(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.bus.record_metrics();
    let text = app.metrics.render();
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}
