//! [`Refusal`]: why a request is not taken for a webhook of Cal.com.

use http::StatusCode;

/// Why a request is not taken for a webhook of Cal.com. Nothing was read from it, noted or invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The receiver has no secret, so it cannot tell who sends. Configure one.
    #[error("the receiver has no webhook secret")]
    NoSecretConfigured,
    /// The body is longer than the receiver takes.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// Bytes that it takes.
        limit: usize,
    },
    /// The connection ended, or broke the rules of HTTP, before the body was complete.
    #[error("the body did not arrive")]
    Interrupted,
    /// There is no signature.
    #[error("the header x-cal-signature-256 is missing")]
    MissingSignature,
    /// There is more than one signature.
    #[error("the header x-cal-signature-256 is given more than once")]
    RepeatedSignature,
    /// The subscription has no secret. Give it the receiver's.
    #[error("the subscription has no secret")]
    SenderHasNoSecret,
    /// No secret of the receiver has signed this body, or what is given is not a signature.
    #[error("the signature does not belong to the body")]
    WrongSignature,
    /// The body is a form. Choose JSON for the subscription.
    #[error("a form was sent where JSON is expected")]
    Form,
    /// The body is not JSON, is cut short, or is nested too deeply.
    #[error("the body is not JSON")]
    NotJson,
    /// It is JSON without a trigger: a subscription with a template of its own. Use the default one.
    #[error("the body names no triggerEvent, as with a custom template")]
    NotAWebhook,
    /// The trigger is about a booking or an absence, and there is no payload.
    #[error("the body has no payload")]
    NoPayload,
    /// A key is given twice with different values, so that the signed body has two meanings.
    #[error("{field} is given twice with different values")]
    Contradictory {
        /// The key.
        field: &'static str,
    },
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoSecretConfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MissingSignature
            | Self::RepeatedSignature
            | Self::SenderHasNoSecret
            | Self::WrongSignature => StatusCode::UNAUTHORIZED,
            Self::Form => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Interrupted | Self::NotJson => StatusCode::BAD_REQUEST,
            Self::NotAWebhook | Self::NoPayload | Self::Contradictory { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        }
    }

    /// What it is called in metrics, logs and answers.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoSecretConfigured => "no_secret_configured",
            Self::TooLarge { .. } => "too_large",
            Self::Interrupted => "interrupted",
            Self::MissingSignature => "missing_signature",
            Self::RepeatedSignature => "repeated_signature",
            Self::SenderHasNoSecret => "sender_has_no_secret",
            Self::WrongSignature => "wrong_signature",
            Self::Form => "form",
            Self::NotJson => "not_json",
            Self::NotAWebhook => "not_a_webhook",
            Self::NoPayload => "no_payload",
            Self::Contradictory { .. } => "contradictory",
        }
    }
}
