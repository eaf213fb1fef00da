//! HTTP caching of availability at the edge: short, filed under what it is about, and forgotten when a
//! booking changes it.
//!
//! [`CachePolicy`] gives the headers of an answer, [`PurgeEdge`] tells edges to forget.
//!
//! ```
//! # use async_trait::async_trait;
//! # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
//! # struct Calendar;
//! # #[async_trait]
//! # impl SlotSource for Calendar {
//! #     async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
//! #         Ok(vec![])
//! #     }
//! # }
//! use http::{HeaderMap, StatusCode};
//! use vacancy_dispatch::Bus;
//! use vacancy_http::{CachePolicy, Edge, PurgeEdge};
//! use vacancy_slots::{InvalidateSlotsCache, SlotsCache, SlotsQuery};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slots = SlotsCache::builder(Calendar).build();
//! let edge = Edge::varnish("front", "http://127.0.0.1:6081")?;
//! let bus = Bus::builder()
//!     .subscribe(InvalidateSlotsCache::new(slots.clone()))
//!     .subscribe(PurgeEdge::new(slots.clone(), [edge])?)
//!     .build()?;
//!
//! let policy = CachePolicy::new(slots.clone());
//! # let request = HeaderMap::new();
//! // A request for slots:
//! let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
//! let query = SlotsQuery::new(15, 123, today);
//! let open = slots.open(&query).await?;
//! let headers = policy.headers(&query, &open)?;
//! let status = match headers.is_known_to(&request) {
//!     true => StatusCode::NOT_MODIFIED, // and no body
//!     false => StatusCode::OK,
//! };
//! let headers = headers.into_headers(); // for either
//! assert_eq!(headers["cache-control"], "public, max-age=0, must-revalidate, s-maxage=10");
//! # assert_eq!(status, StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - An answer is filed at edges under keys that meet those of every event that takes it out of
//!   service in the [`SlotsCache`](vacancy_slots::SlotsCache): the cache's own rules give both. Other
//!   resources, other tenants, and days that are not touched stay.
//! - Equal slots have equal tags, in every process.
//! - Nothing is kept beyond the time to live that its oldest part has left.
//! - Headers are bounded, whatever the ids, the resources and the window.
//!
//! # What is not
//!
//! - An edge can serve what a booking has made untrue, until the purge arrives and, when that is lost or
//!   overtaken, for the shared age: ten seconds unless set otherwise. See
//!   [`CachePolicy`](CachePolicy#consistency).
//! - What no event tells of is not purged: call [`PurgeEdge::purge_tenant`] beside
//!   [`SlotsCache::invalidate`](vacancy_slots::SlotsCache::invalidate), or wait for the shared age.
//! - Edges file an answer by its URL. The application sees to it that whatever changes the answer is in the
//!   URL, or in `Vary`.
//!
//! # Varnish
//!
//! `vcl/vacancy.vcl` is to be included in the VCL of a Varnish that is purged. It bans by key, adds no
//! grace, and keeps the keys from clients. It needs no module beyond those of Varnish itself.

mod cache_policy;
mod edge;
mod entity_tag;
mod purge_edge;
mod surrogate_key;

pub use cache_policy::{Addressee, CachePolicy, EdgeHeaders};
pub use edge::{Edge, InvalidEdge, PurgeError};
pub use entity_tag::{EntityTag, Strength};
pub use purge_edge::{PurgeEdge, PurgeEdgeError};
pub use surrogate_key::{MAX_ANSWER_KEYS, MAX_PURGED_KEYS, SurrogateKey};
