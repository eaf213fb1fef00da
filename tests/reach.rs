//! An event takes out of service every answer that it can change, and leaves the others.
//!
//! The judge is a [`Diary`] that is asked anew; it knows nothing of how answers are kept.

mod support;

use std::{cell::Cell, num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Africa, America, Asia, Europe, Pacific, Tz};
use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use support::diary::{Bookable, Diary, Starts, minutes};
use vacancy::{
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BranchId,
        Buffers, Directory, EventTypeId, EventTypeRules, Grid, Interval, InvalidateSlotsCache,
        LimitPeriod, LocalDay, ResourceId, Slot, SlotsCache, SlotsQuery, SlotsRequest,
        StaticDirectory, TenantId,
    },
};

/// What happens in the property.
enum Change {
    Booked(Appointment),
    Rescheduled(Appointment, Appointment),
    Cancelled(Appointment),
}

impl Change {
    fn told(&self) -> Vec<&Appointment> {
        match self {
            Self::Booked(appointment) | Self::Cancelled(appointment) => vec![appointment],
            Self::Rescheduled(before, after) => vec![before, after],
        }
    }

    fn dispatch(self, bus: &Bus) {
        // Not awaited: the answer is gone when `dispatch` returns.
        drop(match self {
            Self::Booked(appointment) => bus.dispatch(AppointmentBooked::new(appointment)),
            Self::Cancelled(appointment) => bus.dispatch(AppointmentCancelled::new(appointment)),
            Self::Rescheduled(before, after) => {
                bus.dispatch(AppointmentRescheduled::new(before, after))
            }
        });
    }
}

/// Makes a case out of bytes; out of zeros the plainest one.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// Zones, and a day on or before which something is odd there.
const PLACES: [(Tz, &str); 9] = [
    (Tz::UTC, "2025-10-13T00:00:00Z"),
    (Europe::Berlin, "2025-10-24T00:00:00Z"),
    (Europe::Berlin, "2025-03-28T00:00:00Z"),
    (Asia::Kolkata, "2025-10-13T00:00:00Z"),
    (America::New_York, "2025-10-31T00:00:00Z"),
    (America::New_York, "2025-03-07T00:00:00Z"),
    (Pacific::Apia, "2011-12-28T00:00:00Z"),
    (Africa::Cairo, "2025-04-23T00:00:00Z"),
    (Africa::Cairo, "2025-10-29T00:00:00Z"),
];

const LENGTHS: [u32; 8] = [30, 15, 45, 60, 90, 120, 180, 240];
const BUFFERS: [u32; 8] = [0, 0, 5, 10, 15, 30, 60, 90];
const PERIODS: [LimitPeriod; 3] = [LimitPeriod::Day, LimitPeriod::Week, LimitPeriod::Month];

struct Case {
    diary: Diary,
    directory: Arc<StaticDirectory>,
    queries: Vec<SlotsQuery>,
    change: Change,
}

/// A handle, so that the test asks the very directory that the cache asks.
struct Shared(Arc<StaticDirectory>);

impl Directory for Shared {
    fn event_type(&self, tenant: &TenantId, id: &EventTypeId) -> Option<Arc<EventTypeRules>> {
        self.0.event_type(tenant, id)
    }

    fn branch_resources(&self, tenant: &TenantId, branch: &BranchId) -> Vec<ResourceId> {
        self.0.branch_resources(tenant, branch)
    }
}

/// What can be booked of one tenant.
struct Tenant {
    id: TenantId,
    hosts: Vec<ResourceId>,
    homes: Vec<Vec<u64>>,
    bookables: Vec<(EventTypeId, Bookable)>,
}

impl Tenant {
    fn home_of(&self, host: &ResourceId, choices: &mut Choices<'_>) -> u64 {
        let place = self.hosts.iter().position(|other| other == host);
        choices.pick(&self.homes[place.expect("a host of the tenant")])
    }
}

fn tenant(number: u64, zone: Tz, choices: &mut Choices<'_>) -> (Tenant, Vec<EventTypeRules>) {
    let hosts: Vec<ResourceId> = (1..=2 + choices.below(3) as u64)
        .map(ResourceId::from)
        .collect();
    let homes: Vec<Vec<u64>> = hosts
        .iter()
        .map(|_| match choices.below(6) {
            0..=3 => vec![1],
            4 => vec![2],
            _ => vec![1, 2],
        })
        .collect();
    let mut bookables = Vec::new();
    let mut rules = Vec::new();
    for id in 1..=2 + choices.below(3) as u64 {
        let known = choices.below(8);
        let length = choices.pick(&LENGTHS);
        let mut bookable = Bookable::new(length)
            .buffers(choices.pick(&BUFFERS), choices.pick(&BUFFERS))
            .zone(if choices.one_in(4) {
                choices.pick(&PLACES).0
            } else {
                zone
            });
        (bookable.opens, bookable.closes) = choices.pick(&[
            (540, 1080),
            (540, 1080),
            (360, 840),
            (0, 1440),
            (1080, 1980),
        ]);
        bookable.starts = Starts::Every(choices.pick(&[30, 15, 60, length]));
        // Without rules an event type counts as one without a limit, on a grid that does not shift.
        if known != UNKNOWN {
            if choices.one_in(3) && bookable.closes <= 1440 {
                bookable.starts = Starts::Following;
            }
            if choices.one_in(4) {
                bookable.limit = Some((choices.pick(&PERIODS), 1 + choices.below(3)));
            }
        }
        if choices.one_in(6) && bookable.starts != Starts::Following {
            bookable.seats = Some(1 + choices.below(3) as u32);
        }
        bookable.tells_hosts = !choices.one_in(4);
        let branch = 1 + choices.below(2) as u64;
        let at_branch = choices.one_in(2);
        for (host, homes) in hosts.iter().zip(&homes) {
            if (!at_branch || homes.contains(&branch)) && !choices.one_in(3) {
                bookable.hosts.push(host.clone());
            }
        }
        if bookable.hosts.is_empty() {
            bookable.hosts.push(hosts[0].clone());
        } else if at_branch {
            bookable.branch = Some(branch.into());
        }
        let mut known_rules = bookable.rules();
        match known {
            2 => known_rules.resources.clear(),
            3 => known_rules.buffers = None,
            4 => known_rules.branch = None,
            5 => known_rules.longest_slot = None,
            _ => {}
        }
        if known != UNKNOWN {
            rules.push(known_rules);
        } else {
            rules.push(EventTypeRules::new());
        }
        bookables.push((EventTypeId::from(id), bookable));
    }
    let id = TenantId::from(number);
    (
        Tenant {
            id,
            hosts,
            homes,
            bookables,
        },
        rules,
    )
}

/// The choice that leaves an event type out of the directory.
const UNKNOWN: usize = 1;

impl Case {
    fn new(bytes: &[u8]) -> Self {
        let mut choices = Choices(bytes.iter());
        let choices = &mut choices;
        let (zone, base) = choices.pick(&PLACES);
        let base = utc(base);
        let (diary, mut directory) = (Diary::new(), StaticDirectory::new());
        let mut tenants = Vec::new();
        for number in 0..if choices.one_in(3) { 2 } else { 1 } {
            let (tenant, rules) = tenant(15 + number, zone, choices);
            for ((id, bookable), rules) in tenant.bookables.iter().zip(rules) {
                diary.offer(tenant.id.clone(), id.clone(), bookable.clone());
                if rules != EventTypeRules::new() {
                    directory.insert(tenant.id.clone(), id.clone(), rules);
                }
            }
            for (host, homes) in tenant.hosts.iter().zip(&tenant.homes) {
                for home in homes {
                    diary.works_in(&tenant.id, host, &(*home).into());
                }
            }
            // Whoever works in several branches has to be in the directory.
            if tenant.homes.iter().any(|homes| homes.len() > 1) || choices.one_in(2) {
                for branch in [1, 2] {
                    let staff = tenant.hosts.iter().zip(&tenant.homes);
                    let staff = staff.filter(|(_, homes)| homes.contains(&branch));
                    let staff = staff.map(|(host, _)| host.clone());
                    directory.insert_branch(tenant.id.clone(), branch.into(), staff);
                }
            }
            tenants.push(tenant);
        }
        let mut next_id = 0;
        let mut booking = |choices: &mut Choices<'_>| {
            next_id += 1;
            let tenant = &tenants[choices.below(tenants.len())];
            (booking(next_id, tenant, base, choices), tenant)
        };
        for _ in 0..choices.below(4) {
            diary.book(&booking(choices).0);
        }
        let queries: Vec<_> = (0..=choices.below(3))
            .map(|_| query(&tenants[choices.below(tenants.len())], zone, base, choices))
            .collect();

        let (one, tenant) = booking(choices);
        let (kind, id) = (choices.below(3), one.id.clone());
        // Warmed with the state before the change; the change itself comes in `judge`.
        let change = match kind {
            0 => Change::Booked(one),
            1 => {
                diary.book(&one);
                Change::Cancelled(one)
            }
            _ => {
                diary.book(&one);
                let mut moved = self::booking(0, tenant, base, choices);
                moved.id = id;
                Change::Rescheduled(one, moved)
            }
        };
        Self {
            diary,
            directory: Arc::new(directory),
            queries,
            change,
        }
    }
}

/// The truth about an appointment: with all that an event may leave out.
fn booking(
    id: u64,
    tenant: &Tenant,
    base: DateTime<Utc>,
    choices: &mut Choices<'_>,
) -> Appointment {
    let (event_type, bookable) = choices.pick(&tenant.bookables);
    let host = choices.pick(&bookable.hosts);
    let day = TimeDelta::days(choices.pick(&[1, 1, 0, 2, 3, 1, 2, -1]));
    let minute = match choices.below(6) {
        0 => 540 + 30 * choices.below(18) as i64,
        1 | 2 => 600 + 30 * choices.below(10) as i64,
        3 => 60 * choices.below(24) as i64,
        4 => 30 * choices.below(48) as i64,
        _ => 5 * (choices.below(200) + choices.below(88)) as i64,
    };
    let length = match choices.below(8) {
        0..=3 => bookable.length,
        4 => 60,
        5 => 180,
        6 => 15 + 5 * choices.below(45) as u32,
        _ => choices.pick(&[60, 240, 26 * 60]),
    };
    let length = TimeDelta::minutes(length.into());
    let start = base + day + TimeDelta::minutes(minute);
    let interval = Interval::new(start, start + length).expect("it has a length");
    let mut appointment = Appointment::new(id.into(), tenant.id.clone(), interval)
        .event_type(event_type)
        .branch(
            bookable
                .branch
                .clone()
                .unwrap_or_else(|| tenant.home_of(&host, choices).into()),
        )
        .resource(host)
        .buffers(bookable.own_buffers())
        .seats(NonZeroU32::MIN.saturating_add(choices.below(2) as u32));
    if choices.one_in(6) {
        let every = choices.pick(&[TimeDelta::days(7), TimeDelta::days(1), TimeDelta::hours(13)]);
        for n in 1..=1 + choices.below(4) as i32 {
            let start = start + every * n;
            let next = Interval::new(start, start + length).expect("it has a length");
            appointment = appointment.occurrence(next);
        }
    }
    appointment
}

fn query(tenant: &Tenant, zone: Tz, base: DateTime<Utc>, choices: &mut Choices<'_>) -> SlotsQuery {
    let day = base + TimeDelta::days(choices.pick(&[1, 1, 0, 2, 1, 3]));
    let hour = |hour: usize| day + TimeDelta::hours(hour as i64);
    let (start, end) = match choices.below(4) {
        0 => (hour(0), hour(24)),
        1 => (hour(9), hour(18)),
        2 => {
            let first = choices.below(24);
            (hour(first), hour(first + 1))
        }
        _ => (hour(0), hour(7 * 24)),
    };
    let window = Interval::new(start, end).expect("it has a length");
    let mut query = SlotsQuery::new(tenant.id.clone(), choices.pick(&tenant.bookables).0, window)
        .zone(if choices.one_in(4) {
            choices.pick(&PLACES).0
        } else {
            zone
        });
    for _ in 0..choices.pick(&[0, 1, 0, 2]) {
        query = query.resource(choices.pick(&tenant.hosts));
    }
    if choices.one_in(5) {
        query = query.branch(1 + choices.below(2) as u64);
    }
    if choices.one_in(6) {
        query = query.duration(minutes(choices.pick(&[30, 60, 120, 300])));
    }
    query
}

/// What an event tells of an appointment: sometimes less than there is to know.
fn told(truth: &Appointment, choices: &mut Choices<'_>) -> Appointment {
    let mut told = truth.clone();
    match choices.below(8) {
        0..=3 => {}
        4 => told.resources.clear(),
        5 => told.event_type = None,
        6 => (told.event_type, told.resources) = (None, Vec::new()),
        _ => (told.resources, told.branch) = (Vec::new(), None),
    }
    if choices.one_in(4) {
        told.buffers = None;
    }
    if choices.one_in(4) {
        told.branch = None;
    }
    told
}

/// Whether no change that an event tells of can matter to this day of the query. By the rule alone:
/// other people, or too far away.
fn is_outside(
    told: &Appointment,
    query: &SlotsQuery,
    day: LocalDay,
    directory: &StaticDirectory,
) -> bool {
    const UNKNOWN_MINUTES: i64 = 240;
    if told.tenant != query.tenant {
        return true;
    }
    let rules = directory.event_type(&query.tenant, &query.event_type);
    let limited = rules.as_ref().is_none_or(|rules| rules.limit.is_some());
    let counted = limited
        && told
            .event_type
            .as_ref()
            .is_none_or(|id| *id == query.event_type);
    let asked = match (query.resources(), &rules) {
        ([], Some(rules)) => &rules.resources[..],
        (asked, _) => asked,
    };
    let strangers = !told.resources.is_empty()
        && !asked.is_empty()
        && asked.iter().all(|host| !told.resources.contains(host));
    if strangers && !counted {
        return true;
    }

    let of = |duration: Duration| duration.as_secs() as i64;
    let (before, after) = match rules.as_ref().map(|rules| rules.buffers) {
        Some(Some(buffers)) => (of(buffers.before()), of(buffers.after())),
        _ => (UNKNOWN_MINUTES * 60, UNKNOWN_MINUTES * 60),
    };
    let longest = rules.as_ref().and_then(|rules| rules.longest_slot);
    let longest = longest.map_or(UNKNOWN_MINUTES * 60, of);
    let length = query
        .duration
        .map_or(longest, |asked| of(asked).max(longest));
    // No day, week or month that begins in the zone of the rules reaches further.
    let days = match rules.as_ref().map(|rules| (rules.limit, rules.grid)) {
        Some((Some(LimitPeriod::Month), _)) => 33,
        Some((Some(LimitPeriod::Week), _)) => 9,
        Some((Some(LimitPeriod::Day), _) | (None, Grid::Shifting)) => 3,
        _ => 0,
    };
    let first = day.start().timestamp() - before - days * 86_400;
    let last = day.end().timestamp() + length + after + days * 86_400;

    let rules = told
        .event_type
        .as_ref()
        .and_then(|id| directory.event_type(&told.tenant, id));
    let (before, after) = match told
        .buffers
        .or_else(|| rules.and_then(|rules| rules.buffers))
    {
        Some(buffers) => (of(buffers.before()), of(buffers.after())),
        None => (UNKNOWN_MINUTES * 60, UNKNOWN_MINUTES * 60),
    };
    told.intervals().iter().all(|interval| {
        let (start, end) = (interval.start().timestamp(), interval.end().timestamp());
        let from = (start - before).min(start.div_euclid(3600) * 3600 - 3600);
        let to = (end + after).max((end + 3599).div_euclid(3600) * 3600 + 3600);
        last <= from || to <= first
    })
}

/// Whether it is a call for this day of the query, or of one that differs in its window only.
fn asks(request: &SlotsRequest, query: &SlotsQuery, day: LocalDay) -> bool {
    request.tenant == query.tenant
        && request.branch == query.branch
        && request.event_type == query.event_type
        && request.resources == query.resources()
        && request.duration == query.duration
        && request.zone == query.zone
        && (request.first..=request.last).contains(&day.date())
}

#[derive(Default)]
struct Counts {
    equal: Cell<u64>,
    changed: Cell<u64>,
    served: Cell<u64>,
    reloaded: Cell<u64>,
    spared: Cell<u64>,
}

fn add(to: &Cell<u64>) {
    to.set(to.get() + 1);
}

fn sorted(mut slots: Vec<Slot>) -> Vec<Slot> {
    slots.sort_by(|one, other| {
        (one.interval, &one.resources).cmp(&(other.interval, &other.resources))
    });
    slots
}

async fn judge(case: Case, bytes: &[u8], counts: &Counts) -> Result<(), TestCaseError> {
    let Case {
        diary,
        directory,
        queries,
        change,
    } = case;
    let slots = SlotsCache::builder(diary.clone())
        .directory(Shared(Arc::clone(&directory)))
        .source_lag(Duration::ZERO)
        .build();
    let bus = Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .build()
        .expect("the listeners fit together");

    let mut before = Vec::new();
    for query in &queries {
        let answer = slots
            .open(query)
            .await
            .expect("the diary answers")
            .into_vec();
        let answer = sorted(answer);
        prop_assert!(
            answer == diary.free(query),
            "before anything happened: {:?}",
            query
        );
        before.push(answer);
    }

    // From the end, so that what is told does not move with what is there.
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut choices = Choices(backwards.iter());
    let change = match change {
        Change::Booked(one) => {
            diary.book(&one);
            Change::Booked(told(&one, &mut choices))
        }
        Change::Cancelled(one) => {
            diary.cancel(&one.tenant, &one.id);
            Change::Cancelled(told(&one, &mut choices))
        }
        Change::Rescheduled(one, moved) => {
            diary.move_to(&one, &moved);
            Change::Rescheduled(told(&one, &mut choices), told(&moved, &mut choices))
        }
    };
    let told: Vec<Appointment> = change.told().into_iter().cloned().collect();
    change.dispatch(&bus);
    let since = diary.calls();

    for (query, before) in queries.iter().zip(before) {
        let calls = diary.calls();
        let answer = sorted(
            slots
                .open(query)
                .await
                .expect("the diary answers")
                .into_vec(),
        );
        let truth = diary.free(query);
        let lie = answer.iter().find(|slot| !truth.contains(slot));
        let omission = truth.iter().find(|slot| !answer.contains(slot));
        prop_assert!(
            answer == truth,
            "not free: {:?}, not offered: {:?}, after {:#?}\nfor {:#?}\nwith {:#?}",
            lie,
            omission,
            told,
            query,
            directory.event_type(&query.tenant, &query.event_type)
        );
        add(&counts.equal);
        if answer != before {
            add(&counts.changed);
        }
        let requests = diary.requests(calls);
        for day in query.days().expect("a short window") {
            let loaded = requests
                .iter()
                .any(|r| (r.first..=r.last).contains(&day.date()));
            let outside = told
                .iter()
                .all(|told| is_outside(told, query, day, &directory));
            prop_assert!(
                !(outside && loaded),
                "{:?} loaded without need after {:#?}\nfor {:#?}\nwith {:#?}",
                day,
                told,
                query,
                directory.event_type(&query.tenant, &query.event_type)
            );
            // What is booked is subtracted from old answers too, which would hide one for a while.
            let of_day = |slots: &[Slot]| -> Vec<Slot> {
                let own = |slot: &&Slot| (day.start()..day.end()).contains(&slot.start());
                slots.iter().filter(own).cloned().collect()
            };
            let renewed = diary
                .requests(since)
                .iter()
                .any(|request| asks(request, query, day));
            prop_assert!(
                renewed || of_day(&before) == of_day(&truth),
                "{:?} is kept although it is not true after {:#?}\nfor {:#?}\nwith {:#?}",
                day,
                told,
                query,
                directory.event_type(&query.tenant, &query.event_type)
            );
            add(match (outside, loaded) {
                (true, _) => &counts.served,
                (false, true) => &counts.reloaded,
                (false, false) => &counts.spared,
            });
        }
    }
    Ok(())
}

#[test]
fn no_answer_is_stale_and_none_falls_without_need() {
    const CASES: u32 = 20_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let counts = Counts::default();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&prop::collection::vec(any::<u8>(), 224), |bytes| {
        runtime.block_on(judge(Case::new(&bytes), &bytes, &counts))
    });
    if let Err(TestError::Fail(reason, bytes)) = outcome {
        panic!("{reason}\nbytes: {bytes:?}");
    }
    outcome.unwrap();

    let Counts {
        equal,
        changed,
        served,
        reloaded,
        spared,
    } = &counts;
    println!(
        "{CASES} cases: {} answers equal the truth, {} of them changed; of their days {} were outside and \
         served without a load, {} were loaded again, {} were served although inside",
        equal.get(),
        changed.get(),
        served.get(),
        reloaded.get(),
        spared.get()
    );
    assert!(equal.get() >= 30_000, "too few answers were compared");
    assert!(changed.get() >= 3_000, "too few events changed anything");
    assert!(served.get() >= 10_000, "too few days were outside");
    assert!(reloaded.get() >= 10_000, "too few days were inside");
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn interval(range: Range<&str>) -> Interval {
    Interval::new(utc(range.start), utc(range.end)).expect("an interval")
}

/// A diary behind a cache, and what it said of some questions before anything happened.
struct Stage {
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
}

impl Stage {
    fn new(diary: &Diary) -> Self {
        let slots = SlotsCache::builder(diary.clone())
            .directory(diary.directory())
            .source_lag(Duration::ZERO)
            .build();
        let invalidate = InvalidateSlotsCache::new(slots.clone());
        let bus = Bus::builder().subscribe(invalidate).build();
        let bus = bus.expect("the listeners fit together");
        Self {
            diary: diary.clone(),
            slots,
            bus,
        }
    }

    async fn starts(&self, query: &SlotsQuery) -> Vec<DateTime<Utc>> {
        let open = self.slots.open(query).await.expect("the diary answers");
        open.iter().map(Slot::start).collect()
    }

    /// Asks, so that the answer is kept, and expects these starts in it.
    async fn warm(&self, query: &SlotsQuery, offered: &[&str]) {
        let starts = self.starts(query).await;
        for start in offered {
            assert!(
                starts.contains(&utc(start)),
                "{start} is not offered: {starts:?}"
            );
        }
        let calls = self.diary.calls();
        self.starts(query).await;
        assert_eq!(self.diary.calls(), calls, "the answer is not kept");
    }

    fn book(&self, appointment: Appointment) {
        self.diary.book(&appointment);
        self.bus.dispatch(AppointmentBooked::new(appointment));
    }

    /// What was kept is not served; the answer is true, and these starts are not in it.
    async fn gone(&self, query: &SlotsQuery, taken: &[&str]) {
        // Asked first: for a while, what is booked here is subtracted from old answers too.
        let kept = self.slots.kept(query).expect("a short window");
        assert!(kept.is_none(), "the old answer is still kept");
        let starts = self.starts(query).await;
        for start in taken {
            assert!(!starts.contains(&utc(start)), "{start} is still offered");
        }
        let truth: Vec<_> = self.diary.free(query).iter().map(Slot::start).collect();
        assert_eq!(starts, truth);
    }

    /// The answer is still true, and nobody asked for it again.
    async fn untouched(&self, query: &SlotsQuery) {
        let calls = self.diary.calls();
        let starts = self.starts(query).await;
        assert_eq!(self.diary.calls(), calls, "an answer fell without need");
        let truth: Vec<_> = self.diary.free(query).iter().map(Slot::start).collect();
        assert_eq!(starts, truth);
    }
}

fn ask(event_type: u64, window: Range<&str>) -> SlotsQuery {
    SlotsQuery::new(15, event_type, interval(window))
}

/// An appointment of event type 123 at host 7, unless said otherwise.
fn appointment(times: Range<&str>) -> Appointment {
    Appointment::new(7001.into(), 15.into(), interval(times))
        .event_type(123)
        .resource(7)
        .buffers(Buffers::NONE)
}

const WEDNESDAY: Range<&str> = "2025-10-15T00:00:00Z".."2025-10-16T00:00:00Z";
const THURSDAY: Range<&str> = "2025-10-16T00:00:00Z".."2025-10-17T00:00:00Z";

/// The invalidator knew three hours: the one before, that of the start, and the one after.
#[tokio::test]
async fn three_hours_take_all_half_hours_under_them() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(7));
    let (stage, last_hour) = (
        Stage::new(&diary),
        "2025-10-15T16:00:00Z".."2025-10-15T17:00:00Z",
    );
    let late = ask(123, last_hour);
    stage
        .warm(&late, &["2025-10-15T16:00:00Z", "2025-10-15T16:30:00Z"])
        .await;
    stage
        .warm(&ask(123, THURSDAY), &["2025-10-16T14:00:00Z"])
        .await;
    stage.book(appointment("2025-10-15T14:00:00Z".."2025-10-15T17:00:00Z"));
    stage
        .gone(&late, &["2025-10-15T16:00:00Z", "2025-10-15T16:30:00Z"])
        .await;
    stage.untouched(&ask(123, THURSDAY)).await;
}

/// Answers are kept by day, so three hours that were counted from the start are missed only there,
/// behind midnight.
#[tokio::test]
async fn three_hours_reach_as_far_behind_midnight_as_they_last() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(7).hours(0, 1440));
    let stage = Stage::new(&diary);
    let thursday = ask(123, THURSDAY);
    let friday = ask(123, "2025-10-17T00:00:00Z".."2025-10-18T00:00:00Z");
    stage.warm(&thursday, &["2025-10-16T01:00:00Z"]).await;
    stage.warm(&friday, &["2025-10-17T00:00:00Z"]).await;
    stage.book(appointment("2025-10-15T22:30:00Z".."2025-10-16T01:30:00Z"));
    stage
        .gone(&thursday, &["2025-10-16T00:00:00Z", "2025-10-16T01:00:00Z"])
        .await;
    stage.untouched(&friday).await;
}

#[tokio::test]
async fn a_long_slot_before_a_booking_goes_with_it() {
    let diary = Diary::new();
    let night = Bookable::new(120).host(7).hours(18 * 60, 30 * 60);
    diary.offer(15, 123, night.starts(Starts::Every(30)));
    let stage = Stage::new(&diary);
    // Of the day before and not in the hour before, so that only the slot's length can tell.
    let evening = ask(123, "2025-10-14T23:30:00Z".."2025-10-15T00:00:00Z");
    stage.warm(&evening, &["2025-10-14T23:30:00Z"]).await;
    let day_before = ask(123, "2025-10-13T00:00:00Z".."2025-10-14T00:00:00Z");
    stage.warm(&day_before, &["2025-10-13T23:30:00Z"]).await;
    stage.book(appointment("2025-10-15T01:00:00Z".."2025-10-15T01:30:00Z"));
    stage.gone(&evening, &["2025-10-14T23:30:00Z"]).await;
    stage.untouched(&day_before).await;
}

#[tokio::test]
async fn buffers_on_either_side_reach_as_far_as_they_are_long() {
    const TUESDAY: Range<&str> = "2025-10-14T00:00:00Z".."2025-10-15T00:00:00Z";
    let (eve, morrow) = ("2025-10-14T23:30:00Z", "2025-10-16T00:00:00Z");
    for (before, after) in [(150, 0), (0, 150)] {
        let diary = Diary::new();
        let half_hours = || Bookable::new(30).host(7).hours(0, 1440);
        diary.offer(15, 123, half_hours().buffers(before, after));
        // What the booking keeps free counts for another event type too, which itself has none.
        diary.offer(15, 456, half_hours());
        let stage = Stage::new(&diary);
        let (tuesday, thursday) = (ask(456, TUESDAY), ask(456, THURSDAY));
        stage.warm(&tuesday, &[eve]).await;
        stage.warm(&thursday, &[morrow]).await;
        // Hours from midnight on both sides: nothing but its buffer takes it there.
        let buffers = Buffers::new(minutes(before), minutes(after));
        let booked = appointment("2025-10-15T02:00:00Z".."2025-10-15T22:00:00Z");
        stage.book(booked.buffers(buffers));
        if before > 0 {
            stage.gone(&tuesday, &[eve]).await;
            stage.untouched(&thursday).await;
        } else {
            stage.untouched(&tuesday).await;
            stage.gone(&thursday, &[morrow]).await;
        }
    }
}

#[tokio::test]
async fn a_grid_that_shifts_falls_to_the_end_of_its_local_day() {
    let diary = Diary::new();
    let hours = Bookable::new(60).host(7).hours(0, 1440).zone(Asia::Kolkata);
    diary.offer(15, 123, hours.starts(Starts::Following));
    let stage = Stage::new(&diary);
    // In Kolkata it is Wednesday already when it is booked; by the reader's days it is Tuesday.
    let friday = ask(123, "2025-10-17T00:00:00Z".."2025-10-18T00:00:00Z");
    stage
        .warm(&ask(123, WEDNESDAY), &["2025-10-15T00:30:00Z"])
        .await;
    stage.warm(&friday, &["2025-10-17T00:30:00Z"]).await;
    stage.book(appointment("2025-10-14T18:30:00Z".."2025-10-14T18:40:00Z"));
    stage
        .gone(
            &ask(123, WEDNESDAY),
            &["2025-10-15T00:30:00Z", "2025-10-15T17:30:00Z"],
        )
        .await;
    stage.untouched(&friday).await;
}

/// Only the event type that was booked was cleared; the host's others went on offering the hour.
#[tokio::test]
async fn another_event_type_of_the_host_falls_too() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(60).host(7));
    diary.offer(15, 456, Bookable::new(30).host(7).host(8));
    let stage = Stage::new(&diary);
    let (his, hers) = (
        ask(456, WEDNESDAY).resource(7),
        ask(456, WEDNESDAY).resource(8),
    );
    stage.warm(&his, &["2025-10-15T14:30:00Z"]).await;
    stage.warm(&hers, &["2025-10-15T14:30:00Z"]).await;
    stage.book(appointment("2025-10-15T14:00:00Z".."2025-10-15T15:00:00Z"));
    stage
        .gone(&his, &["2025-10-15T14:00:00Z", "2025-10-15T14:30:00Z"])
        .await;
    stage.untouched(&hers).await;
}

/// Readers asked for 9 to 18 o'clock, days and weeks; the invalidator deleted keys of one hour.
#[tokio::test]
async fn windows_of_any_width_fall() {
    for window in [
        "2025-10-15T09:00:00Z".."2025-10-15T18:00:00Z",
        WEDNESDAY,
        "2025-10-13T00:00:00Z".."2025-10-20T00:00:00Z",
        "2025-10-15T14:30:00Z".."2025-10-15T15:00:00Z",
        "2025-10-15T13:17:00Z".."2025-10-15T14:41:00Z",
    ] {
        let diary = Diary::new();
        diary.offer(15, 123, Bookable::new(30).host(7).host(8));
        let stage = Stage::new(&diary);
        let (his, hers) = (
            ask(123, window.clone()).resource(7),
            ask(123, window).resource(8),
        );
        stage.warm(&his, &["2025-10-15T14:30:00Z"]).await;
        stage.warm(&hers, &["2025-10-15T14:30:00Z"]).await;
        stage.book(appointment("2025-10-15T14:00:00Z".."2025-10-15T15:00:00Z"));
        stage
            .gone(&his, &["2025-10-15T14:00:00Z", "2025-10-15T14:30:00Z"])
            .await;
        stage.untouched(&hers).await;
    }
}

/// Berlin's two o'clock is noon in UTC; mixed up, every time of a day was 'taken' or none was.
#[tokio::test]
async fn two_in_berlin_is_noon() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(60).host(7).zone(Europe::Berlin));
    let stage = Stage::new(&diary);
    let today = ask(123, "2025-10-14T22:00:00Z".."2025-10-15T22:00:00Z").zone(Europe::Berlin);
    let tomorrow = ask(123, "2025-10-15T22:00:00Z".."2025-10-16T22:00:00Z").zone(Europe::Berlin);
    stage
        .warm(&today, &["2025-10-15T12:00:00Z", "2025-10-15T14:00:00Z"])
        .await;
    stage.warm(&tomorrow, &["2025-10-16T12:00:00Z"]).await;
    stage.book(appointment(
        "2025-10-15T14:00:00+02:00".."2025-10-15T15:00:00+02:00",
    ));
    stage.gone(&today, &["2025-10-15T12:00:00Z"]).await;
    assert!(
        stage
            .starts(&today)
            .await
            .contains(&utc("2025-10-15T14:00:00Z"))
    );
    stage.untouched(&tomorrow).await;
}

#[tokio::test]
async fn half_hours_of_kolkata_are_days_of_their_own() {
    let diary = Diary::new();
    diary.offer(
        15,
        123,
        Bookable::new(30).host(7).hours(0, 1440).zone(Asia::Kolkata),
    );
    let stage = Stage::new(&diary);
    let today = ask(123, "2025-10-14T18:30:00Z".."2025-10-15T18:30:00Z").zone(Asia::Kolkata);
    let tomorrow = ask(123, "2025-10-15T18:30:00Z".."2025-10-16T18:30:00Z").zone(Asia::Kolkata);
    stage
        .warm(&today, &["2025-10-14T18:30:00Z", "2025-10-15T18:00:00Z"])
        .await;
    stage.warm(&tomorrow, &["2025-10-15T18:30:00Z"]).await;
    stage.book(appointment("2025-10-14T18:30:00Z".."2025-10-14T19:00:00Z"));
    stage.gone(&today, &["2025-10-14T18:30:00Z"]).await;
    stage.untouched(&tomorrow).await;
}

#[tokio::test]
async fn the_hour_that_is_there_twice_is_two_hours() {
    let diary = Diary::new();
    diary.offer(
        15,
        123,
        Bookable::new(60)
            .host(7)
            .hours(0, 1440)
            .zone(Europe::Berlin),
    );
    let stage = Stage::new(&diary);
    let day = "2025-10-25T22:00:00Z".."2025-10-26T23:00:00Z"; // 25 hours
    let today = ask(123, day).zone(Europe::Berlin);
    let week_after = ask(123, "2025-11-01T23:00:00Z".."2025-11-02T23:00:00Z").zone(Europe::Berlin);
    let (summer, winter) = ("2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z"); // both are two o'clock
    stage.warm(&today, &[summer, winter]).await;
    assert_eq!(stage.starts(&today).await.len(), 25);
    stage.warm(&week_after, &["2025-11-02T01:00:00Z"]).await;
    stage.book(appointment(
        "2025-10-26T02:00:00+01:00".."2025-10-26T03:00:00+01:00",
    ));
    stage.gone(&today, &[winter]).await;
    assert!(stage.starts(&today).await.contains(&utc(summer)));
    stage.untouched(&week_after).await;
}

#[tokio::test]
async fn the_day_that_lacks_an_hour_ends_an_hour_sooner() {
    let diary = Diary::new();
    diary.offer(
        15,
        123,
        Bookable::new(60)
            .host(7)
            .hours(0, 1440)
            .zone(Europe::Berlin),
    );
    let stage = Stage::new(&diary);
    let day = "2025-03-29T23:00:00Z".."2025-03-30T22:00:00Z"; // 23 hours
    let today = ask(123, day).zone(Europe::Berlin);
    let week_after = ask(123, "2025-04-05T22:00:00Z".."2025-04-06T22:00:00Z").zone(Europe::Berlin);
    stage
        .warm(&today, &["2025-03-30T01:00:00Z", "2025-03-30T21:00:00Z"])
        .await;
    assert_eq!(stage.starts(&today).await.len(), 23);
    stage.warm(&week_after, &["2025-04-06T01:00:00Z"]).await;
    stage.book(appointment(
        "2025-03-30T03:00:00+02:00".."2025-03-30T04:00:00+02:00",
    ));
    stage.gone(&today, &["2025-03-30T01:00:00Z"]).await;
    stage.untouched(&week_after).await;
}

#[tokio::test]
async fn a_booking_over_midnight_takes_from_both_days() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(7).hours(0, 1440));
    let stage = Stage::new(&diary);
    let days = [WEDNESDAY, THURSDAY];
    let [wednesday, thursday] = days.map(|day| ask(123, day));
    let saturday = ask(123, "2025-10-18T00:00:00Z".."2025-10-19T00:00:00Z");
    stage.warm(&wednesday, &["2025-10-15T23:30:00Z"]).await;
    stage.warm(&thursday, &["2025-10-16T00:00:00Z"]).await;
    stage.warm(&saturday, &["2025-10-18T00:00:00Z"]).await;
    stage.book(appointment("2025-10-15T23:30:00Z".."2025-10-16T00:30:00Z"));
    stage.gone(&wednesday, &["2025-10-15T23:30:00Z"]).await;
    stage.gone(&thursday, &["2025-10-16T00:00:00Z"]).await;
    stage.untouched(&saturday).await;
}

#[tokio::test]
async fn a_move_over_midnight_to_another_host_frees_one_slot_and_takes_the_other() {
    let diary = Diary::new();
    for id in [123, 456] {
        diary.offer(
            15,
            id,
            Bookable::new(30).host(7).host(8).host(9).hours(0, 1440),
        );
    }
    let before = appointment("2025-10-15T23:30:00Z".."2025-10-16T00:00:00Z");
    diary.book(&before);
    let stage = Stage::new(&diary);
    let his = ask(456, WEDNESDAY).resource(7);
    let hers = ask(456, THURSDAY).resource(8);
    let (third, her_monday) = (
        ask(456, WEDNESDAY).resource(9),
        ask(456, "2025-10-13T00:00:00Z".."2025-10-14T00:00:00Z").resource(8),
    );
    stage.warm(&his, &["2025-10-15T23:00:00Z"]).await;
    stage.warm(&hers, &["2025-10-16T00:00:00Z"]).await;
    stage.warm(&third, &["2025-10-15T23:30:00Z"]).await;
    stage.warm(&her_monday, &["2025-10-13T23:30:00Z"]).await;

    let times = interval("2025-10-16T00:00:00Z".."2025-10-16T00:30:00Z");
    let mut after = before.clone().moved_to(times);
    after.resources = vec![8.into()];
    diary.move_to(&before, &after);
    stage
        .bus
        .dispatch(AppointmentRescheduled::new(before, after));
    stage.gone(&his, &[]).await;
    assert!(
        stage
            .starts(&his)
            .await
            .contains(&utc("2025-10-15T23:30:00Z"))
    );
    stage.gone(&hers, &["2025-10-16T00:00:00Z"]).await;
    stage.untouched(&third).await;
    stage.untouched(&her_monday).await;
}

#[tokio::test]
async fn a_series_takes_each_of_its_times_and_leaves_the_days_between() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(60).host(7));
    let stage = Stage::new(&diary);
    let third = ask(123, "2025-10-29T00:00:00Z".."2025-10-30T00:00:00Z");
    let between = ask(123, "2025-10-27T00:00:00Z".."2025-10-28T00:00:00Z");
    stage.warm(&third, &["2025-10-29T14:00:00Z"]).await;
    stage.warm(&between, &["2025-10-27T14:00:00Z"]).await;
    stage.book(
        appointment("2025-10-15T14:00:00Z".."2025-10-15T15:00:00Z")
            .occurrence(interval("2025-10-22T14:00:00Z".."2025-10-22T15:00:00Z"))
            .occurrence(interval("2025-10-29T14:00:00Z".."2025-10-29T15:00:00Z")),
    );
    stage.gone(&third, &["2025-10-29T14:00:00Z"]).await;
    stage.untouched(&between).await;
}

/// An event without its event type named only the host, so that the limit of an event type that
/// others serve too went unnoticed by the answers for them.
#[tokio::test]
async fn a_booking_of_an_unknown_event_type_may_count_towards_any_limit() {
    let diary = Diary::new();
    diary.offer(
        15,
        123,
        Bookable::new(60).host(7).host(8).limit(LimitPeriod::Day, 1),
    );
    diary.offer(15, 456, Bookable::new(60).host(7).host(8));
    let stage = Stage::new(&diary);
    let limited = ask(123, WEDNESDAY).resource(8);
    stage.warm(&limited, &["2025-10-15T09:00:00Z"]).await;
    for open in [
        ask(123, THURSDAY).resource(8),
        ask(456, WEDNESDAY).resource(8),
    ] {
        stage.warm(&open, &[]).await;
    }
    let booked = appointment("2025-10-15T14:00:00Z".."2025-10-15T15:00:00Z");
    diary.book(&booked);
    let mut told = booked;
    told.event_type = None;
    stage.bus.dispatch(AppointmentBooked::new(told));
    stage.gone(&limited, &["2025-10-15T09:00:00Z"]).await;
    stage.untouched(&ask(123, THURSDAY).resource(8)).await;
    stage.untouched(&ask(456, WEDNESDAY).resource(8)).await;
}

/// Where slots do not tell who serves them, a booking of one host took seats from the slots of every
/// other host, although the question had named whose slots it asked for.
#[tokio::test]
async fn a_seat_of_one_host_is_not_a_seat_of_another() {
    let diary = Diary::new();
    let course = Bookable::new(60)
        .host(7)
        .host(8)
        .seats(1)
        .silent_about_hosts();
    diary.offer(15, 123, course);
    let stage = Stage::new(&diary);
    let (his, hers) = (
        ask(123, WEDNESDAY).resource(7),
        ask(123, WEDNESDAY).resource(8),
    );
    stage.warm(&his, &["2025-10-15T14:00:00Z"]).await;
    stage.warm(&hers, &["2025-10-15T14:00:00Z"]).await;
    stage.book(appointment("2025-10-15T14:00:00Z".."2025-10-15T15:00:00Z"));
    stage.gone(&his, &["2025-10-15T14:00:00Z"]).await;
    stage.untouched(&hers).await;
}

/// An invalidation is never skipped for being large: what is longer than the longest span reaches
/// every day.
#[tokio::test]
async fn what_is_longer_than_the_longest_span_reaches_every_day() {
    let two_days = "2025-10-15T00:00:00Z".."2025-10-17T00:00:00Z";
    let far = ask(123, "2025-12-01T00:00:00Z".."2025-12-02T00:00:00Z");
    for (longest, falls) in [(1, true), (2 + 2, false)] {
        let diary = Diary::new();
        diary.offer(15, 123, Bookable::new(30).host(7));
        let slots = SlotsCache::builder(diary.clone())
            .directory(diary.directory())
            .longest_span(Duration::from_secs(longest * 86_400))
            .build();
        let bus = Bus::builder().subscribe(InvalidateSlotsCache::new(slots.clone()));
        let bus = bus.build().unwrap();
        slots.open(&far).await.unwrap();
        bus.dispatch(AppointmentBooked::new(appointment(two_days.clone())));
        assert_eq!(slots.kept(&far).unwrap().is_none(), falls, "{longest} days");
    }
}
