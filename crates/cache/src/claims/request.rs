//! What somebody wants to claim.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::LONGEST_CLAIM;
use crate::cover::Cover;

/// The most covers of one claim.
const MAX_PARTS: usize = 64;

/// Bytes that the texts of one claim may have together.
const MAX_BYTES: usize = 64 << 10;

/// What somebody wants to claim: all of it or nothing.
///
/// Its id is what makes a repeated request the same claim. It has to differ from every other id that the
/// owner uses within the tenant: see [`unique_claim_id`].
#[derive(Clone, PartialEq, Eq)]
#[must_use = "nothing is claimed until it is asked for"]
pub struct ClaimRequest {
    pub(super) id: Arc<str>,
    pub(super) owner: Arc<str>,
    pub(super) lasts: Duration,
    pub(super) parts: Vec<Part>,
    pub(super) note: Arc<str>,
}

/// One span of one scope, alone or shared with others of the same company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) cover: Cover,
    pub(super) share: Option<Share>,
}

/// With whom a claim may overlap: those that name the same company, while there are places for all.
///
/// Whatever else meets the span is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub(super) company: Arc<str>,
    pub(super) takes: u32,
    pub(super) places: u32,
}

/// Why a request cannot be made as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClaim {
    /// It names nothing.
    #[error("a claim has to name something")]
    Nothing,
    /// It names things of several tenants, which cannot be claimed at a stroke.
    #[error("a claim is about one tenant")]
    SeveralTenants,
    /// A span has no point, so the claim would be of nothing.
    #[error("a span of the claim is empty")]
    EmptySpan,
    /// It names more than 64 covers, or its texts have more than 64 KiB.
    #[error("a claim is too large")]
    TooLarge,
}

impl ClaimRequest {
    /// Asks for nothing yet, in the name of `owner`, for `lasts` from now: [`LONGEST_CLAIM`] at most.
    pub fn new(id: impl Into<Arc<str>>, owner: impl Into<Arc<str>>, lasts: Duration) -> Self {
        Self {
            id: id.into(),
            owner: owner.into(),
            lasts: lasts.min(LONGEST_CLAIM),
            parts: Vec::new(),
            note: Arc::from(""),
        }
    }

    /// Asks for a span that nobody else may claim meanwhile.
    pub fn alone(mut self, cover: Cover) -> Self {
        let share = None;
        self.parts.push(Part { cover, share });
        self
    }

    /// Asks for a span together with others.
    pub fn shared(mut self, cover: Cover, share: Share) -> Self {
        let share = Some(share);
        self.parts.push(Part { cover, share });
        self
    }

    /// Writes something on it, for whoever lists it.
    pub fn note(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = note.into();
        self
    }

    /// The tenant, if it can be claimed.
    pub(super) fn check(&self) -> Result<&Arc<str>, InvalidClaim> {
        let first = self.parts.first().ok_or(InvalidClaim::Nothing)?;
        let tenant = first.cover.scope.tenant_arc();
        let bytes = |part: &Part| {
            let company = part.share.as_ref().map_or(0, |share| share.company.len());
            part.cover.scope.kind().len() + part.cover.scope.id().len() + company
        };
        let parts: usize = self.parts.iter().map(bytes).sum();
        let texts = parts + tenant.len() + self.id.len() + self.owner.len() + self.note.len();
        if self.parts.len() > MAX_PARTS || texts > MAX_BYTES {
            return Err(InvalidClaim::TooLarge);
        }
        if self.parts.iter().any(|part| part.cover.span.is_empty()) {
            return Err(InvalidClaim::EmptySpan);
        }
        match self
            .parts
            .iter()
            .all(|part| part.cover.scope.tenant() == &**tenant)
        {
            true => Ok(tenant),
            false => Err(InvalidClaim::SeveralTenants),
        }
    }
}

impl Share {
    /// One of `places` for those who name the same `company`.
    ///
    /// The number of places is that of the request which is asked for, whatever the others have said.
    #[must_use]
    pub fn new(company: impl Into<Arc<str>>, places: NonZeroU32) -> Self {
        Self {
            company: company.into(),
            takes: 1,
            places: places.get(),
        }
    }

    /// No place, among any number of others: nobody of the same company is in the way, and the rest is.
    #[must_use]
    pub fn unlimited(company: impl Into<Arc<str>>) -> Self {
        Self {
            company: company.into(),
            takes: 0,
            places: u32::MAX,
        }
    }

    /// Takes so many places.
    #[must_use]
    pub fn takes(mut self, places: NonZeroU32) -> Self {
        self.takes = places.get();
        self
    }
}

/// An id that no other claim has, in this process or another one.
#[must_use]
pub fn unique_claim_id() -> String {
    // Random for each process; the number tells the claims of one process apart.
    static STATES: LazyLock<[RandomState; 2]> =
        LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let random = STATES.each_ref().map(|state| state.hash_one("vacancy"));
    format!("{:016x}{:016x}{nth:x}", random[0], random[1])
}

impl fmt::Debug for ClaimRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimRequest")
            .field("id", &self.id)
            .field("lasts", &self.lasts)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
