//! [`Secret`]: what proves that a body comes from the subscription.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

use crate::refusal::Refusal;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-cal-signature-256";

/// What Cal.com writes there when the subscription has no secret.
const NO_SECRET: &[u8] = b"no-secret-provided";

/// The secret of a webhook subscription. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// A secret; `None` when it is empty, since anybody could sign with that.
    #[must_use]
    pub fn new(secret: impl AsRef<[u8]>) -> Option<Self> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// The value of the [`SIGNATURE_HEADER`] of `body`, as Cal.com computes it. For tests and demonstrations.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        hex::encode(self.of(body).finalize().into_bytes())
    }

    /// Compares in constant time.
    fn has_signed(&self, body: &[u8], signature: &[u8]) -> bool {
        self.of(body).verify_slice(signature).is_ok()
    }

    fn of(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(body);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Checks that one of `secrets` has signed the very bytes of `body`.
pub(crate) fn verify(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    if secrets.is_empty() {
        return Err(Refusal::NoSecretConfigured);
    }
    let mut values = headers.get_all(SIGNATURE_HEADER).iter();
    let value = values.next().ok_or(Refusal::MissingSignature)?.as_bytes();
    // Two signatures: whichever is checked, something before us may have checked the other one.
    if values.next().is_some() {
        return Err(Refusal::RepeatedSignature);
    }
    let value = value.trim_ascii();
    if value == NO_SECRET {
        return Err(Refusal::SenderHasNoSecret);
    }
    let value = value.strip_prefix(b"sha256=").unwrap_or(value);
    let signature = hex::decode(value).map_err(|_| Refusal::WrongSignature)?;
    // All of them, so that the time taken does not tell which one it was.
    let signed = secrets.iter().fold(false, |signed, secret| {
        secret.has_signed(body, &signature) | signed
    });
    match signed {
        true => Ok(()),
        false => Err(Refusal::WrongSignature),
    }
}
