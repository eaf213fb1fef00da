//! Questions that can have different answers never share a key.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::time::Duration;

use chrono_tz::{Europe, TZ_VARIANTS};
use proptest::prelude::*;
use vacancy::slots::{
    BranchId, DayKey, EventTypeId, Interval, ResourceId, SlotsKey, SlotsQuery, TenantId,
};

fn day() -> Interval {
    let at = |text: &str| text.parse().unwrap();
    Interval::new(at("2025-10-15T00:00:00Z"), at("2025-10-16T00:00:00Z")).unwrap()
}

fn key(query: &SlotsQuery) -> DayKey {
    DayKey::new(query, query.days().unwrap()[0].date())
}

#[test]
fn ids_that_look_like_keys_do_not_collide() {
    let ids = [
        "1",
        "01",
        "9",
        "9f4d2b1e-0000-4000-8000-000000000000",
        "1_1",
        "_",
        "__",
        "~",
        "%7E",
        "%",
        "*",
        "{1}",
        "}{",
        "a:b",
        "a/b",
        "\0",
        "é",
        "r1",
        "d60",
        "zUTC",
        "2025-10-15-00",
    ];
    let mut seen = HashMap::new();
    let mut note = |query: SlotsQuery| {
        let key = key(&query);
        let text = key.to_slots_key().to_string();
        assert!(!text.contains(['*', '{', '}', ':', '\0', ' ']), "{text:?}");
        if let Some(other) = seen.insert(text.clone(), query.clone()) {
            panic!("{query:?} and {other:?} share {text}");
        }
    };
    let long = "x_".repeat(2048);
    for one in ids.into_iter().chain([long.as_str()]) {
        let tenant = TenantId::try_from(one).unwrap();
        note(SlotsQuery::new(tenant.clone(), 1, day()));
        for other in ids {
            let query =
                SlotsQuery::new(tenant.clone(), EventTypeId::try_from(other).unwrap(), day());
            if other != "1" {
                note(query.clone());
            }
            note(query.clone().branch(BranchId::try_from(one).unwrap()));
            note(query.clone().resource(ResourceId::try_from(other).unwrap()));
            note(
                query
                    .resource(ResourceId::try_from(other).unwrap())
                    .resource(77),
            );
        }
    }
}

#[test]
fn every_parameter_of_a_question_is_part_of_its_key() {
    let base = SlotsQuery::new(15, 123, day());
    let variants = [
        base.clone(),
        base.clone().branch(1),
        base.clone().resource(1),
        base.clone().resource(1).resource(2),
        base.clone().duration(Duration::from_secs(1800)),
        base.clone().duration(Duration::from_millis(1)),
        base.clone().zone(Europe::Berlin),
        // Another zone with the same instants still names other dates.
        base.clone().zone(Europe::Vienna),
        SlotsQuery::new(16, 123, day()),
        SlotsQuery::new(15, 124, day()),
    ];
    for (n, one) in variants.iter().enumerate() {
        for (m, other) in variants.iter().enumerate() {
            let (one, other) = (key(one), key(other));
            assert_eq!(one == other, n == m, "{one:?} and {other:?}");
            assert_eq!(
                one.to_slots_key().to_string() == other.to_slots_key().to_string(),
                n == m
            );
        }
    }
}

#[test]
fn the_window_and_the_order_of_resources_are_not_part_of_the_key() {
    let at = |text: &str| text.parse().unwrap();
    let hour = Interval::new(at("2025-10-15T14:00:00Z"), at("2025-10-15T15:00:00Z")).unwrap();
    let one = SlotsQuery::new(15, 123, day()).resource(1).resource(2);
    let other = SlotsQuery::new(15, 123, hour)
        .resource(2)
        .resource(1)
        .resource(2);
    assert_eq!(key(&one), key(&other));
}

#[test]
fn a_day_in_utc_is_written_in_the_original_format() {
    let key = key(&SlotsQuery::new(15, 123, day()).branch(1)).to_slots_key();
    assert_eq!(
        key.to_string(),
        "cal_slots_15_1_123_2025-10-15-00_2025-10-16-00"
    );
}

proptest! {
    #[test]
    fn a_key_says_what_was_asked(
        (tenant, event_type) in ("(?s).{1,12}", "(?s).{1,12}"),
        branch in prop::option::of("(?s).{1,12}"),
        resources in prop::collection::vec("[0-9_~%rdz]{1,6}", 0..4),
        minutes in prop::option::of(1..500_u64),
        zone in 0..TZ_VARIANTS.len(),
    ) {
        let mut query = SlotsQuery::new(
            TenantId::try_from(tenant).unwrap(),
            EventTypeId::try_from(event_type).unwrap(),
            day(),
        )
        .zone(TZ_VARIANTS[zone]);
        if let Some(branch) = branch {
            query = query.branch(BranchId::try_from(branch).unwrap());
        }
        if let Some(minutes) = minutes {
            query = query.duration(Duration::from_secs(minutes * 60));
        }
        for resource in resources {
            query = query.resource(ResourceId::try_from(resource).unwrap());
        }
        let text = key(&query).to_slots_key().to_string();
        let read: SlotsKey = text.parse().unwrap();
        prop_assert_eq!(
            (&read.tenant, &read.branch, &read.event_type),
            (&query.tenant, &query.branch, &query.event_type)
        );
        prop_assert_eq!((read.duration, read.zone), (query.duration, query.zone));
        prop_assert_eq!(&read.resources, query.resources());
        let interval = query.days().unwrap()[0].interval().unwrap();
        prop_assert_eq!((read.start, read.end), (interval.start(), interval.end()));
    }
}
