//! Writes to the customer.

use std::{borrow::Cow, time::Duration};

use metrics::counter;
use tokio::time::sleep;
use tracing::debug;
use vacancy::{
    dispatch::{BoxError, Event, Listener},
    slots::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
};

/// Writes to the customer. There is nobody to write to, so it takes as long as a mail server would
/// and counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendConfirmation;

impl SendConfirmation {
    async fn send<E: Event>(self) -> Result<(), BoxError> {
        sleep(Duration::from_millis(20)).await;
        counter!("booking_app_confirmations_total", "event" => E::NAME).increment(1);
        debug!(event = E::NAME, "confirmation sent");
        Ok(())
    }
}

impl Listener<AppointmentBooked> for SendConfirmation {
    async fn handle(&self, _: &AppointmentBooked) -> Result<(), BoxError> {
        self.send::<AppointmentBooked>().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentRescheduled> for SendConfirmation {
    async fn handle(&self, _: &AppointmentRescheduled) -> Result<(), BoxError> {
        self.send::<AppointmentRescheduled>().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentCancelled> for SendConfirmation {
    async fn handle(&self, _: &AppointmentCancelled) -> Result<(), BoxError> {
        self.send::<AppointmentCancelled>().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

const NAME: &str = "confirmation";
