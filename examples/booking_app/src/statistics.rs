//! Counts what is in the books.

use std::borrow::Cow;

use metrics::gauge;
use vacancy::{
    dispatch::{BoxError, Listener},
    slots::{Appointment, AppointmentBooked, AppointmentCancelled},
};

/// Counts the appointments in the books by event type. A move changes none of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountAppointments;

impl CountAppointments {
    fn add(self, appointment: &Appointment, change: f64) {
        let event_type = appointment
            .event_type
            .as_ref()
            .map_or("unknown", |id| id.as_str());
        gauge!("booking_app_appointments", "event_type" => event_type.to_owned()).increment(change);
    }
}

impl Listener<AppointmentBooked> for CountAppointments {
    async fn handle(&self, event: &AppointmentBooked) -> Result<(), BoxError> {
        self.add(&event.appointment, 1.0);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentCancelled> for CountAppointments {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        self.add(&event.appointment, -1.0);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

const NAME: &str = "statistics";
