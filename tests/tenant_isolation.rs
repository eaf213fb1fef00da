//! What one tenant is shown, and what one tenant does, is nothing to another, whatever ids look like.

mod support;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::{Europe, Tz};
use support::soon;
use vacancy::{
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BranchId,
        DayKey, EventTypeId, Interval, InvalidateSlotsCache, ResourceId, Slot, SlotSource,
        SlotsCache, SlotsQuery, SlotsRequest, SourceError, Target, TenantId,
    },
};

/// Answers every different question differently: with a slot that carries the question's number.
#[derive(Clone, Default)]
struct Numbering {
    questions: Arc<Mutex<HashMap<String, usize>>>,
    calls: Arc<AtomicUsize>,
}

impl Numbering {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl SlotSource for Numbering {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut questions = self.questions.lock().expect("nobody panics with it");
        let number = questions.len();
        // `Debug` quotes and escapes, so that no two questions look alike.
        let number = *questions.entry(format!("{request:?}")).or_insert(number);
        let day = request.window().expect("a day of UTC or Berlin");
        let start = day.start() + chrono::TimeDelta::hours(12);
        let hour = Interval::new(start, start + chrono::TimeDelta::hours(1));
        Ok(vec![
            Slot::new(hour.expect("an hour")).resource(number as u64),
        ])
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn wednesday() -> Interval {
    let (start, end) = ("2025-10-15T00:00:00Z", "2025-10-16T00:00:00Z");
    Interval::new(utc(start), utc(end)).expect("a day")
}

fn query(tenant: &str, event_type: &str) -> SlotsQuery {
    SlotsQuery::new(id(tenant), event_type_id(event_type), wednesday())
}

fn id(text: &str) -> TenantId {
    text.parse().expect("an id")
}

fn event_type_id(text: &str) -> EventTypeId {
    text.parse().expect("an id")
}

fn branch_id(text: &str) -> BranchId {
    text.parse().expect("an id")
}

fn resource_id(text: &str) -> ResourceId {
    text.parse().expect("an id")
}

/// Texts that joined, cut, counted, matched or trimmed could be taken for one another.
fn strange_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "9",
        "09",
        "9 ",
        " 9",
        "9f4d2b1e-0000-4000-8000-000000000000",
        "9f4d2b1e-0000-4000-8000-000000000001",
        "9f4d",
        "9.0",
        "a",
        "A",
        "a_b",
        "a__b",
        "a:b",
        "a/b",
        "a%5Fb",
        "a*",
        "*",
        "?",
        "[ab]",
        "{a}",
        "{}",
        "~",
        "_",
        "%",
        "\\",
        "\"",
        "\0",
        "a\0",
        "a\0b",
        "\n",
        "ä",
        "a\u{308}",
        "None",
        "null",
        "Some(9)",
    ]
    .map(str::to_owned)
    .to_vec();
    // 4 KiB that differ in their last byte only.
    texts.extend(["x", "y"].map(|end| "x".repeat(4095) + end));
    texts
}

/// Queries of which each differs from each other in some part.
fn different_queries() -> Vec<SlotsQuery> {
    let mut queries = Vec::new();
    for text in strange_texts() {
        queries.push(query(&text, "e"));
        queries.push(query("t", &text));
        queries.push(query("t", "e").branch(branch_id(&text)));
        queries.push(query("t", "e").resource(resource_id(&text)));
    }
    // Where ids are joined, these pairs are one.
    for separator in ["_", ":", "/", "\0", "-", "|", "~", ",", "::", "_r", "_z"] {
        let (left, right) = (format!("l{separator}m"), format!("m{separator}r"));
        queries.push(query(&left, "r"));
        queries.push(query("l", &right));
        queries.push(query("l", "r").branch(branch_id(&format!("m{separator}"))));
        queries.push(query("l", "r").branch(branch_id(&format!("{separator}m"))));
        queries.push(
            query("l", "e")
                .resource(resource_id("p"))
                .resource(resource_id(&right)),
        );
        queries.push(query("l", "e").resource(resource_id(&format!("p{separator}{right}"))));
    }
    queries.push(
        query("l", "e")
            .resource(resource_id("1"))
            .resource(resource_id("23")),
    );
    queries.push(
        query("l", "e")
            .resource(resource_id("12"))
            .resource(resource_id("3")),
    );
    queries.push(query("l", "e"));
    queries.push(query("l", "e").zone(Europe::Berlin));
    for seconds in [60, 600, 3600] {
        queries.push(query("l", "e").duration(Duration::from_secs(seconds)));
    }
    queries
}

#[tokio::test]
async fn queries_that_differ_in_any_part_never_share_an_answer() {
    let source = Numbering::default();
    let slots = SlotsCache::builder(source.clone()).build();
    let queries = different_queries();
    let mut answers = Vec::new();
    for query in &queries {
        let calls = source.calls();
        let answer = soon(slots.open(query)).await.unwrap().into_vec();
        assert_eq!(
            source.calls(),
            calls + 1,
            "{query:?} was given another's answer"
        );
        answers.push(answer);
    }
    let hosts: HashSet<_> = answers
        .iter()
        .map(|answer| answer[0].resources.clone())
        .collect();
    assert_eq!(hosts.len(), queries.len(), "a slot tells whose it is");
    for (query, answer) in queries.iter().zip(&answers) {
        assert_eq!(soon(slots.open(query)).await.unwrap().into_vec(), *answer);
    }
    assert_eq!(source.calls(), queries.len(), "each was loaded once");
    // Their textual keys are different too.
    let date = "2025-10-15".parse().unwrap();
    let keys: HashSet<_> = queries
        .iter()
        .map(|query| DayKey::new(query, date).to_slots_key().to_string())
        .collect();
    assert_eq!(keys.len(), queries.len());
}

/// Every event that a tenant can cause: with all ids, with each of them left out, with none.
async fn do_everything(bus: &Bus, slots: &SlotsCache, tenant: &TenantId, text: &str) {
    let bare = Appointment::new(1.into(), tenant.clone(), wednesday());
    let event_type = event_type_id(text);
    let full = bare
        .clone()
        .event_type(event_type.clone())
        .resource(resource_id(text));
    let branch = branch_id(text);
    for appointment in [
        bare.clone(),
        bare.clone().branch(branch.clone()),
        bare.clone().resource(resource_id(text)),
        bare.event_type(event_type.clone()),
        full.branch(branch.clone()),
    ] {
        let moved = appointment.clone();
        for receipt in [
            bus.dispatch(AppointmentBooked::new(appointment.clone())),
            bus.dispatch(AppointmentRescheduled::new(appointment.clone(), moved)),
            bus.dispatch(AppointmentCancelled::new(appointment)),
        ] {
            assert!(soon(receipt.settled()).await.all_done());
        }
    }
    for target in [
        Target::Tenant,
        Target::Branch(branch),
        Target::EventType(event_type),
        Target::Resource(resource_id(text)),
    ] {
        slots.invalidate(tenant, &target, None);
    }
}

/// One tenant's wildcard deleted the other's keys, and one's cut UUID was another's number.
#[tokio::test]
async fn what_a_tenant_does_never_makes_another_load_again() {
    let source = Numbering::default();
    let slots = SlotsCache::builder(source.clone()).build();
    let bus = Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .build()
        .unwrap();
    let mut queries = Vec::new();
    for text in strange_texts() {
        // The same text in all places, so that only the place tells them apart.
        let host = resource_id(&text);
        queries.push(query(&text, &text));
        queries.push(query(&text, &text).resource(host));
        queries.push(query(&text, "e").zone(Tz::UTC).branch(branch_id(&text)));
    }
    let mut own = Vec::new();
    for query in &queries {
        own.push(soon(slots.open(query)).await.unwrap().into_vec());
    }
    let calls = source.calls();
    assert_eq!(calls, queries.len());

    for text in [
        "a",
        "9",
        "*",
        "l",
        "{a",
        "9f4d2b1e",
        "\0\0",
        "tenant",
        "some resource",
    ] {
        let tenant = id(&format!("{text}!")); // like theirs, and nobody's
        for id in strange_texts() {
            do_everything(&bus, &slots, &tenant, &id).await;
        }
    }
    for (query, own) in queries.iter().zip(&own) {
        assert_eq!(soon(slots.open(query)).await.unwrap().into_vec(), *own);
    }
    assert_eq!(source.calls(), calls, "somebody loaded again");

    // The events do reach whom they are about, and nobody of the others who were there.
    let (busy, text) = (id("9"), "9f4d2b1e-0000-4000-8000-000000000000");
    do_everything(&bus, &slots, &busy, text).await;
    for (query, own) in queries.iter().zip(&own) {
        let before = source.calls();
        soon(slots.open(query)).await.unwrap();
        let reached = usize::from(query.tenant == busy);
        assert_eq!(source.calls() - before, reached, "{query:?}, {own:?}");
    }
}
