//! [`ApiKey`]: proof that a body was sent by Retell, and lately.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-retell-signature";

/// How far a signature's time may be from the clock, either way.
pub const SIGNATURE_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// Longer than any time in milliseconds that chrono can hold.
const MAX_DIGITS: usize = 16;

/// The key that Retell signs with. Its `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey(Box<[u8]>);

/// Why a request is not taken for Retell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// No key was given to the builder, or an empty one: nothing can be checked, so nothing is
    /// let in. Configure the key.
    #[error("no key is configured to check signatures with")]
    NoKey,
    /// There is no signature. Whoever sent it does not know the key.
    #[error("the request has no signature")]
    Missing,
    /// There is more than one signature, and nothing says which one counts.
    #[error("the request has more than one signature")]
    Doubled,
    /// The signature is not written as `v=<milliseconds>,d=<hexadecimal digest>`.
    #[error("the signature is not written as one")]
    Malformed,
    /// The signature is not that of this body and time under our key: the key is another one, or
    /// something on the way has changed the body.
    #[error("the signature does not fit the body")]
    Wrong,
    /// The signature was right once. The request is replayed, or one of the clocks is wrong.
    #[error("the signature is of another time")]
    Stale,
}

impl ApiKey {
    /// A key as Retell's dashboard shows it.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(key.as_ref().into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header's value that Retell would send with `body` at `at`, for tests of an application.
    #[must_use]
    pub fn sign(&self, body: &[u8], at: DateTime<Utc>) -> String {
        let time = at.timestamp_millis().to_string();
        let digest = self.mac(body, &time).finalize().into_bytes();
        format!("v={time},d={}", hex::encode(digest))
    }

    /// Checks the signature over the body as it came, in constant time.
    ///
    /// # Errors
    ///
    /// When the request is not Retell's, or is older or newer than [`SIGNATURE_WINDOW`].
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        if self.is_empty() {
            return Err(SignatureError::NoKey);
        }
        let mut signatures = headers.get_all(SIGNATURE_HEADER).iter();
        let signature = signatures.next().ok_or(SignatureError::Missing)?;
        if signatures.next().is_some() {
            return Err(SignatureError::Doubled);
        }
        let (time, digest) = signature
            .to_str()
            .ok()
            .and_then(parts)
            .ok_or(SignatureError::Malformed)?;
        self.mac(body, time)
            .verify_slice(&digest)
            .map_err(|_| SignatureError::Wrong)?;
        // Only now: to who does not know the key, nothing is said about our clock.
        let signed_at = time
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .ok_or(SignatureError::Malformed)?;
        match (now - signed_at).abs() <= SIGNATURE_WINDOW {
            true => Ok(()),
            false => Err(SignatureError::Stale),
        }
    }

    fn mac(&self, body: &[u8], time: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(body);
        mac.update(time.as_bytes());
        mac
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The time's digits and the digest of `v=<milliseconds>,d=<hexadecimal digest>`.
fn parts(signature: &str) -> Option<(&str, [u8; 32])> {
    let (time, digest) = signature.strip_prefix("v=")?.split_once(",d=")?;
    let is_time =
        (1..=MAX_DIGITS).contains(&time.len()) && time.bytes().all(|digit| digit.is_ascii_digit());
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes).ok()?;
    is_time.then_some((time, bytes))
}
