//! Claims as the tests make them.

use std::time::Duration;

use vacancy::cache::{ClaimRequest, Cover, Scope, Span};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The hour of this number on a chair of the salon.
pub(crate) fn hour(chair: &str, hour: i64) -> Cover {
    Cover::new(
        Scope::new("salon", "chair", chair.to_owned()),
        Span::new(hour, hour + 1),
    )
}

/// A request for a minute.
pub(crate) fn request(id: &str, owner: &str) -> ClaimRequest {
    ClaimRequest::new(id, owner, MINUTE)
}
