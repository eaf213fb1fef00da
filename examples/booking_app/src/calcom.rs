//! What Cal.com tells of its bookings, written into the diary and told to everybody.

use std::sync::Arc;

use axum::{body::Bytes, http::HeaderMap};
use metrics::counter;
use sqlx::{Sqlite, Transaction};
use tokio::sync::Semaphore;
use tracing::{error, warn};
use vacancy::{
    dispatch::{Bus, Event},
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent,
        SlotsCache, SlotsHold,
    },
};
use vacancy_calcom::{BookingChange, Received, Refusal, StaticCalcomDirectory, Webhooks};
use vacancy_sqlx::{BookError, Booking, Cancellation};

use crate::{
    diary::{Diary, note_customer},
    salon::Salon,
    settings::Secrets,
    under_way::UnderWay,
    watch::Watch,
};

/// What Cal.com tells of its bookings: checked, written into the diary, and only then told to everybody, as one
/// task that goes on when Cal.com hangs up. A handle: `clone` is cheap.
///
/// # Invariants
///
/// 1. One webhook at a time: what is found out about a booking is written in the order in which it was found
///    out. Two at a time could write down that a booking was moved, and then that it was made.
#[derive(Clone, Debug)]
pub(crate) struct Calcom {
    webhooks: Webhooks,
    salon: Arc<Salon>,
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
    watch: Watch,
    under_way: UnderWay,
    /// The permit of the webhook whose turn it is.
    turn: Arc<Semaphore>,
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// What it was taken for, in one word.
    Verdict(&'static str),
    /// Somebody has booked the time here in the meantime. Somebody has to call the customer.
    Conflict,
    /// It cannot be an event.
    Defective(&'static str),
}

/// Why a webhook came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CalcomError {
    /// The application is being stopped.
    #[error("the salon is closing")]
    Closing,
    /// It is not what Cal.com sends. Sending it again is of no use.
    #[error("it is refused")]
    Refused(#[from] Refusal),
    /// Nothing was written.
    #[error("the diary cannot be written")]
    Diary(#[from] BookError),
}

impl Calcom {
    pub(crate) fn new(
        secrets: &Secrets,
        salon: Arc<Salon>,
        diary: Diary,
        slots: SlotsCache,
        bus: Bus,
        watch: Watch,
        under_way: UnderWay,
    ) -> Self {
        Self {
            webhooks: Webhooks::builder(directory(&salon))
                .secret(&secrets.calcom)
                .build(),
            salon,
            diary,
            slots,
            bus,
            watch,
            under_way,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads what has happened, writes it down, and tells everybody.
    pub(crate) async fn receive(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Applied, CalcomError> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|_| CalcomError::Closing)?;
        let calcom = self.clone();
        let task = tokio::spawn(async move {
            let received = calcom.webhooks.receive(&headers, &body)?;
            let applied = calcom.write_and_tell(received).await;
            drop(turn);
            applied
        });
        task.await.map_err(|_| CalcomError::Closing)?
    }

    /// Takes no more, and waits for what is under way.
    pub(crate) async fn close(&self) {
        if let Ok(turn) = self.turn.acquire().await {
            turn.forget();
        }
        self.turn.close();
    }

    async fn write_and_tell(&self, received: Received) -> Result<Applied, CalcomError> {
        let changed = received.events().iter().flat_map(appointments);
        let under_way: Vec<_> = changed
            .map(|appointment| self.under_way.begin(appointment.id.clone()))
            .collect();
        let mut holds = Vec::new();
        for change in received.events() {
            // Without Redis there is none, and the booking was made elsewhere anyway.
            holds.extend(self.hold(change).await);
        }
        match self.write(received.events()).await {
            Ok(()) => {}
            Err(refused @ (BookError::Taken { .. } | BookError::Unbookable(_))) => {
                holds.into_iter().for_each(SlotsHold::abandon);
                for appointment in received.invalidations() {
                    self.slots.invalidate_around(appointment);
                }
                warn!(%refused, "a booking made at Cal.com does not fit into the diary");
                counter!("booking_app_conflicts_total").increment(1);
                received.keep();
                return Ok(Applied::Conflict);
            }
            Err(failed) => {
                holds.into_iter().for_each(SlotsHold::abandon);
                error!(%failed, "a webhook was not written");
                return Err(failed.into());
            }
        }
        // No await between the commit and this.
        let names: Vec<_> = received.events().iter().map(name).collect();
        let applied = received.apply(&self.slots, &self.bus);
        let applied = applied.map_err(|_| CalcomError::Closing)?;
        drop(under_way);
        for (name, receipt) in names.into_iter().zip(applied.receipts) {
            self.watch.begin(name, Some(receipt));
        }
        Ok(match applied.verdict.status().is_success() {
            true => Applied::Verdict(applied.verdict.label()),
            false => Applied::Defective(applied.verdict.reason().unwrap_or_default()),
        })
    }

    async fn hold(&self, change: &BookingChange) -> Option<SlotsHold> {
        match change {
            BookingChange::Booked(booked) => self.slots.hold(booked).await.ok(),
            BookingChange::Rescheduled(rescheduled) => self.slots.hold(rescheduled).await.ok(),
            BookingChange::Cancelled(cancelled) => self.slots.hold(cancelled).await.ok(),
            _ => None,
        }
    }

    /// All of it or nothing.
    async fn write(&self, changes: &[BookingChange]) -> Result<(), BookError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut tx = self.diary.guard().begin().await?;
        for change in changes {
            match change {
                BookingChange::Booked(booked) => self.book(&mut tx, &booked.appointment).await?,
                BookingChange::Rescheduled(rescheduled) => {
                    // Most have another id than before; where the old one is not known, there is nothing to free.
                    self.cancel(&mut tx, &rescheduled.previous).await?;
                    self.book(&mut tx, &rescheduled.appointment).await?;
                }
                BookingChange::Cancelled(cancelled) => {
                    self.cancel(&mut tx, &cancelled.appointment).await?;
                }
                _ => {}
            }
        }
        tx.commit().await.map_err(BookError::Database)
    }

    async fn book(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        appointment: &Appointment,
    ) -> Result<(), BookError> {
        let booking = Booking::new(appointment.clone());
        match self.diary.guard().book(tx, &booking).await {
            // Told before, by a process that has died since.
            Err(BookError::AlreadyBooked) => return Ok(()),
            change => drop(change?),
        }
        let noted = note_customer(tx, &appointment.id, "Cal.com").await;
        noted.map_err(BookError::Database)
    }

    async fn cancel(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        appointment: &Appointment,
    ) -> Result<(), BookError> {
        let cancellation = Cancellation::of(self.salon.tenant.clone(), appointment.id.clone());
        match self.diary.guard().cancel(tx, &cancellation).await {
            // Its booking was never told, or did not fit.
            Err(BookError::UnknownAppointment) => Ok(()),
            change => change.map(drop),
        }
    }
}

fn appointments(change: &BookingChange) -> Vec<&Appointment> {
    match change {
        BookingChange::Booked(booked) => booked.appointments(),
        BookingChange::Rescheduled(rescheduled) => rescheduled.appointments(),
        BookingChange::Cancelled(cancelled) => cancelled.appointments(),
        _ => Vec::new(),
    }
}

fn name(change: &BookingChange) -> &'static str {
    match change {
        BookingChange::Rescheduled(_) => AppointmentRescheduled::NAME,
        BookingChange::Cancelled(_) => AppointmentCancelled::NAME,
        _ => AppointmentBooked::NAME,
    }
}

/// Whose a booking of Cal.com is.
fn directory(salon: &Salon) -> StaticCalcomDirectory {
    use vacancy_calcom::{Clue, Listing};

    let listing = || Listing::new(salon.tenant.clone()).branch(salon.branch.clone());
    let mut directory = StaticCalcomDirectory::new();
    for host in &salon.hosts {
        let host_listing = listing().resource(host.id.clone());
        directory = directory.list(Clue::Email(host.email), host_listing);
    }
    for event_type in &salon.event_types {
        let mut served = listing()
            .event_type(event_type.id.clone())
            .buffers(event_type.buffers)
            .length(event_type.length);
        for host in &event_type.hosts {
            served = served.resource(host.clone());
        }
        directory = directory.list(Clue::EventType(event_type.calcom_id), served);
    }
    directory
}
