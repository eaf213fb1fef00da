//! The listener that this project is about.

use std::borrow::Cow;

use metrics::{counter, histogram};
use tracing::{info, warn};
use vacancy_dispatch::{
    BoxError, BusBuilder, Delivery, Event, InlineListener, Listener, Subscriber,
};

use crate::{
    appointment::Appointment,
    events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
    slots_cache::SlotsCache,
};

/// Takes every cached answer that a booking event can affect out of service.
///
/// As a [`Subscriber`] it registers, for each of the three booking events:
///
/// - `slots.fence`, inline: raises the fences and notes what is booked. When `dispatch` has returned,
///   no read in this process gives an answer from before.
/// - `slots.invalidate`, in a lane: logs and counts what was done.
///
/// Register it before other inline listeners. What any other listener does, or fails to do, makes no
/// difference to it.
///
/// # Log lines and metrics
///
/// `Invalidating cache for booked appointment` (`rescheduled`, `cancelled`) and `Cache invalidation
/// complete` at `info`, with `total_keys`, the pairs of scope and span that the event names, and
/// `keys_deleted`, those that are out of service. `No event type ID found` at `warn`, and `Cache
/// invalidation failed (non-critical)` where the [`Directory`](crate::Directory) panicked: every
/// answer of the tenant near the appointment is then out of service. Counters
/// `cache_invalidation_attempts_total`, `cache_invalidation_missing_event_type_total` and
/// `cache_invalidation_failed_total`, and the histogram `cache_invalidation_duration_seconds` from
/// acceptance to completion, by `event`.
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
        let fences = || RaiseFences(self.slots.clone());
        bus.inline::<AppointmentBooked, _>(fences())
            .inline::<AppointmentRescheduled, _>(fences())
            .inline::<AppointmentCancelled, _>(fences())
            .listen::<AppointmentBooked, _>(self.clone())
            .listen::<AppointmentRescheduled, _>(self.clone())
            .listen::<AppointmentCancelled, _>(self)
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
        self.report::<AppointmentBooked>(line, &[&event.appointment]);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

impl Listener<AppointmentRescheduled> for InvalidateSlotsCache {
    async fn handle(&self, event: &AppointmentRescheduled) -> Result<(), BoxError> {
        let line = "Invalidating cache for rescheduled appointment";
        self.report::<AppointmentRescheduled>(line, &[&event.previous, &event.appointment]);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

impl Listener<AppointmentCancelled> for InvalidateSlotsCache {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        let line = "Invalidating cache for cancelled appointment";
        self.report::<AppointmentCancelled>(line, &[&event.appointment]);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        INVALIDATE.into()
    }
}

const FENCE: &str = "slots.fence";
const INVALIDATE: &str = "slots.invalidate";

impl InvalidateSlotsCache {
    /// Logs and counts, away from the task that booked.
    fn report<E: Event>(&self, line: &str, appointments: &[&Appointment]) {
        counter!("cache_invalidation_attempts_total", "event" => E::NAME).increment(1);
        if appointments
            .iter()
            .any(|appointment| appointment.event_type.is_none())
        {
            counter!("cache_invalidation_missing_event_type_total", "event" => E::NAME)
                .increment(1);
            warn!(event = E::NAME, "No event type ID found");
        }
        if appointments
            .iter()
            .all(|appointment| self.slots.skips(appointment))
        {
            return;
        }
        info!(event = E::NAME, "{line}");
        // Every fence was raised before this event reached a lane.
        let total = self.slots.named(appointments);
        info!(
            event = E::NAME,
            keys_deleted = total,
            total_keys = total,
            "Cache invalidation complete"
        );
        let accepted = Delivery::current().map(|delivery| delivery.accepted_at());
        if let Some(taken) = accepted.and_then(|at| at.elapsed().ok()) {
            histogram!("cache_invalidation_duration_seconds", "event" => E::NAME)
                .record(taken.as_secs_f64());
        }
    }
}
