//! [`PurgeEdge`]: has edges forget what a booking event has made untrue.

use std::borrow::Cow;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::task::JoinSet;
use tracing::{debug, warn};
use vacancy_dispatch::{
    BoxError, BusBuilder, Delivery, Event, Listener, Permanent, Policy, Retry, Skip, Subscriber,
};
use vacancy_slots::{
    AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent, SlotsCache,
    TenantId,
};

use crate::edge::{Edge, PurgeError};
use crate::surrogate_key::SurrogateKey;

/// Keys in one request; more go into further ones.
const BATCH: usize = 96;

/// Has edges forget every answer that a booking event can affect, and leaves them the others.
///
/// As a [`Subscriber`] it registers the listener `http.purge` for each of the three booking events, in a
/// lane: the booking does not wait for it, and no edge can make it fail. What is purged is what
/// [`InvalidateSlotsCache`](vacancy_slots::InvalidateSlotsCache) takes out of service in the cache, rounded to
/// days of UTC: the same rules of the same cache decide. It needs `InvalidateSlotsCache` on the same
/// bus: an edge that is purged asks again, and is to get the new answer.
///
/// Where processes share a cache through Redis, a purge waits for the confirmation of the
/// invalidation; see [`SlotsCache::confirmed`]. In bounded consistency another process may still
/// give an edge the old answer within the lease.
///
/// What can still be stale, and for how long, is told at [`CachePolicy`](crate::CachePolicy#consistency).
///
/// # Failures
///
/// All edges are told at the same time, and all again when one of them fails: forgetting twice does
/// no harm. Where no edge fails but by refusing for good, it is not tried again. A listener that gave up leaves a dead letter with a [`PurgeError`]; until the shared age
/// is over that edge may serve what is untrue.
///
/// Counters `edge_purge_attempts_total` and `edge_purge_failed_total` by `edge`, and the histogram
/// `edge_purge_duration_seconds` from acceptance of the event to the last edge's answer.
#[derive(Clone)]
pub struct PurgeEdge {
    slots: SlotsCache,
    edges: Arc<[Edge]>,
    client: reqwest::Client,
    retry: Retry,
    time_out: Duration,
    request_time_out: Duration,
}

/// Why no edge can be told anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeEdgeError {
    /// The client for HTTP could not be set up; most often the system's certificates cannot be read.
    #[error("the http client could not be set up")]
    Client(#[source] BoxError),
}

impl PurgeEdge {
    /// Purges `edges` of answers that came from `slots`.
    ///
    /// TLS is by rustls with ring, whatever else the process uses, and trusts what the system trusts.
    ///
    /// # Errors
    ///
    /// When the client for HTTP cannot be set up.
    pub fn new(
        slots: SlotsCache,
        edges: impl IntoIterator<Item = Edge>,
    ) -> Result<Self, PurgeEdgeError> {
        let edges: Arc<[Edge]> = edges.into_iter().collect();
        let tls = tls(edges.iter().all(Edge::is_plain)).map_err(PurgeEdgeError::Client)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // A redirection would carry the token to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| PurgeEdgeError::Client(error.into()))?;
        Ok(Self {
            slots,
            edges,
            client,
            retry: Retry::new(const { NonZeroU32::new(6).expect("6 is not zero") }),
            time_out: Duration::from_secs(20),
            request_time_out: Duration::from_secs(2),
        })
    }

    /// How a purge that failed is tried again. Default: six attempts within about six seconds.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long all attempts of one event may take. Default 20 s.
    #[must_use]
    pub const fn time_out(mut self, limit: Duration) -> Self {
        self.time_out = limit;
        self
    }

    /// How long an edge may take to answer one request. Default 2 s.
    #[must_use]
    pub const fn request_time_out(mut self, limit: Duration) -> Self {
        self.request_time_out = limit;
        self
    }

    /// Has all edges forget all answers of a tenant, for what no event tells of.
    ///
    /// # Cancel safety
    ///
    /// Edges that were told have forgotten. The others may or may not.
    ///
    /// # Errors
    ///
    /// A [`PurgeError`] of one of them; the other edges were told all the same.
    pub async fn purge_tenant(&self, tenant: &TenantId) -> Result<(), PurgeError> {
        self.purge(&[SurrogateKey::of_tenant(tenant.as_str())])
            .await
    }

    /// Tells every edge, at the same time.
    async fn purge(&self, keys: &[SurrogateKey]) -> Result<(), PurgeError> {
        let keys: Arc<[SurrogateKey]> = keys.into();
        let mut telling = JoinSet::new();
        for place in 0..self.edges.len() {
            let (purge, keys) = (self.clone(), Arc::clone(&keys));
            telling.spawn(async move { purge.purge_one(&purge.edges[place], &keys).await });
        }
        let mut failed: Option<PurgeError> = None;
        while let Some(told) = telling.join_next().await {
            let Err(error) = told.expect("telling an edge does not panic") else {
                continue;
            };
            // One edge that will never listen must not keep the others from being told again.
            if failed.as_ref().is_none_or(|failed| !failed.is_transient()) {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn purge_one(&self, edge: &Edge, keys: &[SurrogateKey]) -> Result<(), PurgeError> {
        for batch in keys.chunks(BATCH) {
            let name = edge.name().to_owned();
            counter!("edge_purge_attempts_total", "edge" => name.clone()).increment(1);
            let told = edge.purge(&self.client, batch);
            let told = match tokio::time::timeout(self.request_time_out, told).await {
                Ok(told) => told,
                Err(elapsed) => Err(PurgeError::Unreachable {
                    edge: name.clone(),
                    source: elapsed.into(),
                }),
            };
            if let Err(error) = told {
                counter!("edge_purge_failed_total", "edge" => name).increment(1);
                warn!(edge = edge.name(), %error, "an edge was not purged");
                return Err(error);
            }
        }
        debug!(edge = edge.name(), keys = keys.len(), "edge purged");
        Ok(())
    }

    async fn handle_event<E: Event + BookingEvent>(&self, event: &E) -> Result<(), BoxError> {
        let keys: Vec<_> = SurrogateKey::of_change(&self.slots.reach(event))
            .into_iter()
            .collect();
        if keys.is_empty() {
            return Err(Skip.into());
        }
        // An edge that asks again before the other processes know would get the old answer.
        let mut confirmed = Ok(());
        for appointment in event.appointments() {
            let waited = self.slots.confirmed(&appointment.tenant).await;
            confirmed = confirmed.and(waited.map(drop));
        }
        self.purge(&keys).await.map_err(|error| -> BoxError {
            match error.is_transient() {
                true => error.into(),
                false => Permanent::new(error).into(),
            }
        })?;
        let elapsed =
            Delivery::current().and_then(|delivery| delivery.accepted_at().elapsed().ok());
        if let Some(elapsed) = elapsed {
            histogram!("edge_purge_duration_seconds", "event" => E::NAME)
                .record(elapsed.as_secs_f64());
        }
        // Purged all the same; once more when it is confirmed.
        Ok(confirmed?)
    }

    fn policy<E: Event>(&self) -> Policy<E> {
        Policy::new()
            .retry(self.retry)
            .time_out(self.time_out)
            // Purges may overtake one another: each names what it is about.
            .concurrency(const { NonZeroUsize::new(8).expect("8 is not zero") })
    }
}

impl Subscriber for PurgeEdge {
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
        let (booked, rescheduled, cancelled) = (self.policy(), self.policy(), self.policy());
        bus.listen_with::<AppointmentBooked, _>(self.clone(), booked)
            .listen_with::<AppointmentRescheduled, _>(self.clone(), rescheduled)
            .listen_with::<AppointmentCancelled, _>(self, cancelled)
    }
}

const PURGE: &str = "http.purge";

impl Listener<AppointmentBooked> for PurgeEdge {
    async fn handle(&self, event: &AppointmentBooked) -> Result<(), BoxError> {
        self.handle_event(event).await
    }

    fn name(&self) -> Cow<'static, str> {
        PURGE.into()
    }
}

impl Listener<AppointmentRescheduled> for PurgeEdge {
    async fn handle(&self, event: &AppointmentRescheduled) -> Result<(), BoxError> {
        self.handle_event(event).await
    }

    fn name(&self) -> Cow<'static, str> {
        PURGE.into()
    }
}

impl Listener<AppointmentCancelled> for PurgeEdge {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        self.handle_event(event).await
    }

    fn name(&self) -> Cow<'static, str> {
        PURGE.into()
    }
}

impl fmt::Debug for PurgeEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PurgeEdge")
            .field("edges", &self.edges)
            .field("retry", &self.retry)
            .field("time_out", &self.time_out)
            .field("request_time_out", &self.request_time_out)
            .finish_non_exhaustive()
    }
}

/// The settings of TLS, of this client alone: the process's own provider of cryptography is neither
/// needed nor touched.
fn tls(plain: bool) -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match plain {
        // Needs no certificates of the machine, which may have none.
        true => config.with_root_certificates(RootCertStore::empty()),
        false => config.with_platform_verifier()?,
    };
    Ok(config.with_no_client_auth())
}
