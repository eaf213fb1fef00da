//! The phone agent at the desk.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use vacancy::slots::{AlternativeFinder, Interval, OpenError, ResourceId, Slot, SlotsCache};
use vacancy_retell::{DeskError, PhoneCall, PhoneDesk, Reply, Request, Visit, Wish};
use vacancy_sqlx::{BookError, OperationKey, WriteError};

use crate::{
    alternatives::wanted,
    booking::Booking,
    desk::{Desk, Order},
    diary::Diary,
    salon::{EventType, Salon},
};

/// What the phone agent asks for, from the same cache and at the same desk as everybody else.
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) salon: Arc<Salon>,
    pub(crate) diary: Diary,
    pub(crate) slots: SlotsCache,
    pub(crate) desk: Desk,
}

/// Who it is for, where the caller did not say.
const SOMEBODY: &str = "somebody on the phone";

impl PhoneDesk for Phone {
    async fn serve(&self, call: &PhoneCall, request: Request) -> Result<Reply, DeskError> {
        match request {
            Request::CheckAvailability(check) => {
                let event_type = self.event_type(&check.wish)?;
                let host = self.host(&check.wish, event_type)?;
                Ok(Reply::open(
                    self.open(event_type, host, check.window).await?,
                ))
            }
            Request::Book(book) => {
                let event_type = self.event_type(&book.wish)?;
                let time = time_at(event_type, book.start)?;
                let host = match self.host(&book.wish, event_type)? {
                    Some(host) => host.clone(),
                    None => self.anybody(event_type, time).await?,
                };
                let order = Order {
                    event_type: event_type.id.clone(),
                    host: host.clone(),
                    time,
                    name: book.customer.name.unwrap_or_else(|| SOMEBODY.to_owned()),
                    key: key(call)?,
                };
                match self.desk.book(order).await {
                    Ok(booking) => Ok(Reply::booked(visit(&booking))),
                    Err(error) => Err(self.refused(error, event_type, &host, time).await),
                }
            }
            Request::Reschedule(reschedule) => {
                let found = self.diary.find(&reschedule.appointment).await;
                let found = found.map_err(unknown)?;
                let event_type = found.event_type.as_ref();
                let event_type = event_type.and_then(|id| self.salon.event_type(id.as_str()));
                let event_type = event_type.ok_or(DeskError::NotFound)?;
                let time = time_at(event_type, reschedule.start)?;
                let host = reschedule.resource.as_ref().or(found.resources.first());
                let host = host.filter(|host| event_type.served_by(host));
                let host = host.ok_or(DeskError::NotFound)?.clone();
                match self.desk.reschedule(found, host.clone(), time).await {
                    Ok(booking) => Ok(Reply::rescheduled(visit(&booking))),
                    Err(error) => Err(self.refused(error, event_type, &host, time).await),
                }
            }
            Request::Cancel(cancel) => match self.desk.cancel(&cancel.appointment).await {
                Ok(()) => Ok(Reply::cancelled(cancel.appointment)),
                Err(WriteError::Refused(error)) => Err(unknown(error)),
                Err(error) => Err(DeskError::unavailable(error)),
            },
            Request::Alternatives(near) => {
                let event_type = self.event_type(&near.wish)?;
                let time = time_at(event_type, near.near)?;
                let host = self.host(&near.wish, event_type)?;
                Ok(Reply::open(self.near(event_type, host, time).await))
            }
            _ => Err(DeskError::NotFound),
        }
    }
}

impl Phone {
    fn event_type(&self, wish: &Wish) -> Result<&EventType, DeskError> {
        let event_type = self.salon.event_type(wish.event_type.as_str());
        event_type.ok_or(DeskError::NotFound)
    }

    fn host<'a>(
        &self,
        wish: &'a Wish,
        event_type: &EventType,
    ) -> Result<Option<&'a ResourceId>, DeskError> {
        match &wish.resource {
            Some(host) if !event_type.served_by(host) => Err(DeskError::NotFound),
            host => Ok(host.as_ref()),
        }
    }

    async fn open(
        &self,
        event_type: &EventType,
        host: Option<&ResourceId>,
        window: Interval,
    ) -> Result<Vec<Slot>, DeskError> {
        let query = self.salon.query(event_type, host, window);
        match self.slots.open(&query).await {
            Ok(open) => Ok(open.into_vec()),
            Err(error @ OpenError::Query(_)) => Err(DeskError::Refused {
                say: error.to_string(),
            }),
            Err(error) => Err(DeskError::unavailable(error)),
        }
    }

    /// Whoever is free, or whoever serves it at all: then the diary says that it is taken.
    async fn anybody(
        &self,
        event_type: &EventType,
        time: Interval,
    ) -> Result<ResourceId, DeskError> {
        let open = self.open(event_type, None, time).await?;
        let slot = open.into_iter().find(|slot| slot.start() == time.start());
        let host = slot.and_then(|slot| slot.resources.into_iter().next());
        let host = host.or_else(|| event_type.hosts.first().cloned());
        host.ok_or(DeskError::NotFound)
    }

    async fn near(
        &self,
        event_type: &EventType,
        host: Option<&ResourceId>,
        time: Interval,
    ) -> Vec<Slot> {
        let wanted = wanted(&self.salon, event_type, host, time);
        let finder = AlternativeFinder::new(self.slots.clone());
        let found = finder.find(&wanted, Utc::now()).await;
        let ranked = found.ranked().iter();
        ranked.map(|alternative| alternative.slot.clone()).collect()
    }

    async fn refused(
        &self,
        error: WriteError,
        event_type: &EventType,
        host: &ResourceId,
        time: Interval,
    ) -> DeskError {
        match error {
            WriteError::Refused(BookError::Taken { .. }) => DeskError::Taken {
                alternatives: self.near(event_type, Some(host), time).await,
            },
            WriteError::Refused(error) => unknown(error),
            error => DeskError::unavailable(error),
        }
    }
}

fn time_at(event_type: &EventType, start: DateTime<Utc>) -> Result<Interval, DeskError> {
    event_type.time_at(start).ok_or_else(|| DeskError::Refused {
        say: "We have no appointment that begins at that time.".to_owned(),
    })
}

fn key(call: &PhoneCall) -> Result<OperationKey, DeskError> {
    let key = OperationKey::try_from(call.operation.to_string());
    key.map_err(DeskError::unavailable)
}

fn unknown(error: BookError) -> DeskError {
    match error {
        BookError::UnknownAppointment => DeskError::NotFound,
        error => DeskError::unavailable(error),
    }
}

fn visit(booking: &Booking) -> Visit {
    let appointment = &booking.appointment;
    let visit = Visit::new(appointment.id.clone(), appointment.intervals()[0]);
    match appointment.resources.first() {
        Some(host) => visit.resource(host.clone()),
        None => visit,
    }
}
