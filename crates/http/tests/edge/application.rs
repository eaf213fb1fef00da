//! An application that answers `GET /slots/HOST/DATE`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use vacancy_http::{CachePolicy, EdgeHeaders};
use vacancy_slots::SlotsCache;

use super::calendar::day_of;

/// A running application. It ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Application {
    slots: SlotsCache,
    policy: CachePolicy,
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl Application {
    pub(crate) async fn serve(slots: SlotsCache, policy: CachePolicy) -> (Self, SocketAddr) {
        let application = Self {
            slots,
            policy,
            asked: Arc::default(),
        };
        let routes = Router::new()
            .route("/slots/{host}/{date}", get(answer))
            .with_state(application.clone());
        (application, serve(routes).await)
    }

    /// How often it was asked for a path.
    pub(crate) fn asked(&self, path: &str) -> u32 {
        let asked = self.asked.lock().expect("nobody panics with it");
        asked.get(path).copied().unwrap_or_default()
    }
}

/// Serves on a port of its own.
pub(crate) async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn answer(
    State(application): State<Application>,
    Path((host, date)): Path<(String, String)>,
    request: HeaderMap,
) -> Response {
    *application
        .asked
        .lock()
        .expect("nobody panics with it")
        .entry(format!("/slots/{host}/{date}"))
        .or_default() += 1;
    let query = day_of(&host, &date);
    let open = application.slots.open(&query).await.expect("an answer");
    let headers: EdgeHeaders = application.policy.headers(&query, &open).expect("headers");
    let starts: Vec<_> = open.iter().map(|slot| slot.start().to_rfc3339()).collect();
    let (status, body) = match headers.is_known_to(&request) {
        true => (StatusCode::NOT_MODIFIED, Body::empty()),
        false => (StatusCode::OK, Body::from(starts.join("\n"))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend(headers.into_headers());
    response
}
