//! Nothing is read from a body that is not signed.

mod support;

use http::{HeaderMap, HeaderValue, StatusCode};
use support::{SECRET, payload::booking, salons, salons::Salons, signed, signed_with};
use vacancy_calcom::{Refusal, SIGNATURE_HEADER, Secret, Verdict, Webhooks};

fn refusal(salons: &Salons, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let refusal = salons
        .webhooks
        .receive(headers, body)
        .expect_err("it is refused");
    assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED, "{refusal:?}");
    refusal
}

fn header(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        SIGNATURE_HEADER,
        HeaderValue::from_str(value).expect("what the test made is right"),
    );
    headers
}

#[tokio::test]
async fn a_missing_wrong_or_doubled_signature_is_refused() {
    let salons = Salons::new();
    let body = booking("BOOKING_CREATED", "one").body();
    assert_eq!(
        refusal(&salons, &HeaderMap::new(), &body),
        Refusal::MissingSignature
    );
    let sender_has_none = header("no-secret-provided");
    assert_eq!(
        refusal(&salons, &sender_has_none, &body),
        Refusal::SenderHasNoSecret
    );
    let right = Secret::new(SECRET).unwrap().sign(&body);
    let last_missing = &right[..right.len() - 1];
    let half = &right[..32];
    for wrong in [
        "",
        "sha256=",
        "nothing in hex",
        last_missing,
        half,
        &format!("sha512={right}"),
    ] {
        assert_eq!(
            refusal(&salons, &header(wrong), &body),
            Refusal::WrongSignature,
            "{wrong}"
        );
    }
    let another = signed_with("another secret", &body);
    assert_eq!(refusal(&salons, &another, &body), Refusal::WrongSignature);
    assert_eq!(
        refusal(&salons, &signed(b"{}"), &body),
        Refusal::WrongSignature
    );

    // Given twice, be it the same or the right one first.
    for second in [right.as_str(), "00"] {
        let mut doubled = signed(&body);
        doubled.append(SIGNATURE_HEADER, HeaderValue::from_str(second).unwrap());
        assert_eq!(
            refusal(&salons, &doubled, &body),
            Refusal::RepeatedSignature
        );
    }
    assert_eq!(salons.dispatched(), 0);
}

#[tokio::test]
async fn the_signature_is_over_the_very_bytes() {
    let salons = Salons::new();
    let body = booking("BOOKING_CREATED", "one").body();
    let headers = signed(&body);
    for at in 0..body.len() {
        let mut other = body.clone();
        other[at] ^= 1;
        assert_eq!(
            refusal(&salons, &headers, &other),
            Refusal::WrongSignature,
            "byte {at}"
        );
    }
    let received = salons.webhooks.receive(&headers, &body).unwrap();
    assert_eq!(received.verdict(), Verdict::Fresh);
}

#[tokio::test]
async fn a_body_that_is_not_signed_is_not_read() {
    let salons = Salons::new();
    // Were it read, it would be refused as what it is.
    assert_eq!(
        refusal(&salons, &header("00"), b"not json"),
        Refusal::WrongSignature
    );
}

#[tokio::test]
async fn the_prefix_of_a_gateway_is_accepted() {
    let salons = Salons::new();
    let body = booking("BOOKING_CREATED", "one").body();
    let signature = Secret::new(SECRET).unwrap().sign(&body);
    let headers = header(&format!("sha256={signature}"));
    assert!(salons.webhooks.receive(&headers, &body).is_ok());
}

#[tokio::test]
async fn every_one_of_several_secrets_is_accepted() {
    let salons = Salons::with(|webhooks| webhooks.secret("the next one"));
    let body = booking("BOOKING_CREATED", "one").body();
    for secret in [SECRET, "the next one"] {
        assert!(
            salons
                .webhooks
                .receive(&signed_with(secret, &body), &body)
                .is_ok(),
            "{secret}"
        );
    }
    refusal(&salons, &signed_with("the one after", &body), &body);
}

#[tokio::test]
async fn a_receiver_without_a_secret_refuses_everything() {
    let body = booking("BOOKING_CREATED", "one").body();
    for webhooks in [
        Webhooks::builder(salons::directory()).build(),
        Webhooks::builder(salons::directory()).secret("").build(),
    ] {
        for headers in [
            HeaderMap::new(),
            signed(&body),
            header("no-secret-provided"),
        ] {
            let refusal = webhooks.receive(&headers, &body).unwrap_err();
            assert_eq!(refusal, Refusal::NoSecretConfigured);
            assert_eq!(refusal.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

#[tokio::test]
async fn the_signature_is_that_of_the_standard() {
    // RFC 4231, test case 2.
    let signature = Secret::new("Jefe")
        .unwrap()
        .sign(b"what do ya want for nothing?");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature, expected);
}

#[tokio::test]
async fn debug_does_not_show_secrets() {
    let shown = format!(
        "{:?} {:?} {:?}",
        Secret::new(SECRET),
        Salons::new().webhooks,
        Webhooks::builder(salons::directory()).secret(SECRET)
    );
    assert!(!shown.contains(SECRET), "{shown}");
}
