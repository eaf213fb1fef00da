//! Nothing is read that was not signed, lately and over these very bytes.

mod phone;

use chrono::TimeDelta;
use chrono_tz::Europe::Berlin;
use http::{HeaderMap, StatusCode};
use phone::{Agent, BOOK, Desk, KEY, headers, now, signed, tuesday};
use serde_json::json;
use vacancy_retell::{ApiKey, CallError, Retell, SignatureError};

fn body() -> Vec<u8> {
    json!({"name": BOOK, "call": {"call_id": "c"}, "args": tuesday()})
        .to_string()
        .into_bytes()
}

async fn refusal(agent: &Agent, headers: &HeaderMap, body: &[u8]) -> SignatureError {
    let error = agent.retell.answer(headers, body).await;
    let error = error.expect_err("it is refused");
    assert_eq!(agent.desk.times(), 0);
    match error {
        CallError::Signature(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_signature_is_made_of_the_body_and_the_time() {
    // By another implementation: printf 'hello1795420800000' | openssl dgst -sha256 -hmac key_3c1d
    let signature = ApiKey::new(KEY).sign(b"hello", now());
    assert_eq!(
        signature,
        "v=1795420800000,d=e50afe4ce468770d1b5d8037245aa143045f13a1b3975140c4ed4c16ee8afdf8"
    );
}

#[tokio::test]
async fn a_missing_signature_is_refused() {
    let agent = Agent::new();
    let error = refusal(&agent, &HeaderMap::new(), &body()).await;
    assert_eq!(error, SignatureError::Missing);
    assert_eq!(CallError::from(error).status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn two_signatures_are_refused_even_if_both_are_right() {
    let agent = Agent::new();
    let right = ApiKey::new(KEY).sign(&body(), now());
    let error = refusal(&agent, &headers(&[&right, &right]), &body()).await;
    assert_eq!(error, SignatureError::Doubled);
}

#[tokio::test]
async fn a_signature_of_another_key_body_or_time_is_wrong() {
    let agent = Agent::new();
    let other_key = ApiKey::new("key_3c1e").sign(&body(), now());
    assert_eq!(
        refusal(&agent, &headers(&[&other_key]), &body()).await,
        SignatureError::Wrong
    );
    let mut spaced = body();
    spaced.push(b' ');
    assert_eq!(
        refusal(&agent, &signed(&body(), now()), &spaced).await,
        SignatureError::Wrong
    );
    let right = ApiKey::new(KEY).sign(&body(), now());
    let later = right.replace("v=1795420800000", "v=1795420800001");
    assert_ne!(later, right);
    assert_eq!(
        refusal(&agent, &headers(&[&later]), &body()).await,
        SignatureError::Wrong
    );
}

#[tokio::test]
async fn what_is_not_written_as_a_signature_is_malformed() {
    let agent = Agent::new();
    let right = ApiKey::new(KEY).sign(&body(), now());
    let (time, digest) = right.split_once(",d=").unwrap();
    for malformed in [
        "",
        "v=,d=",
        time,
        &format!("d={digest},{time}"),
        &format!("{time},d={}", &digest[..62]),
        &format!("{time},d={digest}00"),
        &format!("{time},d={}zz", &digest[..62]),
        &format!("{right},d={digest}"),
        &format!("v=+1795420800000,d={digest}"),
        &format!("v=-1795420800000,d={digest}"),
        &format!("v=1795420800000.0,d={digest}"),
        &format!("v=17954208000000000000000000000,d={digest}"),
    ] {
        let error = refusal(&agent, &headers(&[malformed]), &body()).await;
        assert_eq!(error, SignatureError::Malformed, "{malformed}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes_either_way() {
    let window = TimeDelta::minutes(5);
    let beyond = window + TimeDelta::milliseconds(1);
    for at in [now() - beyond, now() + beyond] {
        let agent = Agent::new();
        assert_eq!(
            refusal(&agent, &signed(&body(), at), &body()).await,
            SignatureError::Stale
        );
    }
    for at in [now() - window, now() + window] {
        let agent = Agent::new();
        let answer = agent.retell.answer(&signed(&body(), at), &body()).await;
        assert_eq!(answer.unwrap().json()["status"], "booked");
    }
}

/// Who does not know the key is not told whether his clock is right.
#[tokio::test]
async fn a_wrong_signature_is_wrong_before_it_is_stale() {
    let agent = Agent::new();
    let old = ApiKey::new("another").sign(&body(), now() - TimeDelta::days(1));
    assert_eq!(
        refusal(&agent, &headers(&[&old]), &body()).await,
        SignatureError::Wrong
    );
}

#[tokio::test]
async fn the_signature_is_checked_before_the_body_is_read() {
    let agent = Agent::new();
    let error = refusal(&agent, &HeaderMap::new(), b"no JSON").await;
    assert_eq!(error, SignatureError::Missing);
}

#[tokio::test]
async fn without_a_key_every_call_is_refused() {
    let without = Retell::builder(Desk::default(), Berlin).build();
    let empty = Retell::builder(Desk::default(), Berlin)
        .api_key(ApiKey::new(""))
        .build();
    for retell in [without, empty] {
        let by_empty_key = ApiKey::new("").sign(&body(), chrono::Utc::now());
        for headers in [HeaderMap::new(), headers(&[&by_empty_key])] {
            let error = retell.answer(&headers, &body()).await.unwrap_err();
            assert_eq!(error, CallError::Signature(SignatureError::NoKey));
            assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
