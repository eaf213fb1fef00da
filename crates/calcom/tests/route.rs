//! The route of an axum application.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::FromRef, routing::post};
use http::{Request, StatusCode};
use support::{
    payload::booking,
    salons::{ADA, ADA_TOO, Salons},
    signed, soon,
};
use tower::ServiceExt;
use vacancy_calcom::{Received, Receiver, SIGNATURE_HEADER, Webhooks};

fn route(salons: &Salons) -> Router {
    let (webhooks, slots, bus) = (&salons.webhooks, &salons.slots, &salons.bus);
    Receiver::new(webhooks.clone(), slots.clone(), bus.clone()).router("/webhooks/calcom")
}

fn request(body: impl Into<Body>, headers: http::HeaderMap) -> Request<Body> {
    let mut request = Request::post("/webhooks/calcom")
        .body(body.into())
        .expect("what the test made is right");
    *request.headers_mut() = headers;
    request
}

async fn answer(route: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = soon(route.clone().oneshot(request))
        .await
        .expect("what the test made is right");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1000)
        .await
        .expect("what the test made is right");
    (
        status,
        String::from_utf8(body.to_vec()).expect("what the test made is right"),
    )
}

#[tokio::test]
async fn a_webhook_is_applied_and_acknowledged() {
    let salons = Salons::new();
    let route = route(&salons);
    let body = booking("BOOKING_CREATED", "one").body();
    for (outcome, dispatched) in [("fresh", 1), ("duplicate", 1)] {
        salons.fill().await;
        let answer = answer(&route, request(body.clone(), signed(&body))).await;
        assert_eq!(
            answer,
            (StatusCode::OK, format!("{{\"outcome\":\"{outcome}\"}}"))
        );
        assert_eq!(salons.dispatched(), dispatched);
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    }
}

#[tokio::test]
async fn every_failure_has_its_status_and_reason() {
    let salons = Salons::new();
    let route = route(&salons);
    let body = booking("BOOKING_CREATED", "one").body();
    let reversed = booking("BOOKING_CREATED", "one")
        .at("2025-10-15T15:00:00Z", "2025-10-15T14:00:00Z")
        .body();
    for (headers, body, status, reason) in [
        (http::HeaderMap::new(), &body[..], 401, "missing_signature"),
        (signed(b"other"), &body[..], 401, "wrong_signature"),
        (signed(b"{"), b"{", 400, "not_json"),
        (signed(b"{}"), b"{}", 422, "not_a_webhook"),
        (signed(&reversed), &reversed, 422, "reversed"),
    ] {
        let (code, answer) = answer(&route, request(body.to_vec(), headers)).await;
        assert_eq!(
            (code.as_u16(), answer),
            (status, format!("{{\"error\":\"{reason}\"}}"))
        );
    }
    let open = Receiver::new(
        Webhooks::builder(support::salons::directory()).build(),
        salons.slots.clone(),
        salons.bus.clone(),
    );
    let (code, _) = answer(
        &open.router("/webhooks/calcom"),
        request(body.clone(), signed(&body)),
    )
    .await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);

    soon(salons.bus.shutdown(Duration::ZERO)).await;
    let (code, _) = answer(&route, request(body.clone(), signed(&body))).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    let salons = Salons::new();
    let route = route(&salons);
    let limit = salons.webhooks.body_limit();
    assert_eq!(limit, 256 << 10);
    let body = vec![b' '; limit];
    let (code, _) = answer(&route, request(body.clone(), signed(&body))).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let body = vec![b' '; limit + 1];
    let (code, text) = answer(&route, request(body.clone(), signed(&body))).await;
    assert_eq!(
        (code, &*text),
        (StatusCode::PAYLOAD_TOO_LARGE, "{\"error\":\"too_large\"}")
    );
    // One that never ends is left where it is too long.
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let chunks = std::iter::repeat_with(move || {
        counted.fetch_add(4096, Ordering::SeqCst);
        Ok::<_, std::io::Error>(vec![b' '; 4096])
    });
    let body = Body::from_stream(tokio_stream::iter(chunks));
    let (code, _) = answer(&route, request(body, signed(b""))).await;
    assert_eq!(code, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(read.load(Ordering::SeqCst), limit + 4096);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let salons = Salons::new();
    let broken = [Ok(b"{".to_vec()), Err(std::io::Error::other("reset"))];
    let body = Body::from_stream(tokio_stream::iter(broken));
    let (code, text) = answer(&route(&salons), request(body, signed(b"{"))).await;
    assert_eq!(
        (code, &*text),
        (StatusCode::BAD_REQUEST, "{\"error\":\"interrupted\"}")
    );
}

#[tokio::test]
async fn a_handler_of_ones_own_takes_it_as_an_argument() {
    #[derive(Clone)]
    struct App(Webhooks);
    impl FromRef<App> for Webhooks {
        fn from_ref(app: &App) -> Self {
            app.0.clone()
        }
    }
    async fn handler(received: Received) -> String {
        let events = received.events().len().to_string();
        received.keep();
        events
    }
    let app = App(Salons::new().webhooks);
    let route = Router::new()
        .route("/webhooks/calcom", post(handler))
        .with_state(app);
    let body = booking("BOOKING_CREATED", "one").body();
    for expected in ["1", "0"] {
        let (_, events) = answer(&route, request(body.clone(), signed(&body))).await;
        assert_eq!(events, expected);
    }
    let unsigned = request(body, http::HeaderMap::new());
    assert!(!unsigned.headers().contains_key(SIGNATURE_HEADER));
    assert_eq!(answer(&route, unsigned).await.0, StatusCode::UNAUTHORIZED);
}
