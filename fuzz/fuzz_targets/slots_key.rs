//! A key is what its text says: texts that can be read are written as they were, keys that are written can be
//! read, and different keys have different texts.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use chrono::{DateTime, Utc};
use chrono_tz::TZ_VARIANTS;
use libfuzzer_sys::fuzz_target;
use vacancy_slots::{Id, IdKind, SlotsKey};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Text(&'a str),
    Keys(Parts<'a>, Parts<'a>),
}

#[derive(Debug, Arbitrary)]
struct Parts<'a> {
    tenant: &'a str,
    branch: Option<&'a str>,
    event_type: &'a str,
    start: (i64, u32),
    end: (i64, u32),
    duration: Option<(u64, u32)>,
    zone: u16,
    resources: Vec<&'a str>,
}

fn id<K: IdKind>(text: &str) -> Option<Id<K>> {
    Id::try_from(text).ok()
}

/// Within the years 1 to 9999, as calendars write them.
fn instant((seconds, nanoseconds): (i64, u32)) -> Option<DateTime<Utc>> {
    let seconds = seconds.rem_euclid(315_537_897_600) - 62_135_596_800;
    DateTime::from_timestamp(seconds, nanoseconds % 1_000_000_000)
}

fn key(parts: &Parts<'_>) -> Option<SlotsKey> {
    let (start, end) = (instant(parts.start)?, instant(parts.end)?);
    let mut key = SlotsKey::new(id(parts.tenant)?, id(parts.event_type)?, start, end);
    key.branch = match parts.branch {
        Some(branch) => Some(id(branch)?),
        None => None,
    };
    let duration = |(seconds, nanoseconds)| Duration::new(seconds, nanoseconds % 1_000_000_000);
    key.duration = parts.duration.map(duration);
    key.zone = TZ_VARIANTS[usize::from(parts.zone) % TZ_VARIANTS.len()];
    key.resources = parts.resources.iter().filter_map(|text| id(text)).collect();
    key.resources.sort();
    key.resources.dedup();
    Some(key)
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Text(text) => {
            if let Ok(key) = SlotsKey::parse(text) {
                assert_eq!(key.to_string(), text);
                assert_eq!(SlotsKey::parse(&key.to_string()), Ok(key));
            }
        }
        Input::Keys(one, other) => {
            let (Some(one), Some(other)) = (key(&one), key(&other)) else {
                return;
            };
            let texts = (one.to_string(), other.to_string());
            assert_eq!(one == other, texts.0 == texts.1);
            assert_eq!(SlotsKey::parse(&texts.0), Ok(one));
            assert_eq!(SlotsKey::parse(&texts.1), Ok(other));
        }
    }
});
