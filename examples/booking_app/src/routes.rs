//! One file a route.

mod body;
mod bookings;
mod events;
mod metrics;
mod page;
mod salon;
mod slots;
mod topology;
mod webhooks;
mod window;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, patch, post},
};
use tower_http::trace::TraceLayer;

use crate::{app::App, problem::Problem};

/// The largest body that is read.
const BODY_LIMIT: usize = 64 << 10;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/app.css", get(page::css))
        .route("/app.js", get(page::js))
        .route("/salon", get(salon::get))
        .route("/slots", get(slots::get))
        .route("/bookings", get(bookings::list).post(bookings::book))
        .route(
            "/bookings/{id}",
            patch(bookings::reschedule).delete(bookings::cancel),
        )
        .route("/events", get(events::get))
        .route("/metrics", get(metrics::get))
        .route("/topology", get(topology::get))
        .route("/webhooks/calcom", post(webhooks::calcom))
        .fallback(async || Problem::not_found("unknown_route", "see the README for what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "see the README for what there is",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Arc::clone(&app))
        .nest(
            "/retell/functions",
            vacancy_retell::axum::routes(app.retell.clone()),
        )
        .layer(TraceLayer::new_for_http())
}
