//! A cache before Cal.com offers nothing stale, although Cal.com itself lags.

mod fake_calcom;

use std::time::Duration;

use chrono_tz::Tz;
use fake_calcom::{Bookable, FakeCalcom, days, read, soon};
use tokio::time::advance;
use vacancy_calcom::{CalcomEventType, CalcomSlots};
use vacancy_dispatch::Bus;
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, Buffers, Interval, InvalidateSlotsCache,
    Revision, SlotsCache, SlotsQuery,
};

const LAG: Duration = Duration::from_secs(5);

struct Salon {
    calcom: FakeCalcom,
    source: CalcomSlots,
    slots: SlotsCache,
    bus: Bus,
}

impl Salon {
    /// Host 7 offers hours of event type 123, which is 4711 at Cal.com.
    async fn open() -> Self {
        let calcom = FakeCalcom::start().await;
        calcom.offer(4711, Bookable::new(60));
        let source = calcom
            .builder()
            .event_types(|_| vec![CalcomEventType::id(4711).resource(7)])
            .build()
            .expect("settings that can be used");
        let slots = SlotsCache::builder(source.clone()).source_lag(LAG).build();
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .build()
            .expect("the listeners fit together");
        Self {
            calcom,
            source,
            slots,
            bus,
        }
    }

    async fn offers_two(&self) -> bool {
        let open = soon(self.slots.open(&wednesday())).await.expect("slots");
        open.iter().any(|slot| slot.interval == two())
    }

    /// Whether Cal.com says that it is free.
    async fn calcom_offers_two(&self) -> bool {
        let open = read(&self.source, &wednesday()).await.expect("slots");
        open.iter().any(|slot| slot.interval == two())
    }
}

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC)).resource(7)
}

fn two() -> Interval {
    "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z"
        .parse()
        .expect("an interval")
}

fn at_two(sequence: u64) -> Appointment {
    let revision = Revision::changed_at(fake_calcom::utc("2025-10-01T00:00:00Z"));
    Appointment::new(7001.into(), 15.into(), two())
        .event_type(123)
        .resource(7)
        .buffers(Buffers::NONE)
        .revision(revision.sequence(sequence))
}

#[tokio::test(start_paused = true)]
async fn a_booked_slot_is_gone_while_calcom_goes_on_offering_it() {
    let salon = Salon::open().await;
    assert!(salon.offers_two().await);

    salon.calcom.book(7001, 4711, two());
    salon.bus.dispatch(AppointmentBooked::new(at_two(1)));
    assert!(salon.calcom_offers_two().await, "its own cache lags");
    assert!(!salon.offers_two().await);
    advance(Duration::from_secs(3)).await;
    assert!(!salon.calcom_offers_two().await);
    assert!(!salon.offers_two().await);
    advance(LAG).await;
    assert!(!salon.offers_two().await);
    let calls = salon.calcom.calls();
    assert!(!salon.offers_two().await);
    assert_eq!(salon.calcom.calls(), calls, "after the lag it is kept");
}

/// The webhook comes before the commit: who asks at once is told what was.
#[tokio::test(start_paused = true)]
async fn a_cancelled_slot_comes_back_although_it_was_told_too_early() {
    let salon = Salon::open().await;
    salon.calcom.book(7001, 4711, two());
    salon.bus.dispatch(AppointmentBooked::new(at_two(1)));
    advance(LAG + LAG).await;
    assert!(!salon.offers_two().await);

    advance(LAG).await; // its own cache has forgotten
    salon.calcom.cancel(7001);
    salon.bus.dispatch(AppointmentCancelled::new(at_two(2)));
    assert!(!salon.offers_two().await, "it is not committed");
    salon.calcom.commit();
    assert!(!salon.calcom_offers_two().await, "its own cache lags");
    assert!(!salon.offers_two().await);

    advance(Duration::from_secs(3)).await;
    assert!(salon.offers_two().await, "nothing of before was kept");
    advance(LAG).await;
    assert!(salon.offers_two().await);
    let calls = salon.calcom.calls();
    assert!(salon.offers_two().await);
    assert_eq!(salon.calcom.calls(), calls, "after the lag it is kept");
}

/// No webhook tells of it: the time to live is what bounds the harm.
#[tokio::test(start_paused = true)]
async fn a_reserved_slot_is_offered_for_the_time_to_live_at_most() {
    let salon = Salon::open().await;
    assert!(salon.offers_two().await);
    salon.calcom.reserve(4711, two());
    assert!(salon.offers_two().await);
    advance(Duration::from_secs(299)).await;
    assert!(salon.offers_two().await);
    salon.calcom.reserve(4711, two()); // somebody else, as the first one is over
    advance(Duration::from_secs(2)).await;
    assert!(!salon.offers_two().await);
}
