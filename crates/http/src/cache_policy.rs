//! [`CachePolicy`]: how long browsers and edges may keep an answer, and under which keys.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use vacancy_slots::{OpenSlots, QueryError, SlotsCache, SlotsQuery};

use crate::entity_tag::{EntityTag, Strength};
use crate::surrogate_key::{SurrogateKey, written};

/// Says to browsers and edges how long they may keep an answer, and tells edges its keys.
///
/// A browser asks every time, and gets 304 where nothing has changed. An edge may answer by itself
/// for [`shared_max_age`](Self::shared_max_age), and never beyond the
/// [time to live](vacancy_slots::SlotsCacheBuilder::ttl) that was running for the answer already.
///
/// `clone` is cheap.
///
/// # Consistency
///
/// An edge that [`PurgeEdge`](crate::PurgeEdge) purges may serve an answer that a booking has made
/// untrue:
///
/// - between the dispatch of the event and the purge: a round trip to the edge, when nothing fails;
/// - for the shared age, when the purge was overtaken: an answer that left the application before
///   the dispatch and reached the edge after the purge is kept as any other. No purge can prevent
///   that, so the shared age is what bounds it, and is short;
/// - for the shared age, when no attempt of a purge reached the edge;
/// - for the shared age, when an answer was loaded from a source that did not know of the booking
///   yet, by a process that did not dispatch the event;
/// - longer by whatever the edge itself adds: grace, `stale-while-revalidate`, `stale-if-error`. The
///   VCL that comes with this crate adds none.
///
/// The write path decides, as it does everywhere.
#[derive(Clone, Debug)]
pub struct CachePolicy {
    slots: SlotsCache,
    shared_max_age: Duration,
    addressee: Addressee,
    strength: Strength,
    format: u32,
}

/// Who is told that an answer may be shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressee {
    /// Every shared cache on the way, by `s-maxage` in `Cache-Control`. Those that nobody purges
    /// obey it too.
    #[default]
    SharedCaches,
    /// Our own edges, by `Surrogate-Control`, which they understand and take away. All others get
    /// `no-cache`.
    OwnEdges,
}

/// The headers of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeHeaders {
    tag: EntityTag,
    headers: HeaderMap,
}

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

impl CachePolicy {
    /// For answers of `slots`.
    #[must_use]
    pub fn new(slots: SlotsCache) -> Self {
        Self {
            slots,
            shared_max_age: Duration::from_secs(10),
            addressee: Addressee::default(),
            strength: Strength::default(),
            format: 0,
        }
    }

    /// How long an edge may answer by itself, in whole seconds. Default 10 s; zero for never.
    ///
    /// It bounds what can be stale after a purge that was lost or overtaken. A popular page costs the
    /// application one request in so long, so little is gained by more.
    #[must_use]
    pub const fn shared_max_age(mut self, age: Duration) -> Self {
        self.shared_max_age = age;
        self
    }

    /// Who is told so. Default: [`Addressee::SharedCaches`].
    #[must_use]
    pub const fn addressee(mut self, addressee: Addressee) -> Self {
        self.addressee = addressee;
        self
    }

    /// What equal tags say. Default: [`Strength::Weak`].
    #[must_use]
    pub const fn strength(mut self, strength: Strength) -> Self {
        self.strength = strength;
        self
    }

    /// The number of the format that answers are written in. Default 0. Another number makes other
    /// tags, so that nobody keeps a body of the old format for a new one.
    #[must_use]
    pub const fn format(mut self, number: u32) -> Self {
        self.format = number;
        self
    }

    /// The headers for the answer `open` to `query`.
    ///
    /// # Errors
    ///
    /// [`QueryError`] where `query` has no answer.
    pub fn headers(&self, query: &SlotsQuery, open: &OpenSlots) -> Result<EdgeHeaders, QueryError> {
        let covers = self.slots.covers(query)?;
        let tag = EntityTag::new(query, open, self.strength, self.format);
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::ETAG, tag.header());
        let age = self.shared_seconds(open);
        match self.addressee {
            Addressee::SharedCaches => {
                let control = format!("public, max-age=0, must-revalidate, s-maxage={age}");
                headers.insert(header::CACHE_CONTROL, value(control));
            }
            Addressee::OwnEdges => {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                headers.insert(SURROGATE_CONTROL, value(format!("max-age={age}")));
            }
        }
        let keys = SurrogateKey::of_answer(&covers);
        if !keys.is_empty() {
            headers.insert(SURROGATE_KEY, value(written(&keys)));
        }
        Ok(EdgeHeaders { tag, headers })
    }

    /// What remains of the oldest part's time to live, if that is less than the setting. Rounded
    /// down: an edge counts in whole seconds.
    fn shared_seconds(&self, open: &OpenSlots) -> u64 {
        let oldest = open.days().iter().map(|day| day.age).max();
        let remains = self.slots.ttl().saturating_sub(oldest.unwrap_or_default());
        self.shared_max_age.min(remains).as_secs()
    }
}

impl EdgeHeaders {
    /// The answer's tag.
    #[must_use]
    pub const fn tag(&self) -> &EntityTag {
        &self.tag
    }

    /// Whether the client that sent these headers has the answer already. Then it gets status 304,
    /// with the same headers and no body.
    #[must_use]
    pub fn is_known_to(&self, request: &HeaderMap) -> bool {
        self.tag.is_known_to(request)
    }

    /// The headers, for a response of status 200 or 304.
    #[must_use]
    pub fn into_headers(self) -> HeaderMap {
        self.headers
    }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("words, digits and signs make a header")
}
