//! Who listens to what.

use std::sync::Arc;

use vacancy::{
    dispatch::Bus,
    slots::{
        AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, InvalidateSlotsCache,
        SlotsCache,
    },
};
use vacancy_http::{Edge, PurgeEdge};

use crate::{
    bookings::TellBookings, calendar_sync::SyncCalendar, confirmation::SendConfirmation,
    days::TellFenced, diary::Diary, dispatched::TellDispatched, feed::Feed, lanes::Observed,
    salon::Salon, settings::Settings, statistics::CountAppointments,
};

/// The bus of the application, with everybody who listens.
pub(crate) fn bus(
    slots: &SlotsCache,
    salon: &Arc<Salon>,
    diary: &Diary,
    feed: &Feed,
    settings: &Settings,
) -> anyhow::Result<Bus> {
    let confirmation = || Observed::new(SendConfirmation, feed.clone());
    let statistics = || Observed::new(CountAppointments, feed.clone());
    let sync = SyncCalendar::new(settings.seed);
    let sync = || Observed::new(sync.clone(), feed.clone());
    let bus = Bus::builder()
        .metrics()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .subscribe(TellDispatched(feed.clone()))
        .subscribe(TellFenced {
            salon: Arc::clone(salon),
            feed: feed.clone(),
        })
        .subscribe(TellBookings {
            diary: diary.clone(),
            feed: feed.clone(),
        })
        .listen::<AppointmentBooked, _>(confirmation())
        .listen::<AppointmentRescheduled, _>(confirmation())
        .listen::<AppointmentCancelled, _>(confirmation())
        .listen::<AppointmentBooked, _>(statistics())
        .listen::<AppointmentCancelled, _>(statistics())
        .listen_with::<AppointmentBooked, _>(sync(), SyncCalendar::policy())
        .listen_with::<AppointmentRescheduled, _>(sync(), SyncCalendar::policy())
        .listen_with::<AppointmentCancelled, _>(sync(), SyncCalendar::policy())
        .require::<AppointmentBooked>("slots.fence")
        .require::<AppointmentRescheduled>("slots.fence")
        .require::<AppointmentCancelled>("slots.fence");
    let bus = match &settings.varnish {
        Some(url) => bus.subscribe(PurgeEdge::new(
            slots.clone(),
            [Edge::varnish("varnish", url)?],
        )?),
        None => bus,
    };
    Ok(bus.build()?)
}
