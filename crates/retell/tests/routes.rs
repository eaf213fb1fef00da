//! Function calls over HTTP, whole or as arguments alone.
#![cfg(feature = "axum")]

mod phone;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use phone::{Agent, BOOK, CHECK, KEY, now, tuesday};
use serde_json::{Value, json};
use tower::ServiceExt;
use vacancy_retell::{ApiKey, SIGNATURE_HEADER};

fn app(agent: &Agent) -> Router {
    Router::new().nest(
        "/retell",
        vacancy_retell::axum::routes(agent.retell.clone()),
    )
}

async fn post(agent: &Agent, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(
            SIGNATURE_HEADER,
            ApiKey::new(KEY).sign(body.as_bytes(), now()),
        )
        .body(Body::from(body.to_owned()))
        .expect("it is there");
    let response = app(agent).oneshot(request).await.expect("it is there");
    let status = response.status();
    if status.is_success() {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("it is there");
    (status, serde_json::from_slice(&body).expect("it is there"))
}

#[tokio::test]
async fn a_whole_body_is_answered() {
    let agent = Agent::new();
    let body = json!({"name": BOOK, "call": {"call_id": "c"}, "args": tuesday()}).to_string();
    let (status, answer) = post(&agent, "/retell", &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["status"], "booked");
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_a_longer_one_is_not() {
    let agent = Agent::new();
    let body = |length: usize| {
        let frame = json!({"name": BOOK, "call": {"call_id": "c"}, "args": tuesday(), "x": ""});
        let room = length - frame.to_string().len();
        let mut body = frame;
        body["x"] = "x".repeat(room).into();
        body.to_string()
    };
    let (status, answer) = post(&agent, "/retell", &body(64 * 1024 + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["error"], "too_large");
    assert_eq!(agent.desk.times(), 0);
    assert_eq!(
        post(&agent, "/retell", &body(64 * 1024)).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn arguments_alone_are_a_change_of_the_call_that_the_query_names() {
    let agent = Agent::new();
    let path = format!("/retell/{BOOK}?call_id=call-1");
    let (status, first) = post(&agent, &path, &tuesday().to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(post(&agent, &path, &tuesday().to_string()).await.1, first);
    // The same call by its whole body: the same operation.
    assert_eq!(agent.ask(BOOK, tuesday()).await, first);
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test]
async fn arguments_without_a_call_are_answered_and_change_nothing() {
    let agent = Agent::new();
    let (status, answer) = post(&agent, &format!("/retell/{BOOK}"), &tuesday().to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"], "no_call_id");
    assert_eq!(agent.desk.times(), 0);
    let question = json!({"event_type": "cut", "date": "2026-11-24"}).to_string();
    let (status, answer) = post(&agent, &format!("/retell/{CHECK}"), &question).await;
    assert_eq!(
        (status, &answer["status"]),
        (StatusCode::OK, &json!("none_free"))
    );
}

/// Two callers who ask the same must not share an answer that one of them waited for.
#[tokio::test(start_paused = true)]
async fn questions_without_a_call_are_never_taken_for_retries() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let question = json!({"event_type": "cut", "date": "2026-11-24"}).to_string();
    let path = format!("/retell/{CHECK}");
    for times in 1..3 {
        let (status, answer) = post(&agent, &path, &question).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer["error"], "too_slow");
        assert_eq!(agent.desk.times(), times);
    }
    gate.release();
    gate.release();
}

#[tokio::test]
async fn refusals_have_the_status_of_their_reason() {
    let agent = Agent::new();
    let unsigned = Request::post("/retell").body(Body::from("{}")).unwrap();
    let response = app(&agent).oneshot(unsigned).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        post(&agent, "/retell", "{").await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        post(&agent, "/retell/dance?call_id=c", "{}").await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        post(&agent, &format!("/retell/{BOOK}?call_id="), "{}")
            .await
            .0,
        StatusCode::BAD_REQUEST
    );
    let get = Request::get("/retell").body(Body::empty()).unwrap();
    let response = app(&agent).oneshot(get).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
