//! What the first version of this system did at a booking, sharpened until each claim can fail.

mod support;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{
    diary::{Bookable, Diary},
    soon,
};
use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, prelude::*};
use vacancy::{
    dispatch::{
        Bus, Event, Listener, Reason, inline_fn, listen_fn,
        testing::{Fake, Ran, TestBus},
    },
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BranchId,
        Buffers, Directory, EventTypeId, EventTypeRules, Interval, InvalidateSlotsCache,
        MissingEventType, OpenError, ResourceId, Slot, SlotsCache, SlotsQuery, StaticDirectory,
        TenantId,
    },
};

/// One line of the log.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    message: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => drop(self.fields.insert(name.to_owned(), format!("{value:?}"))),
        }
    }
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    fn of(&self, message: &str) -> Vec<Line> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter(|line| line.message == message)
            .cloned()
            .collect()
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line {
            level: *event.metadata().level(),
            message: String::new(),
            fields: BTreeMap::new(),
        };
        event.record(&mut line);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

/// The sum of a counter over its labels.
fn count(snapshotter: &Snapshotter, name: &str) -> u64 {
    let counts = snapshotter.snapshot().into_vec().into_iter();
    counts
        .filter(|(key, ..)| key.key().name() == name)
        .map(|(.., value)| match value {
            DebugValue::Counter(count) => count,
            other => panic!("{name} is not a counter but {other:?}"),
        })
        .sum()
}

/// A directory that panics while it is told to.
#[derive(Clone)]
struct Fragile {
    directory: Arc<StaticDirectory>,
    broken: Arc<AtomicBool>,
}

impl Fragile {
    fn panic_if_broken(&self) {
        if self.broken.load(Ordering::SeqCst) {
            panic::resume_unwind(Box::new("the directory's own fault")); // no message on the terminal
        }
    }
}

impl Directory for Fragile {
    fn event_type(&self, tenant: &TenantId, id: &EventTypeId) -> Option<Arc<EventTypeRules>> {
        self.panic_if_broken();
        self.directory.event_type(tenant, id)
    }

    fn branch_resources(&self, tenant: &TenantId, branch: &BranchId) -> Vec<ResourceId> {
        self.panic_if_broken();
        self.directory.branch_resources(tenant, branch)
    }
}

/// A salon: hosts 7 and 8 cut hair at all hours; tenant 16 has the same ids.
struct Salon {
    diary: Diary,
    slots: SlotsCache,
    bus: TestBus,
    directory_broken: Arc<AtomicBool>,
}

/// A listener that is done at once.
fn listener<E: Event>(name: &'static str) -> impl Listener<E> {
    listen_fn::<E, _, _>(name, |_| async { Ok(()) })
}

impl Salon {
    fn open(policy: MissingEventType) -> Self {
        let diary = Diary::new();
        for tenant in [15, 16] {
            diary.offer(
                tenant,
                123,
                Bookable::new(30).host(7).host(8).hours(0, 1440),
            );
        }
        let directory_broken = Arc::new(AtomicBool::new(false));
        let directory = Fragile {
            directory: Arc::new(diary.directory()),
            broken: Arc::clone(&directory_broken),
        };
        let slots = SlotsCache::builder(diary.clone())
            .directory(directory)
            .source_lag(Duration::ZERO)
            .missing_event_type(policy)
            .build();
        let listeners = Bus::builder()
            // All that went wrong beside the cache used to take it along.
            .inline(inline_fn::<AppointmentBooked, _>("broken", |_| ()))
            .listen(listener::<AppointmentBooked>("statistics"))
            .listen(listener::<AppointmentBooked>("synchronisation"))
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .listen(listener::<AppointmentBooked>("mail"))
            .listen(listener::<AppointmentRescheduled>("mail"))
            .listen(listener::<AppointmentCancelled>("mail"));
        let bus = TestBus::of(listeners)
            .fake("broken", Fake::panics())
            .fake("statistics", Fake::panics())
            .fake("synchronisation", Fake::fails())
            .build();
        Self {
            diary,
            slots,
            bus,
            directory_broken,
        }
    }

    async fn starts(&self, query: &SlotsQuery) -> Vec<DateTime<Utc>> {
        let open = self.slots.open(query).await.expect("the diary answers");
        open.iter().map(Slot::start).collect()
    }

    async fn warm<'a>(&self, queries: impl IntoIterator<Item = &'a SlotsQuery>) {
        for query in queries {
            assert!(
                !self.starts(query).await.is_empty(),
                "nothing is free to begin with"
            );
            assert!(self.is_kept(query));
        }
    }

    fn is_kept(&self, query: &SlotsQuery) -> bool {
        self.slots.kept(query).expect("a short window").is_some()
    }

    async fn untouched(&self, query: &SlotsQuery) {
        let calls = self.diary.calls();
        assert!(!self.starts(query).await.is_empty());
        assert_eq!(self.diary.calls(), calls, "loaded without need");
    }

    /// Books in the diary and tells the bus; returns when every listener is done with it.
    async fn book(&self, appointment: &Appointment) -> Ran {
        self.diary.book(appointment);
        let told = appointment.clone();
        self.bus.dispatch(AppointmentBooked::new(told));
        soon(self.bus.settled()).await
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn interval(start: &str, end: &str) -> Interval {
    Interval::new(utc(start), utc(end)).expect("an interval")
}

/// The slots of host 7 from an hour of a day of October 2025 on, for so many hours.
fn hours(day: u32, hour: i64, count: i64) -> SlotsQuery {
    let start = utc(&format!("2025-10-{day:02}T00:00:00Z")) + chrono::TimeDelta::hours(hour);
    let window = Interval::new(start, start + chrono::TimeDelta::hours(count));
    SlotsQuery::new(15, 123, window.expect("hours")).resource(7)
}

/// With host 7 of tenant 15.
fn appointment(start: &str, end: &str) -> Appointment {
    Appointment::new(7001.into(), 15.into(), interval(start, end))
        .branch(1)
        .event_type(123)
        .resource(7)
        .buffers(Buffers::NONE)
}

fn at_two() -> Appointment {
    appointment("2025-10-15T14:00:00Z", "2025-10-15T15:00:00Z")
}

#[tokio::test]
async fn the_hour_before_a_booking_its_own_and_the_hour_after_fall() {
    let salon = Salon::open(MissingEventType::Widen);
    let hours = [hours(15, 13, 1), hours(15, 14, 1), hours(15, 15, 1)];
    salon.warm(&hours).await;
    salon.diary.book(&at_two());
    let _not_awaited = salon.bus.dispatch(AppointmentBooked::new(at_two()));
    for hour in &hours {
        assert!(
            !salon.is_kept(hour),
            "an answer for {:?} is still there",
            hour.window
        );
    }
    assert_eq!(salon.starts(&hours[0]).await.len(), 2);
    assert!(salon.starts(&hours[1]).await.is_empty());
    assert_eq!(salon.starts(&hours[2]).await.len(), 2);
}

#[tokio::test]
async fn other_days_and_other_hosts_are_served_without_a_load() {
    let salon = Salon::open(MissingEventType::Widen);
    let mut other_host = hours(15, 14, 1);
    other_host = SlotsQuery::new(15, 123, other_host.window).resource(8);
    let neighbours = [
        hours(13, 0, 24),
        hours(14, 0, 24),
        hours(16, 0, 24),
        hours(17, 14, 1),
        other_host,
    ];
    salon.warm(&neighbours).await;
    salon.warm(&[hours(15, 0, 24)]).await;
    salon.book(&at_two()).await;
    for neighbour in &neighbours {
        salon.untouched(neighbour).await;
    }
    assert!(!salon.is_kept(&hours(15, 0, 24)));
}

#[tokio::test]
async fn a_reschedule_drops_the_old_and_the_new_time() {
    let salon = Salon::open(MissingEventType::Widen);
    let before = at_two();
    salon.diary.book(&before);
    let (old, between, new) = (hours(15, 14, 1), hours(17, 10, 1), hours(20, 10, 1));
    assert!(salon.starts(&old).await.is_empty());
    salon.warm([&between, &new]).await;
    let to = interval("2025-10-20T10:00:00Z", "2025-10-20T11:00:00Z");
    let after = before.clone().moved_to(to);
    salon.diary.move_to(&before, &after);
    let _not_awaited = salon
        .bus
        .dispatch(AppointmentRescheduled::new(before, after));
    assert!(!salon.is_kept(&old) && !salon.is_kept(&new));
    assert_eq!(salon.starts(&old).await.len(), 2);
    assert!(salon.starts(&new).await.is_empty());
    salon.untouched(&between).await;
}

#[tokio::test]
async fn a_cancelled_time_is_offered_again_at_once() {
    let salon = Salon::open(MissingEventType::Widen);
    salon.diary.book(&at_two());
    assert!(salon.starts(&hours(15, 14, 1)).await.is_empty());
    assert!(salon.is_kept(&hours(15, 14, 1)));
    salon.diary.cancel(&15.into(), &7001.into());
    let _not_awaited = salon.bus.dispatch(AppointmentCancelled::new(at_two()));
    assert_eq!(salon.starts(&hours(15, 14, 1)).await.len(), 2);
}

/// The test of this in the first version asserted nothing.
#[tokio::test]
async fn a_missing_event_type_is_told_once_and_hinders_nobody() {
    for policy in [MissingEventType::Widen, MissingEventType::Skip] {
        let (log, recorder) = (Log::default(), DebuggingRecorder::new());
        let snapshotter = recorder.snapshotter();
        let _log = tracing::subscriber::set_default(Registry::default().with(log.clone()));
        let _recorder = metrics::set_default_local_recorder(&recorder);
        let salon = Salon::open(policy);
        let (day, other_day) = (hours(15, 0, 24), hours(18, 0, 24));
        salon.warm([&day, &other_day]).await;

        salon.diary.book(&at_two());
        let mut told = at_two();
        told.event_type = None;
        salon.bus.dispatch(AppointmentBooked::new(told));
        // What was done of old about such an event: nothing.
        assert_eq!(salon.is_kept(&day), policy == MissingEventType::Skip);
        assert_eq!(
            salon
                .starts(&day)
                .await
                .contains(&utc("2025-10-15T14:00:00Z")),
            policy == MissingEventType::Skip
        );
        salon.untouched(&other_day).await;

        let ran = soon(salon.bus.settled()).await;
        for listener in ["slots.fence", "slots.invalidate", "mail"] {
            ran.ran(listener).once().done();
        }
        let warnings = log.of("No event type ID found");
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].level, Level::WARN);
        assert_eq!(
            count(&snapshotter, "cache_invalidation_missing_event_type_total"),
            1
        );
    }
}

/// The fences were raised by what the directory knew; one that panicked left the answers standing.
#[tokio::test]
async fn a_directory_that_panics_costs_a_wider_reach_and_no_stale_slot() {
    let (log, recorder) = (Log::default(), DebuggingRecorder::new());
    let snapshotter = recorder.snapshotter();
    let _log = tracing::subscriber::set_default(Registry::default().with(log.clone()));
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let salon = Salon::open(MissingEventType::Widen);
    let day = hours(15, 0, 24);
    let all_hosts = SlotsQuery::new(15, 123, day.window);
    let (far, stranger) = (hours(20, 0, 24), SlotsQuery::new(16, 123, day.window));
    let queries = [&day, &all_hosts, &far, &stranger];

    salon.warm(queries).await;
    let before = at_two();
    let after = before
        .clone()
        .moved_to(interval("2025-10-15T16:00:00Z", "2025-10-15T17:00:00Z"));
    for change in 1..=3 {
        salon.directory_broken.store(true, Ordering::SeqCst);
        match change {
            1 => {
                salon.diary.book(&before);
                salon.bus.dispatch(AppointmentBooked::new(before.clone()));
            }
            2 => {
                salon.diary.move_to(&before, &after);
                salon
                    .bus
                    .dispatch(AppointmentRescheduled::new(before.clone(), after.clone()));
            }
            _ => {
                salon.diary.cancel(&after.tenant, &after.id);
                salon.bus.dispatch(AppointmentCancelled::new(after.clone()));
            }
        }
        assert!(!salon.is_kept(&day) && !salon.is_kept(&all_hosts));
        let ran = soon(salon.bus.settled()).await;
        for listener in ["slots.fence", "slots.invalidate", "mail"] {
            ran.ran(listener).once().done();
        }
        assert_eq!(
            log.of("Cache invalidation failed (non-critical)").len(),
            change
        );
        assert_eq!(count(&snapshotter, "cache_invalidation_failed_total"), 1);

        salon.directory_broken.store(false, Ordering::SeqCst);
        let truth = |query| -> Vec<_> { salon.diary.free(query).iter().map(Slot::start).collect() };
        for query in [&day, &all_hosts] {
            assert_eq!(salon.starts(query).await, truth(query));
        }
        salon.untouched(&far).await;
        salon.untouched(&stranger).await;
    }
}

#[tokio::test]
async fn a_source_that_fails_does_not_reach_the_booking() {
    let salon = Salon::open(MissingEventType::Widen);
    let day = hours(15, 0, 24);
    salon.warm([&day]).await;
    salon.diary.fails(true);
    let ran = salon.book(&at_two()).await;
    for listener in ["slots.fence", "slots.invalidate", "mail"] {
        ran.ran(listener).once().done();
    }
    // Nor is the old answer a way out.
    assert!(matches!(
        salon.slots.open(&day).await,
        Err(OpenError::Source(_))
    ));
    salon.diary.fails(false);
    assert!(salon.starts(&hours(15, 14, 1)).await.is_empty());
}

/// The cache's listener ran after synchronisation and statistics, and died with them.
#[tokio::test]
async fn listeners_registered_before_it_can_fail_without_harm() {
    let salon = Salon::open(MissingEventType::Widen);
    let hour = hours(15, 14, 1);
    salon.warm([&hour]).await;
    let ran = salon.book(&at_two()).await;
    ran.ran("broken").once().dead(Reason::Panicked);
    ran.ran("statistics").once().dead(Reason::Panicked);
    ran.ran("synchronisation").once().dead(Reason::Failed);
    for listener in ["slots.fence", "slots.invalidate", "mail"] {
        ran.ran(listener).once().done();
    }
    ran.nothing_else();
    assert!(salon.starts(&hour).await.is_empty());
}

#[tokio::test]
async fn another_tenant_with_the_same_ids_is_served_without_a_load() {
    let salon = Salon::open(MissingEventType::Widen);
    let day = hours(15, 0, 24);
    let stranger = SlotsQuery::new(16, 123, day.window).resource(7);
    salon.warm([&day, &stranger]).await;
    salon.book(&at_two()).await;
    salon.untouched(&stranger).await;
    assert!(
        salon
            .starts(&stranger)
            .await
            .contains(&utc("2025-10-15T14:00:00Z"))
    );
    assert!(
        !salon
            .starts(&day)
            .await
            .contains(&utc("2025-10-15T14:00:00Z"))
    );
}

#[tokio::test]
async fn the_hours_around_a_booking_fall_across_midnight() {
    // Half an hour from midnight: only the hour before, or after, is on the other day.
    for (start, end, other_day) in [
        (
            "2025-10-15T00:30:00Z",
            "2025-10-15T01:00:00Z",
            hours(14, 23, 1),
        ),
        (
            "2025-10-15T22:30:00Z",
            "2025-10-15T23:30:00Z",
            hours(16, 0, 1),
        ),
    ] {
        let salon = Salon::open(MissingEventType::Widen);
        let (own, beyond) = (hours(15, 0, 24), [hours(13, 0, 24), hours(17, 0, 24)]);
        salon.warm([&own, &other_day, &beyond[0], &beyond[1]]).await;
        salon.diary.book(&appointment(start, end));
        let _not_awaited = salon
            .bus
            .dispatch(AppointmentBooked::new(appointment(start, end)));
        assert!(!salon.is_kept(&own) && !salon.is_kept(&other_day));
        for day in &beyond {
            salon.untouched(day).await;
        }
    }
}

#[tokio::test]
async fn every_event_is_logged_and_counted_as_it_always_was() {
    let (log, recorder) = (Log::default(), DebuggingRecorder::new());
    let snapshotter = recorder.snapshotter();
    let _log = tracing::subscriber::set_default(Registry::default().with(log.clone()));
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let salon = Salon::open(MissingEventType::Widen);
    let moved = at_two().moved_to(interval("2025-10-20T10:00:00Z", "2025-10-20T11:00:00Z"));
    salon.bus.dispatch(AppointmentBooked::new(at_two()));
    salon
        .bus
        .dispatch(AppointmentRescheduled::new(at_two(), moved.clone()));
    salon.bus.dispatch(AppointmentCancelled::new(moved));
    soon(salon.bus.settled()).await;
    for change in ["booked", "rescheduled", "cancelled"] {
        let line = log.of(&format!("Invalidating cache for {change} appointment"));
        assert_eq!(line.len(), 1, "{change}");
        assert_eq!(line[0].level, Level::INFO);
    }
    let complete = log.of("Cache invalidation complete");
    assert_eq!(complete.len(), 3);
    for line in complete {
        assert_eq!(line.level, Level::INFO);
        assert_eq!(line.fields["keys_deleted"], line.fields["total_keys"]);
        assert!(line.fields["total_keys"].parse::<u32>().unwrap() > 0);
    }
    assert!(
        log.of("Cache invalidation failed (non-critical)")
            .is_empty()
    );
    assert!(log.of("No event type ID found").is_empty());
    let counts = snapshotter.snapshot().into_vec();
    let of = |name: &str| {
        counts
            .iter()
            .filter(|(key, ..)| key.key().name() == name)
            .count()
    };
    assert_eq!(of("cache_invalidation_duration_seconds"), 3);
    for (name, each) in [
        ("cache_invalidation_attempts_total", 1),
        ("cache_invalidation_failed_total", 0),
        ("cache_invalidation_missing_event_type_total", 0),
    ] {
        assert_eq!(of(name), 3); // one for each event's label
        for (key, _, _, value) in &counts {
            if key.key().name() == name {
                assert_eq!(*value, DebugValue::Counter(each), "{name}");
            }
        }
    }
}
