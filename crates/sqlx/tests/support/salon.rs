//! A salon: a writer, a bus that counts, and readers of slots.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use vacancy_dispatch::{Bus, inline_fn};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentId, AppointmentRescheduled,
    Buffers, Interval, InvalidateSlotsCache, Slot, SlotSource, SlotsCache, SlotsCacheBuilder,
    SlotsQuery, SlotsRequest, SourceError,
};
use vacancy_sqlx::{RowsFuture, Writer, WriterBuilder};

use super::{Base, Server};

pub(crate) fn id(number: u64) -> AppointmentId {
    number.into()
}

/// Minutes of the 15th of October 2025.
pub(crate) fn minutes(start: i64, end: i64) -> Interval {
    let at = |minute| DateTime::from_timestamp(1_760_486_400 + minute * 60, 0).expect("a time");
    Interval::new(at(start), at(end)).expect("it has a length")
}

pub(crate) fn hour(number: i64) -> Interval {
    minutes(number * 60, number * 60 + 60)
}

/// An appointment of tenant 15 with host 42, without buffers.
pub(crate) fn appointment(number: u64, when: Interval) -> Appointment {
    Appointment::new(id(number), 15.into(), when)
        .event_type(123)
        .resource(42)
        .buffers(Buffers::NONE)
}

/// What the bus has heard of, in order: the event and the appointment.
pub(crate) type Heard = Arc<Mutex<Vec<(&'static str, AppointmentId)>>>;

/// One process of a salon.
pub(crate) struct Salon<DB: Base> {
    pub(crate) server: Server<DB>,
    pub(crate) slots: SlotsCache,
    pub(crate) bus: Bus,
    pub(crate) writer: Writer<DB>,
    heard: Heard,
}

impl<DB: Base> Clone for Salon<DB> {
    fn clone(&self) -> Self {
        Self {
            server: self.server.clone(),
            slots: self.slots.clone(),
            bus: self.bus.clone(),
            writer: self.writer.clone(),
            heard: self.heard.clone(),
        }
    }
}

/// Offers every hour of host 42, whatever is booked.
struct EveryHour;

#[async_trait]
impl SlotSource for EveryHour {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let window = request.window().expect("days are asked for");
        let hours = (0..24).map(hour).filter(|hour| window.overlaps(hour));
        Ok(hours.map(|hour| Slot::new(hour).resource(42)).collect())
    }
}

/// The settings of readers whose source does not lag.
pub(crate) fn readers() -> SlotsCacheBuilder {
    SlotsCache::builder(EveryHour).source_lag(std::time::Duration::ZERO)
}

pub(crate) fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, minutes(0, 24 * 60)).resource(42)
}

impl<DB: Base> Salon<DB> {
    pub(crate) async fn new() -> Self {
        Self::with(Server::new().await, readers(), |writer| writer)
    }

    pub(crate) fn with(
        server: Server<DB>,
        readers: SlotsCacheBuilder,
        set: impl FnOnce(WriterBuilder<DB>) -> WriterBuilder<DB>,
    ) -> Self {
        let slots = readers.build();
        let heard = Heard::default();
        let note = |name, heard: &Heard, id: &AppointmentId| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push((name, id.clone()));
        };
        let (booked, moved, cancelled) = (heard.clone(), heard.clone(), heard.clone());
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .inline(inline_fn("heard", move |event: &AppointmentBooked| {
                note("booked", &booked, &event.appointment.id);
            }))
            .inline(inline_fn("heard", move |event: &AppointmentRescheduled| {
                note("moved", &moved, &event.appointment.id);
            }))
            .inline(inline_fn("heard", move |event: &AppointmentCancelled| {
                note("cancelled", &cancelled, &event.appointment.id);
            }))
            .build()
            .expect("the listeners fit together");
        let writer = set(Writer::builder(server.guard(), slots.clone(), bus.clone())).build();
        Self {
            server,
            slots,
            bus,
            writer,
            heard,
        }
    }

    pub(crate) fn heard(&self) -> Vec<(&'static str, AppointmentId)> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    /// The ids of what the bus heard was booked, in order of the texts.
    pub(crate) fn heard_booked(&self) -> Vec<String> {
        let booked = self
            .heard()
            .into_iter()
            .filter(|(event, _)| *event == "booked");
        let mut ids: Vec<_> = booked.map(|(_, id)| id.to_string()).collect();
        ids.sort();
        ids
    }
}

/// Writes the application's row for an appointment.
pub(crate) fn row<DB: Base>(
    appointment: &Appointment,
) -> impl for<'tx> FnOnce(&'tx mut sqlx::Transaction<'static, DB>) -> RowsFuture<'tx> + Send + 'static
{
    let id = appointment.id.to_string();
    move |tx| {
        Box::pin(async move {
            DB::write_row(tx, id).await?;
            Ok(())
        })
    }
}
