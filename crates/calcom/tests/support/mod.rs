//! What the tests share: bodies as Cal.com sends them, and two salons that hear of them.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

pub(crate) mod payload;
pub(crate) mod salons;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use vacancy_calcom::{SIGNATURE_HEADER, Secret};

pub(crate) const SECRET: &str = "correct horse";

/// The headers of a signed request.
pub(crate) fn signed(body: &[u8]) -> HeaderMap {
    signed_with(SECRET, body)
}

pub(crate) fn signed_with(secret: &str, body: &[u8]) -> HeaderMap {
    let signature = Secret::new(secret)
        .expect("what the test made is right")
        .sign(body);
    HeaderMap::from_iter([(
        http::HeaderName::from_static(SIGNATURE_HEADER),
        HeaderValue::from_str(&signature).expect("what the test made is right"),
    )])
}

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it should have come by now")
}
