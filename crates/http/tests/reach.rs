//! Whatever an event takes out of service in the cache, it also purges at the edge.

mod edge;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use chrono::TimeDelta;
use chrono_tz::{America::New_York, Asia::Kolkata, Europe::Berlin, Tz};
use edge::application::serve;
use edge::calendar::utc;
use edge::soon;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vacancy_dispatch::Bus;
use vacancy_http::{CachePolicy, Edge, PurgeEdge};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, EventTypeRules,
    Grid, Interval, InvalidateSlotsCache, LimitPeriod, LocalDay, Slot, SlotSource, SlotsCache,
    SlotsQuery, SlotsRequest, SourceError, StaticDirectory,
};

struct Nothing;

#[async_trait]
impl SlotSource for Nothing {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(vec![])
    }
}

/// The keys that were purged.
#[derive(Clone, Default)]
struct Purged(Arc<Mutex<BTreeSet<String>>>);

async fn hear(State(purged): State<Purged>, request: Request) {
    let keys = request.headers()["surrogate-key"].to_str().expect("text");
    let mut purged = purged.0.lock().expect("nobody panics with it");
    purged.extend(keys.split(' ').map(str::to_owned));
}

/// Two tenants whose first event type has rules and whose second has none.
fn directory(limit: Option<LimitPeriod>, shifting: bool) -> StaticDirectory {
    let mut directory = StaticDirectory::new();
    for tenant in [1, 2] {
        let mut rules = EventTypeRules::new()
            .resource(1)
            .resource(2)
            .longest_slot(Duration::from_secs(3600))
            .zone(Berlin);
        if shifting {
            rules = rules.grid(Grid::Shifting).branch(1);
        }
        if let Some(limit) = limit {
            rules = rules.limit(limit);
        }
        directory.insert(tenant.into(), 1.into(), rules);
    }
    directory
}

#[derive(Clone, Debug)]
struct Booked {
    tenant: u64,
    event_type: Option<u64>,
    branch: Option<u64>,
    resource: Option<u64>,
    hour: i64,
    hours: i64,
}

impl Booked {
    fn appointment(&self, id: u64) -> Appointment {
        let start = utc("2026-11-24T00:00:00Z") + TimeDelta::hours(self.hour);
        let interval = Interval::new(start, start + TimeDelta::hours(self.hours));
        let mut booked = Appointment::new(id.into(), self.tenant.into(), interval.expect("hours"));
        if let Some(event_type) = self.event_type {
            booked = booked.event_type(event_type);
        }
        if let Some(branch) = self.branch {
            booked = booked.branch(branch);
        }
        if let Some(resource) = self.resource {
            booked = booked.resource(resource);
        }
        booked
    }
}

fn booked() -> impl Strategy<Value = Booked> {
    let maybe = || proptest::option::of(1_u64..3);
    let hours = prop_oneof![5 => 1_i64..5, 1 => 1..2000_i64];
    (1_u64..3, maybe(), maybe(), maybe(), -100_i64..200, hours).prop_map(
        |(tenant, event_type, branch, resource, hour, hours)| Booked {
            tenant,
            event_type,
            branch,
            resource,
            hour,
            hours,
        },
    )
}

#[derive(Clone, Debug)]
struct Asked {
    tenant: u64,
    event_type: u64,
    branch: Option<u64>,
    resources: Vec<u64>,
    hour: i64,
    hours: i64,
    zone: Tz,
}

impl Asked {
    fn query(&self) -> SlotsQuery {
        let start = utc("2026-11-24T00:00:00Z") + TimeDelta::hours(self.hour);
        let end = start + TimeDelta::hours(self.hours);
        // Whole days, as the cache keeps them: of a part of one the edge knows more exactly what it
        // depends on.
        let first = LocalDay::containing(start, self.zone);
        let last = LocalDay::containing(end, self.zone);
        let window = Interval::new(first.start(), last.end()).expect("days");
        let mut query = SlotsQuery::new(self.tenant, self.event_type, window).zone(self.zone);
        if let Some(branch) = self.branch {
            query = query.branch(branch);
        }
        self.resources
            .iter()
            .fold(query, |query, resource| query.resource(*resource))
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let resources = prop_oneof![
        4 => proptest::collection::vec(1_u64..4, 0..3),
        1 => Just((1..120).collect()),
    ];
    let zone = prop_oneof![Just(Tz::UTC), Just(Berlin), Just(New_York), Just(Kolkata)];
    let branch = proptest::option::of(1_u64..3);
    (
        1_u64..3,
        1_u64..3,
        branch,
        resources,
        -100_i64..200,
        1_i64..1400,
        zone,
    )
        .prop_map(
            |(tenant, event_type, branch, resources, hour, hours, zone)| Asked {
                tenant,
                event_type,
                branch,
                resources,
                hour,
                hours,
                zone,
            },
        )
}

/// Whether the change takes the answer out of service in a cache, and whether it purges it.
async fn race(
    asked: &Asked,
    changes: &[Booked],
    limit: Option<LimitPeriod>,
    shifting: bool,
) -> (bool, bool) {
    let slots = SlotsCache::builder(Nothing)
        .directory(directory(limit, shifting))
        .source_lag(Duration::ZERO)
        .build();
    let purged = Purged::default();
    let address = serve(Router::new().fallback(hear).with_state(purged.clone())).await;
    let edge = Edge::varnish("front", &format!("http://{address}/")).expect("a url");
    let bus = Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .subscribe(PurgeEdge::new(slots.clone(), [edge]).expect("a client"))
        .build()
        .expect("a bus");
    let query = asked.query();
    let open = slots.open(&query).await.expect("an answer");
    let headers = CachePolicy::new(slots.clone())
        .headers(&query, &open)
        .expect("headers");
    let headers = headers.into_headers();
    let keys = headers["surrogate-key"].to_str().expect("text");

    let receipt = match changes {
        [one] if one.hour % 2 == 0 => bus.dispatch(AppointmentBooked::new(one.appointment(1))),
        [one] => bus.dispatch(AppointmentCancelled::new(one.appointment(1))),
        [before, after, ..] => bus.dispatch(AppointmentRescheduled::new(
            before.appointment(1),
            after.appointment(1),
        )),
        [] => unreachable!("there is a change"),
    };
    assert!(soon(receipt.settled()).await.all_done());
    let is_out = slots.kept(&query).expect("a short window").is_none();
    let purged = purged.0.lock().expect("nobody panics with it");
    (is_out, keys.split(' ').any(|key| purged.contains(key)))
}

#[test]
fn what_falls_in_the_cache_is_purged_at_the_edge() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = prop_oneof![
        3 => Just(None),
        1 => Just(Some(LimitPeriod::Day)),
        1 => Just(Some(LimitPeriod::Week)),
        1 => Just(Some(LimitPeriod::Month)),
    ];
    let changes = proptest::collection::vec(booked(), 1..3);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(128)
    });
    let (fell, stayed) = (Cell::new(0), Cell::new(0));
    runner
        .run(
            &(asked(), changes, limit, any::<bool>()),
            |(asked, changes, limit, shifting)| {
                let (is_out, is_purged) = runtime.block_on(race(&asked, &changes, limit, shifting));
                if is_out {
                    fell.set(fell.get() + 1);
                    prop_assert!(is_purged);
                } else if !is_purged {
                    stayed.set(stayed.get() + 1);
                }
                Ok(())
            },
        )
        .unwrap();
    // Both happened, so the property said something.
    let (fell, stayed) = (fell.get(), stayed.get());
    assert!(fell > 10 && stayed > 10, "{fell} fell, {stayed} stayed");
}

#[tokio::test]
async fn a_change_purges_no_answer_of_another_host_day_or_tenant() {
    let asked = |tenant, resource, hour| Asked {
        tenant,
        event_type: 1,
        branch: None,
        resources: vec![resource],
        hour,
        hours: 1,
        zone: Berlin,
    };
    let change = Booked {
        tenant: 1,
        event_type: Some(1),
        branch: None,
        resource: Some(1),
        hour: 12,
        hours: 1,
    };
    let is_purged = async |asked| {
        race(&asked, std::slice::from_ref(&change), None, false)
            .await
            .1
    };
    assert!(is_purged(asked(1, 1, 9)).await);
    assert!(!is_purged(asked(1, 2, 9)).await);
    assert!(!is_purged(asked(2, 1, 9)).await);
    assert!(!is_purged(asked(1, 1, 9 + 48)).await);
}
