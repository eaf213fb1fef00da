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
    BookError, Cancellation, OperationKey, WhenUnconfirmed, WriteError, Writer, Written, no_rows,
};

use crate::{
    booking::Booking,
    diary::{Diary, note_customer},
    salon::Salon,
    under_way::UnderWay,
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
    under_way: UnderWay,
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
        under_way: UnderWay,
    ) -> Self {
        let writer = Writer::builder(diary.guard().clone(), slots, bus);
        Self {
            // A salon takes bookings while its Redis is away.
            writer: writer.hold(WhenUnconfirmed::CommitAnyway).build(),
            salon,
            diary,
            watch,
            under_way,
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
        let (writer, customer) = (self.writer.clone(), id.clone());
        let write = async move {
            let rows = writer.book(booking, move |tx| {
                Box::pin(async move { Ok(note_customer(tx, &customer, &name).await?) })
            });
            rows.await
        };
        let written = self.written(AppointmentBooked::NAME, id, write).await?;
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
            let writer = self.writer.clone();
            let write = async move { writer.cancel(cancellation, no_rows).await };
            let written = self.written(AppointmentCancelled::NAME, id.clone(), write);
            match written.await {
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

    /// Writes in a task that goes on when nobody waits for it: until everybody has heard of the booking, it counts
    /// as under way.
    async fn written(
        &self,
        event: &'static str,
        id: AppointmentId,
        write: impl Future<Output = Result<Written, WriteError>> + Send + 'static,
    ) -> Result<Written, WriteError> {
        let (watch, under_way) = (self.watch.clone(), self.under_way.begin(id));
        let task = tokio::spawn(async move {
            let written = write.await?;
            drop(under_way);
            watch.begin(event, written.receipt.clone());
            Ok(written)
        });
        match task.await {
            Ok(written) => written,
            Err(error) => Err(WriteError::Unknown(error.into())),
        }
    }

    /// Takes no more, and waits for what is under way.
    pub(crate) async fn close(&self) {
        self.writer.shutdown().await;
    }
}
