//! The name of one request, by which its repetition is known.

use std::fmt;

use crate::booking::MAX_BOOKED_ID_BYTES;

/// What the sender calls one request, so that its retry is not taken for another: a random id that the client
/// makes, the id of a webhook's delivery.
///
/// Belongs to a tenant. From 1 to [`MAX_BOOKED_ID_BYTES`] bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OperationKey(String);

/// Why a text is not an [`OperationKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operation key has from 1 to {MAX_BOOKED_ID_BYTES} bytes, none of them zero")]
pub struct InvalidOperationKey;

impl OperationKey {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OperationKey {
    type Error = InvalidOperationKey;

    fn try_from(text: String) -> Result<Self, InvalidOperationKey> {
        match (1..=MAX_BOOKED_ID_BYTES).contains(&text.len()) && !text.contains('\0') {
            true => Ok(Self(text)),
            false => Err(InvalidOperationKey),
        }
    }
}

impl TryFrom<&str> for OperationKey {
    type Error = InvalidOperationKey;

    fn try_from(text: &str) -> Result<Self, InvalidOperationKey> {
        Self::try_from(text.to_owned())
    }
}

/// Leaves the key out: who knows it can ask for what it did.
impl fmt::Debug for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationKey").finish_non_exhaustive()
    }
}
