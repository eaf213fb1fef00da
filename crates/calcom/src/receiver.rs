//! [`Receiver`]: webhooks in an axum application.

use axum::{
    Router,
    body::Body,
    extract::{FromRef, FromRequest, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use vacancy_dispatch::Bus;
use vacancy_slots::SlotsCache;

use crate::{
    received::{Applied, Received, Undelivered},
    refusal::Refusal,
    webhooks::Webhooks,
};

/// Receives webhooks, and applies each to a cache and a bus. `clone` is cheap and shares everything.
///
/// Answers as soon as the body is there: 200 with `{"outcome":"fresh"}`, or the status of
/// [`Received::status`], [`Refusal::status`] or [`Undelivered::status`] with `{"error":"…"}`. How long a sender
/// may take over its body is for the server to limit.
///
/// # Examples
///
/// ```
/// # use axum::Router;
/// # use vacancy_calcom::{Clue, Listing, Receiver, StaticCalcomDirectory, Webhooks};
/// # fn app(slots: vacancy_slots::SlotsCache, bus: vacancy_dispatch::Bus) -> Router {
/// let directory = StaticCalcomDirectory::new()
///     .list(Clue::EventType("4711"), Listing::new(15).event_type(123).resource(42));
/// let webhooks = Webhooks::builder(directory).secret("the subscription's").build();
/// Router::new().merge(Receiver::new(webhooks, slots, bus).router("/webhooks/calcom"))
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Receiver {
    webhooks: Webhooks,
    slots: SlotsCache,
    bus: Bus,
}

impl Receiver {
    /// A receiver that invalidates `slots` and dispatches to `bus`.
    #[must_use]
    pub fn new(webhooks: Webhooks, slots: SlotsCache, bus: Bus) -> Self {
        Self {
            webhooks,
            slots,
            bus,
        }
    }

    /// A route that takes webhooks at `path`.
    ///
    /// # Panics
    ///
    /// When `path` is not a path of axum.
    pub fn router(self, path: &str) -> Router {
        Router::new().route(path, post(receive)).with_state(self)
    }
}

impl FromRef<Receiver> for Webhooks {
    fn from_ref(receiver: &Receiver) -> Self {
        receiver.webhooks.clone()
    }
}

async fn receive(State(receiver): State<Receiver>, received: Received) -> Response {
    received
        .apply(&receiver.slots, &receiver.bus)
        .into_response()
}

/// Checks and reads a request, in an application whose state has [`Webhooks`]. Nothing is invalidated or
/// dispatched before the handler [applies](Received::apply) it.
impl<S> FromRequest<S> for Received
where
    Webhooks: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    /// Awaits the body, and nothing else.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: before the body is complete nothing has happened.
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let webhooks = Webhooks::from_ref(state);
        let (parts, body) = request.into_parts();
        let body = read(body, webhooks.body_limit()).await;
        let body = body.inspect_err(|refusal| webhooks.refused(*refusal))?;
        webhooks.receive(&parts.headers, &body)
    }
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge { limit }),
        Err(_) => Err(Refusal::Interrupted),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(self.status(), "error", self.label())
    }
}

impl IntoResponse for Applied {
    fn into_response(self) -> Response {
        match self.verdict.status() {
            StatusCode::OK => answer(StatusCode::OK, "outcome", self.verdict.label()),
            status => answer(status, "error", self.verdict.reason().unwrap_or_default()),
        }
    }
}

impl IntoResponse for Undelivered {
    fn into_response(self) -> Response {
        answer(self.status(), "error", "shutting_down")
    }
}

/// Labels contain nothing that JSON escapes.
fn answer(status: StatusCode, key: &str, label: &str) -> Response {
    let body = format!("{{\"{key}\":\"{label}\"}}");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
