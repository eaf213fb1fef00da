//! The settings of a source over Cal.com.

use std::{error::Error, fmt, num::NonZeroU32, time::Duration};

use vacancy_slots::SlotsRequest;

use crate::source::{
    CalcomSlots, Inner,
    call::{Calls, Rest},
    event_type::CalcomEventType,
    exchange::Exchange,
    limit::CalcomLimit,
};

/// The longest of any time that is set here.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The most retries.
const MOST_RETRIES: u8 = 5;

pub(crate) type EventTypes = dyn Fn(&SlotsRequest) -> Vec<CalcomEventType> + Send + Sync;

/// Which form of the slots API is asked, by the version that goes into `cal-api-version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CalcomApi {
    /// `GET /v2/slots`. Slots are asked for with both their ends.
    #[default]
    V2024_09_04,
    /// `GET /v2/slots/available`, for servers of one's own that have no other. It gives starts alone,
    /// and is asked by event type id only.
    V2024_04_15,
}

impl CalcomApi {
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::V2024_09_04 => "2024-09-04",
            Self::V2024_04_15 => "2024-04-15",
        }
    }
}

/// The settings of a [`CalcomSlots`]. All but the key have a default.
#[must_use = "settings do nothing until `build`"]
pub struct CalcomSlotsBuilder {
    api_key: String,
    base_url: String,
    api: CalcomApi,
    event_types: Box<EventTypes>,
    time_out: Duration,
    retries: u8,
    limit: Option<CalcomLimit>,
    rest: Rest,
}

/// Why a source cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalcomBuildError {
    /// The key is empty or has characters that no header can carry, such as the end of a line.
    #[error("the api key cannot be sent")]
    ApiKey,
    /// The base address is not an http or https one, or has a user, a password or a query.
    #[error("the base address is not one of http or https alone")]
    BaseUrl,
    /// TLS cannot be set up: the machine has no certificates to trust, for instance.
    #[error("tls cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}

impl CalcomSlotsBuilder {
    pub(crate) fn new(api_key: String) -> Self {
        Self {
            api_key,
            base_url: "https://api.cal.com".to_owned(),
            api: CalcomApi::default(),
            event_types: Box::new(same_id),
            time_out: Duration::from_secs(5),
            retries: 1,
            limit: None,
            rest: Rest {
                failures: const { NonZeroU32::new(5).unwrap() },
                time: Duration::from_secs(30),
            },
        }
    }

    /// Where the API is. Default: `https://api.cal.com`. `/v2/slots` is added to its path.
    ///
    /// With `http`, key and answers can be read on the way; it is for a server beside this one.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// Which form of the API is asked. Default: the present one.
    pub fn api(mut self, api: CalcomApi) -> Self {
        self.api = api;
        self
    }

    /// Which event types of Cal.com answer a request; all their slots together are the answer.
    ///
    /// An answer of Cal.com names no host, so the request's resources have to become event types:
    /// where each host has one of his own, name that of each resource asked for, with
    /// [`resource`](CalcomEventType::resource). Each costs a call; one that is named twice is asked
    /// once, for the resources of both. Name none for what Cal.com cannot answer: that is an error
    /// ([`CalcomError::Unmapped`](crate::CalcomError)), never 'no slots'.
    ///
    /// Called for each request, on the task that reads: it must not block.
    ///
    /// Default: the event type with the same number as ours, for requests that name no resource.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use vacancy_calcom::{CalcomEventType, CalcomSlots};
    /// use vacancy_slots::{EventTypeId, ResourceId, SlotsRequest};
    ///
    /// /// The event type that each host has for each of ours.
    /// type Own = HashMap<(EventTypeId, ResourceId), u64>;
    ///
    /// fn source(api_key: &str, own: Own) -> Result<CalcomSlots, vacancy_calcom::CalcomBuildError> {
    ///     let of_host = move |request: &SlotsRequest, host: &ResourceId| {
    ///         let id = own.get(&(request.event_type.clone(), host.clone()))?;
    ///         Some(CalcomEventType::id(*id).resource(host.clone()))
    ///     };
    ///     CalcomSlots::builder(api_key)
    ///         .event_types(move |request| {
    ///             let hosts = request.resources.iter();
    ///             let known: Option<Vec<_>> = hosts.map(|host| of_host(request, host)).collect();
    ///             known.unwrap_or_default() // all of them or none: a part would hide slots
    ///         })
    ///         .build()
    /// }
    /// ```
    pub fn event_types(
        mut self,
        event_types: impl Fn(&SlotsRequest) -> Vec<CalcomEventType> + Send + Sync + 'static,
    ) -> Self {
        self.event_types = Box::new(event_types);
        self
    }

    /// How long a request may take, its wait for a turn and its retries included. Default 5 s, at most
    /// a day.
    ///
    /// Keep it below the cache's [`source_time_out`](vacancy_slots::SlotsCacheBuilder::source_time_out):
    /// a request that the cache gives up first says nothing to the breaker.
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out.min(LONGEST);
        self
    }

    /// How often a call is made again that failed for a passing reason: no connection, a 5xx, or a 429
    /// whose pause ends within the time-out. Default 1, at most 5. Pauses begin at 100 ms and double.
    pub fn retries(mut self, retries: u8) -> Self {
        self.retries = retries.min(MOST_RETRIES);
        self
    }

    /// The limit of the key. Default: 120 calls a minute, shared by the clones of this source.
    ///
    /// Give it to everything that calls with the same key.
    pub fn limit(mut self, limit: CalcomLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// After how many failed calls in a row, of all clones, no more are made for a while. Default 5.
    ///
    /// What fails is no connection, no answer in time, an answer that cannot be read, or a status
    /// other than 200 and 4xx. A 429 neither fails nor succeeds; its pause is the answer to it.
    pub fn breaker_failures(mut self, failures: NonZeroU32) -> Self {
        self.rest.failures = failures;
        self
    }

    /// For how long no calls are made then. Default 30 s, at most a day. After it, one call is made, and
    /// decides whether the others follow.
    pub fn breaker_rest(mut self, rest: Duration) -> Self {
        self.rest.time = rest.min(LONGEST);
        self
    }

    /// The source. It opens no connection yet.
    ///
    /// TLS is rustls with ring and the certificates that the machine trusts, for this client alone: the
    /// process needs no default provider of cryptography, and none is installed.
    ///
    /// # Errors
    ///
    /// [`CalcomBuildError`] when a setting cannot be used, or TLS cannot be set up.
    pub fn build(self) -> Result<CalcomSlots, CalcomBuildError> {
        let exchange = Exchange::new(&self.base_url, &self.api_key, self.api)?;
        let limit = self.limit.unwrap_or_default();
        let calls = Calls::new(limit, self.rest, self.retries.into(), self.time_out);
        Ok(CalcomSlots::new(Inner {
            exchange,
            calls,
            event_types: self.event_types,
        }))
    }
}

/// Only a number as Cal.com writes it: `"015"` is another id.
fn same_id(request: &SlotsRequest) -> Vec<CalcomEventType> {
    let id = request.event_type.as_str().parse::<u64>().ok();
    id.filter(|id| request.resources.is_empty() && id.to_string() == request.event_type.as_str())
        .map(CalcomEventType::id)
        .into_iter()
        .collect()
}

/// Without the key, and without the base address, whose path may be a secret too.
impl fmt::Debug for CalcomSlotsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CalcomSlotsBuilder")
            .field("api", &self.api)
            .field("time_out", &self.time_out)
            .field("retries", &self.retries)
            .field("limit", &self.limit)
            .field("breaker", &self.rest)
            .finish_non_exhaustive()
    }
}
