//! The listener that this project is about.

use std::borrow::Cow;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use tracing::{info, warn};
use vacancy_dispatch::{
    BoxError, BusBuilder, Delivery, Event, InlineListener, Listener, Subscriber,
};

use crate::{
    events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
    hold::BookingEvent,
    slots_cache::SlotsCache,
};

/// Takes every cached answer that a booking event can affect out of service.
///
/// As a [`Subscriber`] it registers, for each of the three booking events:
///
/// - `slots.fence`, inline: raises the fences and notes what is booked. When `dispatch` has returned,
///   no read in this process gives an answer from before.
/// - `slots.invalidate`, in a lane: waits until Redis, if there is one, has confirmed it, and in strict
///   consistency every process; logs and counts. Where that takes too long its outcome is a dead letter
///   with [`Unconfirmed`](vacancy_cache::Unconfirmed); the invalidation itself is kept, and tried until it is
///   confirmed. The booking waits for none of this.
///
/// Register it before other inline listeners. What any other listener does, or fails to do, makes no
/// difference to it.
///
/// # Log lines and metrics
///
/// `Invalidating cache for booked appointment` (`rescheduled`, `cancelled`) and `Cache invalidation
/// complete` at `info`, with `total_keys`, the pairs of scope and span that the event names, and
/// `keys_deleted`, those that are out of service. `No event type ID found` at `warn`, and `Cache
/// invalidation failed (non-critical)` where it was not confirmed in time, or where the
/// [`Directory`](crate::Directory) panicked: every answer of the tenant near the appointment is then out
/// of service. Counters
/// `cache_invalidation_attempts_total`, `cache_invalidation_missing_event_type_total` and
/// `cache_invalidation_failed_total`, and the histogram `cache_invalidation_duration_seconds` from
/// acceptance to completion, by `event`. The counters are there, at 0, from the subscription on; so the
/// recorder is to be installed before.
#[derive(Clone, Debug)]
pub struct InvalidateSlotsCache {
    slots: SlotsCache,
}

/// The inline part.
struct RaiseFences(SlotsCache);

impl InvalidateSlotsCache {
    /// Invalidates `slots`.
    #[must_use]
    pub fn new(slots: SlotsCache) -> Self {
        Self { slots }
    }
}

impl Subscriber for InvalidateSlotsCache {
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
        describe();
        show_counters::<AppointmentBooked>();
        show_counters::<AppointmentRescheduled>();
        show_counters::<AppointmentCancelled>();
        let fences = || RaiseFences(self.slots.clone());
        bus.inline::<AppointmentBooked, _>(fences())
            .inline::<AppointmentRescheduled, _>(fences())
            .inline::<AppointmentCancelled, _>(fences())
            .listen::<AppointmentBooked, _>(self.clone())
            .listen::<AppointmentRescheduled, _>(self.clone())
            .listen::<AppointmentCancelled, _>(self)
    }
}

fn describe() {
    let counters = [
        (
            ATTEMPTS,
            "Booking events whose answers were taken out of service",
        ),
        (
            MISSING_EVENT_TYPE,
            "Booking events that named no event type",
        ),
        (FAILED, "Invalidations that were not confirmed in time"),
    ];
    for (name, meaning) in counters {
        describe_counter!(name, Unit::Count, meaning);
    }
    let meaning = "From the acceptance of a booking event to its confirmed invalidation";
    describe_histogram!(DURATION, Unit::Seconds, meaning);
}

/// Shows the counters at 0: a rate does not see the failure with which a series begins.
fn show_counters<E: Event>() {
    for name in [ATTEMPTS, MISSING_EVENT_TYPE, FAILED] {
        counter!(name, "event" => E::NAME).increment(0);
    }
}

impl InlineListener<AppointmentBooked> for RaiseFences {
    fn handle(&self, event: &AppointmentBooked) {
        self.0.booked(event);
    }

    fn name(&self) -> Cow<'static, str> {
        FENCE.into()
    }
}

impl InlineListener<AppointmentRescheduled> for RaiseFences {
    fn handle(&self, event: &AppointmentRescheduled) {
        self.0.rescheduled(event);
    }

    fn name(&self) -> Cow<'static, str> {
        FENCE.into()
    }
}

impl InlineListener<AppointmentCancelled> for RaiseFences {
    fn handle(&self, event: &AppointmentCancelled) {
        self.0.cancelled(event);
    }

    fn name(&self) -> Cow<'static, str> {
        FENCE.into()
    }
}

impl Listener<AppointmentBooked> for InvalidateSlotsCache {
    async fn handle(&self, event: &AppointmentBooked) -> Result<(), BoxError> {
        let line = "Invalidating cache for booked appointment";
        self.confirm(line, event).await
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

impl Listener<AppointmentRescheduled> for InvalidateSlotsCache {
    async fn handle(&self, event: &AppointmentRescheduled) -> Result<(), BoxError> {
        let line = "Invalidating cache for rescheduled appointment";
        self.confirm(line, event).await
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

impl Listener<AppointmentCancelled> for InvalidateSlotsCache {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        let line = "Invalidating cache for cancelled appointment";
        self.confirm(line, event).await
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

const FENCE: &str = "slots.fence";
const INVALIDATE: &str = "slots.invalidate";

const ATTEMPTS: &str = "cache_invalidation_attempts_total";
const MISSING_EVENT_TYPE: &str = "cache_invalidation_missing_event_type_total";
const DURATION: &str = "cache_invalidation_duration_seconds";
pub(crate) const FAILED: &str = "cache_invalidation_failed_total";

impl InvalidateSlotsCache {
    /// Logs, waits for the confirmation, and counts, away from the task that booked.
    async fn confirm<E: Event + BookingEvent>(
        &self,
        line: &str,
        event: &E,
    ) -> Result<(), BoxError> {
        let appointments = event.appointments();
        counter!(ATTEMPTS, "event" => E::NAME).increment(1);
        if appointments
            .iter()
            .any(|appointment| appointment.event_type.is_none())
        {
            counter!(MISSING_EVENT_TYPE, "event" => E::NAME).increment(1);
            warn!(event = E::NAME, "No event type ID found");
        }
        if appointments
            .iter()
            .all(|appointment| self.slots.skips(appointment))
        {
            return Ok(());
        }
        info!(event = E::NAME, "{line}");
        let total = self.slots.named(&appointments);
        // The limit counts from the dispatch, so that a queue of bookings waits for one time-out of
        // Redis, and not one after the other.
        let elapsed =
            || Delivery::current().and_then(|delivery| delivery.accepted_at().elapsed().ok());
        for appointment in appointments {
            let confirmed = self.slots.confirmed_since(&appointment.tenant, elapsed());
            if let Err(unconfirmed) = confirmed.await {
                counter!(FAILED, "event" => E::NAME).increment(1);
                warn!(
                    event = E::NAME,
                    reason = %unconfirmed,
                    "Cache invalidation failed (non-critical)"
                );
                return Err(unconfirmed.into());
            }
        }
        // Every fence was raised here before this event reached a lane.
        info!(
            event = E::NAME,
            keys_deleted = total,
            total_keys = total,
            "Cache invalidation complete"
        );
        if let Some(taken) = elapsed() {
            histogram!(DURATION, "event" => E::NAME).record(taken.as_secs_f64());
        }
        Ok(())
    }
}
