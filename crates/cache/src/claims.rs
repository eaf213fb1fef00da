//! Who has claimed which spans of which scopes, and until when.
//!
//! # Invariants
//!
//! 1. A claim is stored with all of its parts or not at all, and only if nothing of another owner that
//!    is not over stands in the way of any of them.
//! 2. Where claims are shared, one clock, the server's, decides what is over.
//! 3. A claim that was released does not come back, however late a copy of its request arrives.

mod memory;
mod request;
#[cfg(feature = "redis")]
mod shared;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::request::{ClaimRequest, InvalidClaim, Share, unique_claim_id};
use self::{memory::Memory, request::Part};
use crate::cover::{Cover, Scope};

/// The most claims that one scope, or one owner within a tenant, may have at a time: 1,024.
pub const MAX_CLAIMS: usize = 1024;

/// The longest a claim lasts after it was made or extended: 24 hours. Longer ones are taken as this long.
pub const LONGEST_CLAIM: Duration = Duration::from_secs(24 * 3600);

/// Who has claimed which spans of which scopes, and until when.
///
/// A claim keeps others from claiming what it names until it is released or its time is over. It keeps
/// nobody from anything else: what is claimed is for the application to respect, and a cache knows
/// nothing of it.
///
/// A handle: `clone` is cheap and shares everything. It owns no task. Dropping the last one forgets the
/// claims that are kept in memory, and leaves those in Redis.
///
/// # With Redis
///
/// With the feature `redis`, `Claims::redis` keeps them where several processes share them. All that
/// a call does happens in one script there, so two processes cannot both be given the same. The
/// server's clock decides when a claim is over; what is left of its time travels as a duration, so the
/// clocks of the processes need not agree.
///
/// Claims are not fenced as answers of the cache are. A Redis that was restarted empty, flushed, or
/// failed over to a replica that lags has forgotten claims, or knows released ones again until
/// their time is over; a jump of its clock ends them early or late. So a claim is a promise to a person who
/// has not decided yet, and whoever books has to make sure of it all the same, in a transaction.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vacancy_cache::{ClaimError, ClaimRequest, Claims, Cover, Scope, Span};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let claims = Claims::in_memory();
/// let chair = Cover::new(Scope::new("salon 15", "chair", "1"), Span::new(50_400, 54_000));
/// let request = |owner| ClaimRequest::new("1", owner, Duration::from_secs(300)).alone(chair.clone());
///
/// let claim = claims.claim(&request("ann")).await.unwrap();
/// let refused = claims.claim(&request("bob")).await.unwrap_err();
/// assert!(matches!(refused, ClaimError::Taken { .. }));
///
/// claims.release(&claim).await.unwrap();
/// assert!(claims.claim(&request("bob")).await.is_ok());
/// # }
/// ```
#[derive(Clone)]
pub struct Claims(Arc<Place>);

/// Where claims are kept.
enum Place {
    Memory(Memory),
    #[cfg(feature = "redis")]
    Redis(shared::SharedClaims),
}

/// What somebody has claimed, as it was when he was told. `clone` is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    tenant: Arc<str>,
    owner: Arc<str>,
    id: Arc<str>,
    parts: Arc<[Part]>,
    note: Arc<str>,
    until: Instant,
}

/// Why a claim was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Others have claimed some of it. Nothing was claimed; choose something else, or wait.
    #[error("it is claimed by others for another {over_in:?}")]
    Taken {
        /// The first scope in which something stands in the way.
        scope: Scope,
        /// When all that stands in the way there is over, unless it is extended.
        over_in: Duration,
    },
    /// A scope has [`MAX_CLAIMS`] claims. Nothing was claimed; some of them end in their time.
    #[error("a scope has {MAX_CLAIMS} claims already")]
    Full {
        /// Which.
        scope: Scope,
    },
    /// The owner has [`MAX_CLAIMS`] claims of the tenant. Nothing was claimed; release some.
    #[error("the owner has {MAX_CLAIMS} claims already")]
    TooMany,
    /// The owner has used the id for another claim, or for one that was released. Choose a new id.
    #[error("the id was used before")]
    Used,
    /// It cannot be asked like this.
    #[error(transparent)]
    Invalid(#[from] InvalidClaim),
    /// It is not known whether it was claimed. The same request can be made again: it is the same claim.
    #[error(transparent)]
    Unavailable(#[from] ClaimsUnavailable),
}

/// Why a claim was not extended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtendClaimError {
    /// Its time was over, or it was released, or forgotten. It has to be claimed anew, under a new id.
    #[error("the claim is over")]
    Over,
    /// It is not known whether it was extended. Extending it again is safe.
    #[error(transparent)]
    Unavailable(#[from] ClaimsUnavailable),
}

/// Redis did not answer, refused, or was not understood. What was asked for may have happened all the same.
///
/// Tells no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("claims could not be asked for: {reason}")]
pub struct ClaimsUnavailable {
    reason: String,
}

impl Claims {
    /// Claims that this process alone knows, and forgets when it ends.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Place::Memory(Memory::default())))
    }

    /// Claims that all processes share that name the same namespace on the same Redis.
    ///
    /// Of the settings the address, the namespace and the time-out count; it has a connection of its own,
    /// which is made by the first call.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(redis: impl Into<crate::Redis>) -> Self {
        let shared = shared::SharedClaims::new(&redis.into());
        Self(Arc::new(Place::Redis(shared)))
    }

    /// Whether other processes may claim the same, so that only Redis knows what is claimed.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        match &*self.0 {
            Place::Memory(_) => false,
            #[cfg(feature = "redis")]
            Place::Redis(_) => true,
        }
    }

    /// Claims all that the request names, or nothing.
    ///
    /// A request that is made again, after its answer was lost, is the same claim: it is given as it is,
    /// neither taken twice nor extended.
    ///
    /// What the owner himself has claimed is not in the way, but for the places he takes in a
    /// [`Share`].
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may leave the claim, which ends in its time.
    ///
    /// # Errors
    ///
    /// See [`ClaimError`].
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Claim, ClaimError> {
        let tenant = request.check()?;
        match &*self.0 {
            Place::Memory(memory) => memory.claim(tenant, request),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => shared.claim(tenant, request).await,
        }
    }

    /// Lets the claim last for `lasts` from now, unless it would last longer anyway.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have extended it.
    ///
    /// # Errors
    ///
    /// See [`ExtendClaimError`].
    pub async fn extend(&self, claim: &Claim, lasts: Duration) -> Result<Claim, ExtendClaimError> {
        let lasts = lasts.min(LONGEST_CLAIM);
        match &*self.0 {
            Place::Memory(memory) => memory.extend(claim, lasts),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => shared.extend(claim, lasts).await,
        }
    }

    /// Ends the claim; whether it had not ended yet. Its id cannot be claimed again for an hour.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have ended it.
    ///
    /// # Errors
    ///
    /// When Redis did not say that it was done. Releasing it again is safe.
    pub async fn release(&self, claim: &Claim) -> Result<bool, ClaimsUnavailable> {
        match &*self.0 {
            Place::Memory(memory) => Ok(memory.release(claim)),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => shared.release(claim).await,
        }
    }

    /// The claim of this owner and id, unless it is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When Redis did not answer.
    pub async fn find(
        &self,
        tenant: &str,
        owner: &str,
        id: &str,
    ) -> Result<Option<Claim>, ClaimsUnavailable> {
        match &*self.0 {
            Place::Memory(memory) => Ok(memory.find(tenant, owner, id)),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => Ok(shared.of(tenant, owner, Some(id)).await?.pop()),
        }
    }

    /// The claims of an owner within a tenant that are not over, by their id.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When Redis did not answer.
    pub async fn of(&self, tenant: &str, owner: &str) -> Result<Vec<Claim>, ClaimsUnavailable> {
        let mut claims = match &*self.0 {
            Place::Memory(memory) => memory.of(tenant, owner),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => shared.of(tenant, owner, None).await?,
        };
        claims.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(claims)
    }

    /// The claims that meet one of `covers` and are not over, each once, in any order.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When Redis did not answer.
    pub async fn list(&self, covers: &[Cover]) -> Result<Vec<Claim>, ClaimsUnavailable> {
        match &*self.0 {
            Place::Memory(memory) => Ok(memory.list(covers)),
            #[cfg(feature = "redis")]
            Place::Redis(shared) => shared.list(covers).await,
        }
    }

    /// What [`list`](Self::list) would give, without waiting, where this process alone knows it; nothing
    /// where claims are [shared](Self::are_shared).
    #[must_use]
    pub fn list_here(&self, covers: &[Cover]) -> Vec<Claim> {
        match &*self.0 {
            Place::Memory(memory) => memory.list(covers),
            #[cfg(feature = "redis")]
            Place::Redis(_) => Vec::new(),
        }
    }

    /// Whether [`list_here`](Self::list_here) has something to look through. One atomic load.
    #[must_use]
    pub fn any_here(&self) -> bool {
        match &*self.0 {
            Place::Memory(memory) => !memory.is_empty(),
            #[cfg(feature = "redis")]
            Place::Redis(_) => false,
        }
    }
}

impl Claim {
    /// Whose thing it is about.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Who has claimed it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its id among the claims of its owner.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is claimed.
    pub fn covers(&self) -> impl Iterator<Item = &Cover> {
        self.parts.iter().map(|part| &part.cover)
    }

    /// What its owner has written on it.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// When it ends, as far as was known when it was given.
    ///
    /// With Redis it is off by the way of the answer at the most: one's own claim ends no later at the server
    /// than this says when it was claimed or extended, and others' no later when they were listed.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("shared", &self.are_shared())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("id", &self.id)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
