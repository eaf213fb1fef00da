//! Writes appointments to the host's own calendar, which now and then does not answer.

use std::{
    borrow::Cow,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use vacancy::{
    dispatch::{BoxError, Event, Listener, Policy, Retry},
    slots::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent},
};

/// Writes appointments to the host's own calendar. About every third attempt fails, drawn from a
/// seed, and its policy tries again.
#[derive(Clone, Debug)]
pub(crate) struct SyncCalendar(Arc<Mutex<fastrand::Rng>>);

/// The other calendar did not answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the host's calendar did not answer")]
struct NoAnswer;

impl SyncCalendar {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// How its lanes treat it: four attempts, and the order of each appointment's changes is kept.
    pub(crate) fn policy<E: Event + BookingEvent>() -> Policy<E> {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");
        let retry = Retry::new(ATTEMPTS).first_pause(Duration::from_millis(250));
        Policy::new()
            .time_out(Duration::from_secs(10))
            .retry(retry)
            .concurrency(std::num::NonZeroUsize::MIN.saturating_add(3))
            .ordered_by(|event: &E| {
                event
                    .appointments()
                    .pop()
                    .map(|appointment| appointment.id.clone())
            })
    }

    async fn write(&self) -> Result<(), BoxError> {
        let (answers, takes) = {
            let mut draw = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (
                draw.u8(0..100) >= 35,
                Duration::from_millis(draw.u64(20..120)),
            )
        };
        sleep(takes).await;
        match answers {
            true => Ok(()),
            false => Err(NoAnswer.into()),
        }
    }
}

impl Listener<AppointmentBooked> for SyncCalendar {
    async fn handle(&self, _: &AppointmentBooked) -> Result<(), BoxError> {
        self.write().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentRescheduled> for SyncCalendar {
    async fn handle(&self, _: &AppointmentRescheduled) -> Result<(), BoxError> {
        self.write().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

impl Listener<AppointmentCancelled> for SyncCalendar {
    async fn handle(&self, _: &AppointmentCancelled) -> Result<(), BoxError> {
        self.write().await
    }

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }
}

const NAME: &str = "calendar.sync";
