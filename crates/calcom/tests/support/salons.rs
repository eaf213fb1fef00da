//! Two salons, their calendar, and what hears of their bookings.
//!
//! Tenant 15 has Ada (42), Grace (43) and Kim (44), event types 123 (4711, by Ada) and 124 (4712, by Grace).
//! Tenant 16 has Bob (52) and Kim (54), event type 160. Event type 5000 of Cal.com is 150 at tenant 15, by Ada
//! and Kim, and 160 at tenant 16, by Bob and Kim. All take an hour, from 8 to 18 UTC, and may be booked in any
//! number.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use vacancy_calcom::{
    Applied, BookingChange, CalcomDirectory, Clue, Listing, Received, StaticCalcomDirectory,
    Verdict, Webhooks, WebhooksBuilder,
};
use vacancy_dispatch::{Bus, inline_fn};
use vacancy_slots::{
    AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Buffers, EventTypeRules,
    Interval, InvalidateSlotsCache, ResourceId, Seats, Slot, SlotSource, SlotsCache, SlotsQuery,
    SlotsRequest, SourceError, StaticDirectory,
};

use super::{SECRET, payload::Payload, signed, soon};

const HOUR: Duration = Duration::from_secs(3600);
/// Tenant, event type, resource.
pub(crate) type Chair = (u64, u64, u64);
pub(crate) const ADA: Chair = (15, 123, 42);
pub(crate) const ADA_TOO: Chair = (15, 150, 42);
pub(crate) const GRACE: Chair = (15, 124, 43);
pub(crate) const BOB: Chair = (16, 160, 52);
pub(crate) const CHAIRS: [Chair; 4] = [ADA, ADA_TOO, GRACE, BOB];

/// The calendar: what it has taken it does not offer.
#[derive(Clone, Default)]
pub(crate) struct Calendar {
    taken: Arc<Mutex<BTreeSet<(ResourceId, Interval)>>>,
    seats: Option<u32>,
}

impl Calendar {
    pub(crate) fn take(&self, resource: u64, hour: u32) {
        self.taken().insert((resource.into(), hour_of(hour)));
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<(ResourceId, Interval)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let window = request.window().expect("days of UTC");
        let taken = self.taken();
        let hours = (window.duration().as_secs() / 3600) as i32;
        let starts = (0..hours).filter(|hour| (8..18).contains(&(hour % 24)));
        let slot = |start: i32| {
            let start = window.start() + TimeDelta::hours(start.into());
            let interval = Interval::new(start, start + TimeDelta::hours(1))
                .expect("what the test made is right");
            let mut slot = Slot::new(interval);
            slot.seats = self.seats.map(|total| Seats {
                remaining: total,
                total,
            });
            for resource in &request.resources {
                if !taken.contains(&(resource.clone(), interval)) {
                    slot = slot.resource(resource.clone());
                }
            }
            (!slot.resources.is_empty()).then_some(slot)
        };
        Ok(starts.filter_map(slot).collect())
    }
}

pub(crate) fn hour_of(hour: u32) -> Interval {
    let start: DateTime<Utc> = format!("2025-10-15T{hour:02}:00:00Z")
        .parse()
        .expect("what the test made is right");
    Interval::new(start, start + TimeDelta::hours(1)).expect("what the test made is right")
}

pub(crate) fn directory() -> StaticCalcomDirectory {
    let none = Buffers::NONE;
    let service =
        |tenant: u64, event_type: u64| Listing::new(tenant).event_type(event_type).buffers(none);
    StaticCalcomDirectory::new()
        .list(Clue::EventType("4711"), service(15, 123).resource(42))
        .list(Clue::EventType("4712"), service(15, 124).resource(43))
        .list(
            Clue::EventType("5000"),
            service(15, 150).resource(42).resource(44),
        )
        .list(
            Clue::EventType("5000"),
            service(16, 160).resource(52).resource(54),
        )
        .list(
            Clue::Email("ada@salon.example"),
            Listing::new(15).resource(42),
        )
        .list(
            Clue::Email("grace@salon.example"),
            Listing::new(15).resource(43),
        )
        .list(
            Clue::Email("bob@barber.example"),
            Listing::new(16).resource(52),
        )
        .list(
            Clue::Email("kim@free.example"),
            Listing::new(15).resource(44),
        )
        .list(
            Clue::Email("kim@free.example"),
            Listing::new(16).resource(54),
        )
        .list(Clue::User("1"), Listing::new(15).resource(42))
        .list(Clue::Username("grace"), Listing::new(15).resource(43))
        .list(Clue::Team("77"), Listing::new(16).resource(52).resource(54))
}

/// The salons, as one process knows them.
pub(crate) struct Salons {
    pub(crate) webhooks: Webhooks,
    pub(crate) slots: SlotsCache,
    pub(crate) bus: Bus,
    pub(crate) calendar: Calendar,
    pub(crate) dispatched: Arc<AtomicUsize>,
}

impl Salons {
    /// Where the calendar knows of a booking before the webhook comes.
    pub(crate) fn new() -> Self {
        Self::with(|webhooks| webhooks)
    }

    pub(crate) fn with(set: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder) -> Self {
        Self::open(Calendar::default(), Duration::ZERO, directory(), set)
    }

    /// Where the calendar never hears of it, so that only the overlay tells what is booked.
    pub(crate) fn with_a_deaf_calendar(seats: Option<u32>) -> Self {
        let calendar = Calendar {
            seats,
            ..Calendar::default()
        };
        Self::open(
            calendar,
            Duration::from_secs(24 * 3600),
            directory(),
            |webhooks| webhooks,
        )
    }

    pub(crate) fn of(directory: impl CalcomDirectory) -> Self {
        Self::open(Calendar::default(), Duration::ZERO, directory, |webhooks| {
            webhooks
        })
    }

    fn open(
        calendar: Calendar,
        lag: Duration,
        directory: impl CalcomDirectory,
        set: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder,
    ) -> Self {
        let mut rules = StaticDirectory::new();
        for (tenant, event_type, resources) in [
            (15_u64, 123_u64, vec![42_u64]),
            (15, 124, vec![43]),
            (15, 150, vec![42, 44]),
            (16, 160, vec![52, 54]),
        ] {
            let rule = EventTypeRules::new()
                .longest_slot(HOUR)
                .buffers(Buffers::NONE);
            let rule = resources.into_iter().fold(rule, EventTypeRules::resource);
            rules.insert(tenant.into(), event_type.into(), rule);
        }
        let slots = SlotsCache::builder(calendar.clone())
            .directory(rules)
            .source_lag(lag)
            .build();
        let dispatched = Arc::new(AtomicUsize::new(0));
        let count = || {
            let dispatched = Arc::clone(&dispatched);
            move || {
                dispatched.fetch_add(1, Ordering::SeqCst);
            }
        };
        let (booked, rescheduled, cancelled) = (count(), count(), count());
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .inline(inline_fn("count", move |_: &AppointmentBooked| booked()))
            .inline(inline_fn("count", move |_: &AppointmentRescheduled| {
                rescheduled()
            }))
            .inline(inline_fn("count", move |_: &AppointmentCancelled| {
                cancelled()
            }))
            .build()
            .expect("what the test made is right");
        Self {
            webhooks: set(Webhooks::builder(directory).secret(SECRET)).build(),
            slots,
            bus,
            calendar,
            dispatched,
        }
    }

    pub(crate) fn dispatched(&self) -> usize {
        self.dispatched.load(Ordering::SeqCst)
    }

    pub(crate) fn receive(&self, payload: &Payload) -> Received {
        let body = payload.body();
        self.webhooks
            .receive(&signed(&body), &body)
            .expect("what the test made is right")
    }

    pub(crate) fn deliver(&self, payload: &Payload) -> Applied {
        self.receive(payload)
            .apply(&self.slots, &self.bus)
            .expect("what the test made is right")
    }

    /// Delivers it, and says what came of it.
    pub(crate) fn told(&self, payload: &Payload) -> (Verdict, Vec<BookingChange>) {
        let received = self.receive(payload);
        let events = received.events().to_vec();
        (
            received
                .apply(&self.slots, &self.bus)
                .expect("what the test made is right")
                .verdict,
            events,
        )
    }

    /// The answers of all chairs for 15 October 2025 are kept.
    pub(crate) async fn fill(&self) {
        for chair in CHAIRS {
            self.open_hours(chair).await;
            assert!(self.keeps(chair), "{chair:?}");
        }
    }

    pub(crate) fn keeps(&self, chair: Chair) -> bool {
        self.slots
            .kept(&query(chair))
            .expect("what the test made is right")
            .is_some()
    }

    /// The chairs whose answers are not kept any more.
    pub(crate) fn invalidated(&self) -> Vec<Chair> {
        CHAIRS
            .into_iter()
            .filter(|chair| !self.keeps(*chair))
            .collect()
    }

    /// The hours that are open on 15 October 2025.
    pub(crate) async fn open_hours(&self, chair: Chair) -> Vec<u32> {
        let open = soon(self.slots.open(&query(chair)))
            .await
            .expect("what the test made is right");
        let hour = |slot: &Slot| (slot.start() - day().start()).num_hours() as u32;
        open.iter().map(hour).collect()
    }

    /// The seats that are left at an hour of 15 October 2025.
    pub(crate) async fn seats_left(&self, chair: Chair, hour: u32) -> u32 {
        let open = soon(self.slots.open(&query(chair)))
            .await
            .expect("what the test made is right");
        let slot = open.iter().find(|slot| slot.interval == hour_of(hour));
        slot.and_then(|slot| slot.seats)
            .map_or(0, |seats| seats.remaining)
    }
}

fn day() -> Interval {
    "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z"
        .parse()
        .expect("what the test made is right")
}

fn query((tenant, event_type, resource): Chair) -> SlotsQuery {
    SlotsQuery::new(tenant, event_type, day()).resource(resource)
}
