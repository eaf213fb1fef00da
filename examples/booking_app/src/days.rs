//! Which cached days are filled and fenced, for the page.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use chrono::NaiveDate;
use serde::Serialize;
use vacancy::{
    dispatch::{BusBuilder, Event, InlineListener, Subscriber},
    slots::{
        AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent, LocalDay,
        Slot, SlotSource, SlotsRequest, SourceError,
    },
};

use crate::{
    calendar::Calendar,
    counts::Counts,
    feed::Feed,
    salon::{Salon, ZONE},
};

/// The calendar as Vacancy asks it: counts the loads and tells the page which days were filled.
#[derive(Clone, Debug)]
pub(crate) struct TellFilled {
    pub(crate) calendar: Calendar,
    pub(crate) counts: Arc<Counts>,
    pub(crate) feed: Feed,
}

#[derive(Serialize)]
struct Day<'a> {
    /// Nobody: the answer is about whoever serves it.
    host: Option<&'a str>,
    event_type: &'a str,
    day: NaiveDate,
    state: &'a str,
}

#[async_trait]
impl SlotSource for TellFilled {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        self.counts.vacancy.loaded();
        let slots = self.calendar.slots(request).await?;
        let days = request
            .first
            .iter_days()
            .take_while(|day| *day <= request.last);
        let host = request.resources.first();
        for day in days {
            self.feed.send(
                "day",
                &Day {
                    host: host.map(|host| host.as_str()),
                    event_type: request.event_type.as_str(),
                    day,
                    state: "filled",
                },
            );
        }
        Ok(slots)
    }
}

/// Tells the page which days a booking has fenced.
#[derive(Clone, Debug)]
pub(crate) struct TellFenced {
    pub(crate) salon: Arc<Salon>,
    pub(crate) feed: Feed,
}

impl Subscriber for TellFenced {
    fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
        bus.inline::<AppointmentBooked, _>(self.clone())
            .inline::<AppointmentRescheduled, _>(self.clone())
            .inline::<AppointmentCancelled, _>(self)
    }
}

impl TellFenced {
    /// All that its host serves on the days of an appointment.
    fn tell(&self, event: &impl BookingEvent) {
        for appointment in event.appointments() {
            for interval in appointment.intervals() {
                for day in LocalDay::over(*interval, ZONE) {
                    for host in &appointment.resources {
                        self.fenced(host.as_str(), day.date());
                    }
                }
            }
        }
    }

    fn fenced(&self, host: &str, day: NaiveDate) {
        let event_types = self.salon.event_types.iter();
        for event_type in event_types.filter(|each| each.hosts.iter().any(|id| id.as_str() == host))
        {
            self.feed.send(
                "day",
                &Day {
                    host: Some(host),
                    event_type: event_type.id.as_str(),
                    day,
                    state: "fenced",
                },
            );
        }
    }
}

impl<E: Event + BookingEvent> InlineListener<E> for TellFenced {
    fn handle(&self, event: &E) {
        self.tell(event);
    }

    fn name(&self) -> Cow<'static, str> {
        "page.fenced".into()
    }
}
