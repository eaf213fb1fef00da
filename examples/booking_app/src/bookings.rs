//! Which bookings were made, moved and cancelled, for the page.

use std::borrow::Cow;

use serde::Serialize;
use vacancy::{
    dispatch::{BoxError, BusBuilder, Listener, Subscriber},
    slots::{Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
};

use crate::{booking::Booking, diary::Diary, feed::Feed};

/// Tells the page of every booking, with the name that the diary has for it.
#[derive(Clone, Debug)]
pub(crate) struct TellBookings {
    pub(crate) diary: Diary,
    pub(crate) feed: Feed,
}

#[derive(Serialize)]
struct Told<'a> {
    state: &'a str,
    #[serde(flatten)]
    booking: Booking,
}

impl TellBookings {
    async fn tell(&self, state: &str, appointment: &Appointment) -> Result<(), BoxError> {
        let booking = self.diary.named(appointment.clone()).await?;
        self.feed.send("booking", &Told { state, booking });
        Ok(())
    }
}

impl Subscriber for TellBookings {
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
        bus.listen::<AppointmentBooked, _>(self.clone())
            .listen::<AppointmentRescheduled, _>(self.clone())
            .listen::<AppointmentCancelled, _>(self)
    }
}

impl Listener<AppointmentBooked> for TellBookings {
    async fn handle(&self, event: &AppointmentBooked) -> Result<(), BoxError> {
        self.tell("booked", &event.appointment).await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentRescheduled> for TellBookings {
    async fn handle(&self, event: &AppointmentRescheduled) -> Result<(), BoxError> {
        if event.previous.id != event.appointment.id {
            self.tell("cancelled", &event.previous).await?;
        }
        self.tell("moved", &event.appointment).await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentCancelled> for TellBookings {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        self.tell("cancelled", &event.appointment).await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

const NAME: &str = "page.bookings";
