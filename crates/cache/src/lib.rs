//! A read-through cache that serves a value only while every fence it was loaded under stands.
//!
//! An entry declares what it answers for: spans of scopes ([`Cover`]). An invalidation names a scope
//! and a span. Where they meet, the entry is not served again. Nobody guesses keys, and no load
//! that an invalidation overtook can bring the old value back.
//!
//! ```
//! use std::convert::Infallible;
//! use vacancy_cache::{Cache, Cover, Scope, Span};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let cache: Cache<u32, String, Infallible> = Cache::builder().build();
//! let room = Scope::new("hotel 7", "room", "12");
//! let covers = || [Cover::new(room.clone(), Span::ALL)];
//! let answer = cache.get_or_load(&12, covers, async || Ok("free".to_owned())).await.unwrap();
//! assert_eq!(*answer, "free");
//! cache.invalidate(&room, Span::ALL);
//! assert!(cache.get(&12).is_none());
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - A read that begins after an invalidation has returned never gives a value whose load began
//!   before it.
//! - An invalidation reaches every entry that covers a point of its span, and no other, as long as
//!   the entry is read at least once within the fence's log ([`Builder::span_log`]). After that it is
//!   loaded again: the error is always on this side.
//! - Concurrent misses of one key share one load. A read that begins after an invalidation never joins
//!   a load that began before it.
//! - What is [held](Cache::hold) is kept for nobody and shared with nobody from before a change until
//!   after it, so not even the moment between the change and its invalidation shows.
//! - An error of the loader is never kept.
//! - An invalidation costs the same whatever is cached, and a scope that nothing holds costs nothing.
//!
//! # What is not
//!
//! - The cache cannot know of a change that nobody tells it of: the time to live bounds that.
//! - Entries behind a fence are not freed at once, but when they are loaded again, evicted, or as
//!   old as the time to live.
//! - Without the feature `redis` it holds for one process.
//!
//! # Features
//!
//! - `redis`: a second level in Redis or Valkey, and notices between processes, so that what one
//!   invalidates no other serves: at once or within a lease, see `Consistency`. What becomes of it when
//!   Redis fails is told at `Redis`.
//! - `redis-tls`: addresses that begin with `rediss://`.

mod answer;
mod builder;
mod cache;
mod claims;
mod cover;
mod entry;
mod fence;
mod fences;
mod flight;
mod hold;
mod l1;
#[cfg(feature = "redis")]
mod level2;
#[cfg(not(feature = "redis"))]
#[path = "no_level2.rs"]
mod level2;
mod map;
mod statistics;
mod sync;
mod token;
mod turn;
mod unconfirmed;

#[cfg(all(test, vacancy_loom))]
mod model;

pub use answer::{Answer, Source};
pub use builder::Builder;
pub use cache::{Admission, Cache, Key, Nearest};
pub use claims::{
    Claim, ClaimError, ClaimRequest, Claims, ClaimsUnavailable, ExtendClaimError, InvalidClaim,
    LONGEST_CLAIM, MAX_CLAIMS, Share, unique_claim_id,
};
pub use cover::{Cover, Scope, Span};
pub use hold::Hold;
#[cfg(all(feature = "redis", fuzzing))]
#[doc(hidden)]
pub use level2::fuzzing;
#[cfg(all(feature = "redis", vacancy_simulation))]
pub use level2::simulation;
#[cfg(feature = "redis")]
pub use level2::{Consistency, InvalidUrl, Redis, RedisUrl, SharedKey};
pub use statistics::{Level2Statistics, Statistics};
pub use token::{InvalidToken, Token};
pub use turn::{Follower, Landing, Load, Look, Retry, Ticket, Turn};
pub use unconfirmed::Unconfirmed;
