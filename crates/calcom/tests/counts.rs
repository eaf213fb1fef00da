//! Everything that becomes of a webhook is counted, in words that are few.

mod support;

use http::HeaderMap;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use serde_json::json;
use support::{payload::booking, salons::Salons, signed};

/// The counters that `run` raises, as `name{label}` and how often.
fn counted(run: impl FnOnce(&Salons)) -> Vec<(String, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("what the test made is right");
    let _inside = runtime.enter();
    let salons = Salons::new();
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || run(&salons));
    let rows = snapshots.snapshot().into_vec().into_iter();
    let mut counters: Vec<_> = rows
        .filter_map(|(key, _, _, value)| {
            let key = key.key();
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            match value {
                DebugValue::Counter(count) if key.name().starts_with("calcom_") => {
                    Some((format!("{}{{{}}}", key.name(), labels.join(",")), count))
                }
                _ => None,
            }
        })
        .collect();
    counters.sort();
    counters
}

fn is_counted(expected: &[(&str, u64)], run: impl FnOnce(&Salons)) {
    let counted = counted(run);
    let counted: Vec<_> = counted
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(counted, expected);
}

#[test]
fn what_is_received_is_counted_by_trigger_and_copies_besides() {
    let expected = [
        ("calcom_webhooks_duplicates_total{booking_created}", 2),
        ("calcom_webhooks_superseded_total{booking_created}", 1),
        ("calcom_webhooks_total{booking_cancelled}", 1),
        ("calcom_webhooks_total{booking_created}", 4),
    ];
    is_counted(&expected, |salons| {
        for trigger in [
            "BOOKING_CREATED",
            "BOOKING.CREATED",
            "BOOKING_CREATED",
            "BOOKING_CANCELLED",
        ] {
            salons.deliver(&booking(trigger, "one"));
        }
        salons.deliver(&booking("BOOKING_CREATED", "one"));
    });
}

#[test]
fn what_is_ignored_unresolved_defective_or_widened_is_counted_by_reason() {
    let expected = [
        ("calcom_webhooks_defective_total{reversed}", 1),
        ("calcom_webhooks_ignored_total{no_effect}", 1),
        ("calcom_webhooks_ignored_total{nobody_known}", 1),
        ("calcom_webhooks_ignored_total{unknown_trigger}", 2),
        ("calcom_webhooks_total{booking_created}", 4),
        ("calcom_webhooks_total{ping}", 1),
        ("calcom_webhooks_total{unknown}", 2),
        ("calcom_webhooks_unresolved_total{several_tenants}", 1),
        ("calcom_webhooks_widened_total{missing_event_type}", 1),
    ];
    is_counted(&expected, |salons| {
        let created = || booking("BOOKING_CREATED", "one");
        salons.deliver(&booking("ping", "one"));
        salons.deliver(&booking("INVENTED_TODAY", "one"));
        salons.deliver(&booking("INVENTED_TOMORROW", "one"));
        salons.deliver(&created().at("2025-10-15T15:00:00Z", "2025-10-15T14:00:00Z"));
        salons.deliver(&created().without("eventTypeId"));
        let stranger = || booking("BOOKING_CREATED", "two").host("new@hire.example");
        salons.deliver(&stranger().with("eventTypeId", json!(5000)));
        salons.deliver(&stranger().with("eventTypeId", json!(999)));
    });
}

#[test]
fn what_is_refused_is_counted_by_reason() {
    let expected = [
        ("calcom_webhooks_refused_total{missing_signature}", 1),
        ("calcom_webhooks_refused_total{not_json}", 1),
        ("calcom_webhooks_refused_total{wrong_signature}", 2),
    ];
    is_counted(&expected, |salons| {
        let receive = |headers: &HeaderMap, body: &[u8]| {
            assert!(salons.webhooks.receive(headers, body).is_err());
        };
        receive(&HeaderMap::new(), b"{}");
        receive(&signed(b"[]"), b"{}");
        receive(&signed(b"[]"), b"{}");
        receive(&signed(b"{"), b"{");
    });
}
