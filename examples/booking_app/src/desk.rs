//! Where appointments are booked, moved and cancelled.

use std::sync::Arc;

use sqlx::Sqlite;
use vacancy::{
    dispatch::{Bus, Event},
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentId,
        AppointmentRescheduled, Buffers, EventTypeId, Interval, ResourceId, SlotsCache,
    },
};
use vacancy_sqlx::{
    BookError, Cancellation, OperationKey, WhenUnconfirmed, WriteError, Writer, no_rows,
};

use crate::{
    booking::Booking,
    diary::{Diary, note_customer},
    salon::Salon,
    watch::Watch,
};

/// Books, moves and cancels, for the page and for the phone. From the hold to the dispatch of the event each is
/// a task of the writer: a caller who hangs up changes nothing. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    salon: Arc<Salon>,
    diary: Diary,
    writer: Writer<Sqlite>,
    watch: Watch,
}

/// Who wants what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) event_type: EventTypeId,
    pub(crate) host: ResourceId,
    pub(crate) time: Interval,
    pub(crate) name: String,
    /// Two orders with one key are one order.
    pub(crate) key: OperationKey,
}

impl Desk {
    pub(crate) fn new(
        salon: Arc<Salon>,
        diary: Diary,
        slots: SlotsCache,
        bus: Bus,
        watch: Watch,
    ) -> Self {
        let writer = Writer::builder(diary.guard().clone(), slots, bus);
        Self {
            // A salon takes bookings while its Redis is away.
            writer: writer.hold(WhenUnconfirmed::CommitAnyway).build(),
            salon,
            diary,
            watch,
        }
    }

    /// Books. With a key that was used before it gives the booking that was made then.
    pub(crate) async fn book(&self, order: Order) -> Result<Booking, WriteError> {
        let id: AppointmentId = format!("b-{:016x}", fastrand::u64(..))
            .parse()
            .expect("a short text is an id");
        let event_type = self.salon.event_type(order.event_type.as_str());
        let appointment = Appointment::new(id.clone(), self.salon.tenant.clone(), order.time)
            .branch(self.salon.branch.clone())
            .buffers(event_type.map_or(Buffers::NONE, |each| each.buffers))
            .event_type(order.event_type)
            .resource(order.host);
        let booking = vacancy_sqlx::Booking::new(appointment).operation(order.key);
        let name = order.name;
        let written = self
            .writer
            .book(booking, move |tx| {
                Box::pin(async move { Ok(note_customer(tx, &id, &name).await?) })
            })
            .await?;
        self.watch.begin(AppointmentBooked::NAME, written.receipt);
        Ok(self.diary.named(written.appointment).await?)
    }

    /// Moves an appointment, as it was found, to another time, to another host, or both.
    pub(crate) async fn reschedule(
        &self,
        found: Appointment,
        host: ResourceId,
        time: Interval,
    ) -> Result<Booking, WriteError> {
        let mut wanted = found.clone().moved_to(time);
        wanted.resources = vec![host];
        if wanted == found {
            return Ok(self.diary.named(found).await?);
        }
        let written = self.writer.move_to(wanted, no_rows).await?;
        self.watch
            .begin(AppointmentRescheduled::NAME, written.receipt);
        Ok(self.diary.named(written.appointment).await?)
    }

    /// Cancels, once or again.
    pub(crate) async fn cancel(&self, id: &AppointmentId) -> Result<(), WriteError> {
        const TRIES: u32 = 4;
        let mut tries = 0;
        loop {
            tries += 1;
            let cancellation = Cancellation::of(self.salon.tenant.clone(), id.clone());
            match self.writer.cancel(cancellation, no_rows).await {
                // Moved at this very moment: it is to be cancelled all the same.
                Err(WriteError::Refused(BookError::Conflict { .. })) if tries < TRIES => {}
                Err(error) => return Err(error),
                Ok(written) => {
                    self.watch
                        .begin(AppointmentCancelled::NAME, written.receipt);
                    return Ok(());
                }
            }
        }
    }

    /// Takes no more, and waits for what is under way.
    pub(crate) async fn close(&self) {
        self.writer.shutdown().await;
    }
}
