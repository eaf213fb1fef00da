//! [`Webhooks`]: receives what Cal.com tells of bookings.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use http::{HeaderMap, header::CONTENT_TYPE};
use metrics::counter;
use tracing::{debug, warn};

use crate::{
    delivery::Delivery,
    directory::CalcomDirectory,
    memory::Memory,
    received::{Ignored, Received, Verdict},
    refusal::Refusal,
    signature::{Secret, verify},
    trigger::Trigger,
    webhook::{About, Webhook},
};

/// The header in which newer servers tell the version of the payload.
const VERSION_HEADER: &str = "x-cal-webhook-version";

/// Receives what Cal.com tells of bookings.
///
/// Checks, reads, finds out whose it is, and says what to invalidate and what to dispatch; see [`Received`].
/// Nothing is awaited.
///
/// A handle: `clone` is cheap and shares everything. It owns no task.
///
/// # What is remembered
///
/// Of the latest bookings, what occupies which time, and what has been dispatched: in this process, and no more
/// than [`memory`](WebhooksBuilder::memory) of them for [`memory_time`](WebhooksBuilder::memory_time). Several
/// processes behind one address dispatch an event each when they get a copy each, and so does a process that
/// has forgotten. Listeners have to bear that: an appointment's id and
/// [`revision`](vacancy_slots::Appointment::revision) tell what is old.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    directory: Box<dyn CalcomDirectory>,
    secrets: Vec<Secret>,
    body_limit: usize,
    memory: Memory,
}

/// The settings of [`Webhooks`]. Every one but the secret has a default, and no combination is wrong.
#[must_use = "settings do nothing until `build`"]
pub struct WebhooksBuilder {
    directory: Box<dyn CalcomDirectory>,
    secrets: Vec<Secret>,
    body_limit: usize,
    memory: NonZeroUsize,
    memory_time: Duration,
}

impl Webhooks {
    /// Settings for a receiver that asks `directory` whose a booking is.
    pub fn builder(directory: impl CalcomDirectory) -> WebhooksBuilder {
        WebhooksBuilder {
            directory: Box::new(directory),
            secrets: Vec::new(),
            body_limit: 256 << 10,
            memory: const { NonZeroUsize::new(10_000).unwrap() },
            memory_time: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Receives one request.
    ///
    /// Of two copies that are received at the same time, one has the events.
    ///
    /// What is received in an order should be applied in it: whoever waits for something in between, such as
    /// his own diary, does so for one webhook of a booking at a time, or a cancellation overtakes what it cancels.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it is not signed, not readable, or not a webhook. Nothing is noted of it then, and there
    /// is nothing to invalidate.
    pub fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Result<Received, Refusal> {
        let read = self.read(headers, body);
        let webhook = read.inspect_err(|refusal| self.refused(*refusal))?;
        counter!("calcom_webhooks_total", "trigger" => webhook.trigger.label()).increment(1);
        let received = match webhook.about {
            About::Nothing => Received::ignored(webhook.trigger),
            About::Absence(absence) => {
                Received::absence(&*self.0.directory, webhook.trigger, &absence)
            }
            About::Booking(booking) => Delivery {
                directory: &*self.0.directory,
                memory: &self.0.memory,
                trigger: webhook.trigger,
                created_at: webhook.created_at,
                names_seats: headers.contains_key(VERSION_HEADER),
                booking: &booking,
            }
            .received(),
        };
        count(&received);
        Ok(received)
    }

    /// How many bytes a body may have.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.0.body_limit
    }

    /// Counts a request that is refused before [`receive`](Self::receive) could be called.
    pub(crate) fn refused(&self, refusal: Refusal) {
        counter!("calcom_webhooks_refused_total", "reason" => refusal.label()).increment(1);
        warn!(reason = refusal.label(), "refused a webhook");
    }

    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, Refusal> {
        let limit = self.0.body_limit;
        if body.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        // Before anything is read from it.
        verify(&self.0.secrets, headers, body)?;
        let form = headers.get(CONTENT_TYPE).is_some_and(|value| {
            let kind = value.as_bytes().to_ascii_lowercase();
            kind.starts_with(b"application/x-www-form-urlencoded")
                || kind.starts_with(b"multipart/form-data")
        });
        if form {
            return Err(Refusal::Form);
        }
        Webhook::parse(body)
    }
}

/// Counts and logs what became of a webhook.
fn count(received: &Received) {
    let trigger = received.trigger.label();
    let reason = received.verdict.reason().unwrap_or_default();
    match received.verdict {
        Verdict::Ignored(_) => {
            counter!("calcom_webhooks_ignored_total", "reason" => reason).increment(1);
        }
        Verdict::Unresolved(_) => {
            counter!("calcom_webhooks_unresolved_total", "reason" => reason).increment(1);
            warn!(trigger, reason, "a webhook does not tell whose it is");
        }
        Verdict::Defective(_) => {
            counter!("calcom_webhooks_defective_total", "reason" => reason).increment(1);
            warn!(trigger, reason, "a webhook cannot be an event");
        }
        Verdict::Duplicate => {
            counter!("calcom_webhooks_duplicates_total", "trigger" => trigger).increment(1);
        }
        Verdict::Superseded => {
            counter!("calcom_webhooks_superseded_total", "trigger" => trigger).increment(1);
        }
        Verdict::Fresh | Verdict::Touched => {}
    }
    for widening in &received.widened {
        let reason = widening.label();
        counter!("calcom_webhooks_widened_total", "reason" => reason).increment(1);
    }
    debug!(
        trigger,
        verdict = received.verdict.label(),
        reason,
        "received a webhook"
    );
}

impl Received {
    /// A trigger that does not change what is free.
    fn ignored(trigger: Trigger) -> Self {
        let why = match trigger {
            Trigger::Unknown(_) => Ignored::UnknownTrigger,
            _ => Ignored::NoEffect,
        };
        Self::new(trigger, Verdict::Ignored(why))
    }
}

impl WebhooksBuilder {
    /// Accepts what is signed with `secret`. Given several times, each is accepted, as while one is replaced.
    ///
    /// Without any, or with empty ones only, every request is refused with [`Refusal::NoSecretConfigured`].
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.extend(Secret::new(secret));
        self
    }

    /// How many bytes a body may have. Default 256 KiB. Longer ones are refused with [`Refusal::TooLarge`].
    pub fn body_limit(mut self, bytes: NonZeroUsize) -> Self {
        self.body_limit = bytes.get();
        self
    }

    /// How many bookings are remembered. Default 10 000, some ten megabytes.
    ///
    /// Beyond it the one that was heard of the longest ago is forgotten, and counted as
    /// `calcom_webhooks_memory_crowded_out_total`. A copy about a forgotten booking is new again, and where
    /// one is moved that does not say from when, more is invalidated: [`OldTimesUnknown`](crate::Widening).
    pub fn memory(mut self, bookings: NonZeroUsize) -> Self {
        self.memory = bookings;
        self
    }

    /// How long a booking is remembered after it was last heard of. Default 7 days.
    pub fn memory_time(mut self, time: Duration) -> Self {
        self.memory_time = time;
        self
    }

    /// The receiver.
    #[must_use]
    pub fn build(self) -> Webhooks {
        if self.secrets.is_empty() {
            warn!("no webhook secret is configured: every webhook will be refused");
        }
        Webhooks(Arc::new(Inner {
            directory: self.directory,
            secrets: self.secrets,
            body_limit: self.body_limit,
            memory: Memory::new(self.memory, self.memory_time),
        }))
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("secrets", &self.0.secrets.len())
            .field("body_limit", &self.0.body_limit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhooksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhooksBuilder")
            .field("secrets", &self.secrets.len())
            .field("body_limit", &self.body_limit)
            .field("memory", &self.memory)
            .field("memory_time", &self.memory_time)
            .finish_non_exhaustive()
    }
}
