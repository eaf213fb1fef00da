//! Which events were dispatched, for the page.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use vacancy::{
    dispatch::{BusBuilder, Delivery, Event, InlineListener, Subscriber},
    slots::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent},
};

use crate::feed::Feed;

/// Tells the page of every event, before any lane has it.
#[derive(Clone, Debug)]
pub(crate) struct TellDispatched(pub(crate) Feed);

#[derive(Serialize)]
struct Dispatched<'a> {
    event: &'a str,
    id: String,
    at: DateTime<Utc>,
    booking: &'a str,
}

impl Subscriber for TellDispatched {
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
        bus.inline::<AppointmentBooked, _>(self.clone())
            .inline::<AppointmentRescheduled, _>(self.clone())
            .inline::<AppointmentCancelled, _>(self)
    }
}

impl<E: Event + BookingEvent> InlineListener<E> for TellDispatched {
    fn handle(&self, event: &E) {
        let (Some(delivery), Some(appointment)) = (Delivery::current(), event.appointments().pop())
        else {
            return;
        };
        self.0.send(
            "dispatched",
            &Dispatched {
                event: E::NAME,
                id: delivery.id().to_string(),
                at: delivery.accepted_at().into(),
                booking: appointment.id.as_str(),
            },
        );
    }

    fn name(&self) -> Cow<'static, str> {
        "page.dispatched".into()
    }
}
