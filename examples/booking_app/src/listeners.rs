//! Who listens to what.

use std::sync::Arc;

use vacancy::{
    dispatch::{Bus, BusBuilder},
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

/// Everybody who listens, on a bus that is to be built.
pub(crate) fn listeners(
    slots: &SlotsCache,
    salon: &Arc<Salon>,
    diary: &Diary,
    feed: &Feed,
    settings: &Settings,
) -> anyhow::Result<BusBuilder> {
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
    Ok(match &settings.varnish {
        Some(url) => bus.subscribe(PurgeEdge::new(
            slots.clone(),
            [Edge::varnish("varnish", url)?],
        )?),
        None => bus,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use vacancy::{
        dispatch::{
            Reason,
            testing::{Fake, TestBus},
        },
        slots::Appointment,
    };

    use super::*;
    use crate::calendar::Calendar;

    /// The listeners as they are, but that nobody writes to a host's calendar or looks into the diary.
    /// Time is paused from here on.
    async fn bus(calendar: Fake) -> TestBus {
        let folder = TempDir::new().expect("a folder");
        let salon = Arc::new(Salon::new());
        let file = folder.path().join("diary.sqlite");
        let diary = Diary::open(&file, Arc::clone(&salon)).await;
        let diary = diary.expect("an empty diary");
        let source = Calendar::new(
            Arc::clone(&salon),
            diary.clone(),
            Duration::ZERO,
            Duration::ZERO,
        );
        let slots = SlotsCache::builder(source)
            .directory(salon.directory())
            .build();
        let settings = Settings::default();
        let listeners = listeners(&slots, &salon, &diary, &Feed::new(), &settings);
        tokio::time::pause();
        TestBus::of(listeners.expect("they fit together"))
            .fake("calendar.sync", calendar)
            .fake("page.bookings", Fake::done())
            .build()
    }

    fn cut() -> Appointment {
        let salon = Salon::new();
        let hour = "2026-11-23T09:00:00Z/2026-11-23T09:45:00Z".parse();
        Appointment::new(1.into(), salon.tenant, hour.expect("an interval"))
            .event_type(salon.event_types[0].id.clone())
            .resource(salon.hosts[0].id.clone())
    }

    const INLINE: [&str; 3] = ["slots.fence", "page.dispatched", "page.fenced"];
    const BESIDE: [&str; 4] = [
        "slots.invalidate",
        "confirmation",
        "statistics",
        "page.bookings",
    ];

    #[tokio::test]
    async fn everybody_hears_of_a_booking_and_the_fences_are_up_first() {
        let bus = bus(Fake::fails_times(2)).await;
        bus.dispatch(AppointmentBooked::new(cut()));
        let ran = bus.settled().await;
        for inline in INLINE {
            ran.ran(inline).once().done().before("slots.invalidate");
        }
        for listener in BESIDE {
            ran.ran(listener).once().done();
        }
        ran.ran("calendar.sync").once().attempts(3).done();
        ran.nothing_else();
    }

    #[tokio::test]
    async fn a_calendar_that_never_answers_hinders_nobody_else() {
        let bus = bus(Fake::fails()).await;
        bus.dispatch(AppointmentBooked::new(cut()));
        let ran = bus.settled().await;
        ran.ran("calendar.sync").attempts(4).dead(Reason::Failed);
        for listener in INLINE.into_iter().chain(BESIDE) {
            ran.ran(listener).once().done();
        }
        ran.nothing_else();
    }

    /// The number of appointments in the books stays what it was.
    #[tokio::test]
    async fn a_move_is_confirmed_and_not_counted() {
        let bus = bus(Fake::done()).await;
        bus.dispatch(AppointmentRescheduled::new(cut(), cut()));
        let ran = bus.settled().await;
        ran.not_run("statistics");
        ran.ran("confirmation").once().done();
        ran.ran("calendar.sync").once().done();
    }
}
