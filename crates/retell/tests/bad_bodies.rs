//! A body that is not a function call reaches no desk, and says nothing of itself in an error.

mod phone;

use std::error::Error;

use http::StatusCode;
use phone::{Agent, BOOK, tuesday};
use proptest::prelude::*;
use serde_json::{Value, json};
use vacancy_retell::{BodyError, CallError};

fn whole() -> Value {
    json!({
        "name": BOOK,
        "call": {"call_id": "c", "transcript": [{"role": "user", "words": [1.5, null, true]}]},
        "args": tuesday(),
    })
}

async fn refusal(body: &[u8]) -> CallError {
    let agent = Agent::new();
    let error = agent.send(body).await.expect_err("it is refused");
    assert_eq!(agent.desk.times(), 0);
    error
}

#[tokio::test]
async fn a_body_cut_short_anywhere_is_refused() {
    let body = whole().to_string();
    let agent = Agent::new();
    for end in 0..body.len() {
        let error = agent.send(&body.as_bytes()[..end]).await.unwrap_err();
        assert!(
            matches!(error, CallError::Body(BodyError::NotJson { .. })),
            "{end}: {error:?}"
        );
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(agent.desk.times(), 0);
    assert_eq!(
        agent.send(body.as_bytes()).await.unwrap().json()["status"],
        "booked"
    );
}

#[tokio::test]
async fn more_after_the_body_is_refused() {
    let body = format!("{} {{}}", whole());
    let error = refusal(body.as_bytes()).await;
    assert!(matches!(error, CallError::Body(BodyError::NotJson { .. })));
}

#[tokio::test]
async fn a_name_that_comes_twice_is_refused_wherever_it_is() {
    let start = r#""start": "2026-11-24T14:30:00+01:00""#;
    for body in [
        format!(
            r#"{{"name": "{BOOK}", "name": "{BOOK}", "call": {{"call_id": "c"}}, "args": {{}}}}"#
        ),
        format!(
            r#"{{"name": "{BOOK}", "call": {{"call_id": "c", "call_id": "d"}}, "args": {{}}}}"#
        ),
        format!(
            r#"{{"name": "{BOOK}", "call": {{"call_id": "c"}}, "args": {{{start}, {start}}}}}"#
        ),
        format!(
            r#"{{"name": "{BOOK}", "call": {{"call_id": "c"}}, "args": {{"a": [{{"b": 1, "\u0062": 2}}]}}}}"#
        ),
    ] {
        assert_eq!(
            refusal(body.as_bytes()).await,
            CallError::Body(BodyError::DuplicateName),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_nested_too_deep_is_refused() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [40, 200, 5_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = format!(
                r#"{{"name": "{BOOK}", "call": {{"call_id": "c"}}, "args": {{"x": {deep}}}}}"#
            );
            assert_eq!(
                refusal(body.as_bytes()).await,
                CallError::Body(BodyError::TooDeep),
                "{depth}"
            );
        }
    }
}

#[tokio::test]
async fn what_every_function_call_has_must_be_there() {
    let set = |pointer: &str, value: Option<Value>| {
        let mut body = whole();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(name.to_owned(), value),
            None => parent.remove(name),
        };
        body.to_string()
    };
    for (pointer, field) in [
        ("/name", "name"),
        ("/call", "call"),
        ("/call/call_id", "call_id"),
        ("/args", "args"),
    ] {
        for value in [None, Some(Value::Null), Some(json!(7)), Some(json!([]))] {
            assert_eq!(
                refusal(set(pointer, value.clone()).as_bytes()).await,
                CallError::Body(BodyError::Field { field }),
                "{pointer} {value:?}"
            );
        }
    }
    for id in ["", &"c".repeat(257)] {
        assert_eq!(
            refusal(set("/call/call_id", Some(json!(id))).as_bytes()).await,
            CallError::Body(BodyError::Field { field: "call_id" })
        );
    }
    let error = refusal(b"[]").await;
    assert_eq!(
        error,
        CallError::Body(BodyError::Field { field: "content" })
    );
}

#[tokio::test]
async fn an_unknown_function_is_refused() {
    let agent = Agent::new();
    for name in [
        "",
        "book",
        "BOOK_APPOINTMENT",
        "book_appointment ",
        "drop_tables",
    ] {
        let error = agent.try_ask(name, tuesday()).await.unwrap_err();
        assert_eq!(error, CallError::UnknownFunction);
        assert_eq!(error.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(agent.desk.times(), 0);
}

#[tokio::test]
async fn a_long_body_is_refused_before_its_signature_is_checked() {
    let agent = Agent::with(|retell| retell.max_body(100));
    let headers = http::HeaderMap::new();
    let error = agent
        .retell
        .answer(&headers, &[b'x'; 101])
        .await
        .unwrap_err();
    assert_eq!(error, CallError::TooLarge { max: 100 });
    assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let error = agent
        .retell
        .answer(&headers, &[b'x'; 100])
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Signature(_)));
}

#[tokio::test]
async fn an_error_says_nothing_of_what_the_body_says() {
    let secret = "sloane-square";
    for body in [
        format!(r#"{{"name": "{BOOK}", "call": "{secret}", "args": {{}}}}"#),
        format!(r#"{{"name": "{BOOK}", "call": {{"call_id": "c"}}, "args": "{secret}"}}"#),
        format!(r#"{{"{secret}": 1, "{secret}": 2}}"#),
        format!(r#"{{"name": {secret}"#),
        format!(r#"{{"name": "{secret}", "call": {{"call_id": "c"}}, "args": {{}}}}"#),
    ] {
        let error = refusal(body.as_bytes()).await;
        let mut told = format!("{error:?} {error}");
        let mut source = error.source();
        while let Some(error) = source {
            told += &format!("{error:?} {error}");
            source = error.source();
        }
        assert!(!told.contains(secret), "{told}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let agent = Agent::new();
        prop_assert!(runtime.block_on(agent.send(&body)).is_err());
    }

    #[test]
    fn no_argument_makes_it_panic(name in "(date|time|start|days|timezone|event_type|duration_minutes)", text in ".{0,24}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let agent = Agent::new();
        let mut args = json!({"event_type": "cut", "date": "2026-11-24", "time": "10:00"});
        args[name] = text.into();
        for function in [BOOK, phone::CHECK, phone::NEAR] {
            runtime.block_on(agent.ask(function, args.clone()));
        }
    }
}
