//! Every call ends in one counted outcome, and what keeps calls back is seen.

mod fake_calcom;

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use chrono_tz::Tz;
use fake_calcom::{Bookable, FakeCalcom, days, failure, read};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::advance;
use vacancy_calcom::CalcomLimit;
use vacancy_slots::SlotsQuery;

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC))
}

/// What has changed since the last look, by name and outcome.
fn seen(metrics: &Snapshotter) -> BTreeMap<String, f64> {
    let mut seen = BTreeMap::new();
    for (key, _, _, value) in metrics.snapshot().into_vec() {
        let key = key.key();
        if !key.name().starts_with("calcom_") {
            continue;
        }
        let labels: String = key.labels().map(|it| format!(" {}", it.value())).collect();
        let value = match value {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            DebugValue::Histogram(values) => values.len() as f64,
        };
        if value != 0.0 {
            seen.insert(format!("{}{labels}", key.name()), value);
        }
    }
    seen
}

fn counts<const N: usize>(counts: [(&str, i32); N]) -> BTreeMap<String, f64> {
    let count = |(name, count): (&str, i32)| (name.to_owned(), count.into());
    counts.into_iter().map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn each_call_and_each_attempt_is_counted_by_its_outcome() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60));
    let source = calcom
        .builder()
        .retries(0)
        .breaker_failures(NonZeroU32::MIN)
        .breaker_rest(Duration::from_secs(30))
        .build()
        .expect("settings that can be used");

    read(&source, &wednesday()).await.expect("slots");
    failure(&source, &wednesday().resource(7)).await;
    calcom.answers(404, &[], "");
    failure(&source, &wednesday()).await;
    let expected = counts([
        ("calcom_calls_total answered", 1),
        ("calcom_calls_total refused", 1),
        ("calcom_calls_total unasked", 1),
    ]);
    assert_eq!(seen(&metrics), expected);

    calcom.answers(500, &[], "");
    failure(&source, &wednesday()).await;
    failure(&source, &wednesday()).await;
    let expected = counts([
        ("calcom_calls_total breaker_open", 1),
        ("calcom_calls_total refused", 1),
        ("calcom_breaker_opened_total", 1),
        ("calcom_breakers_open", 1),
    ]);
    assert_eq!(seen(&metrics), expected);

    advance(Duration::from_secs(30)).await;
    read(&source, &wednesday()).await.expect("slots");
    let expected = counts([
        ("calcom_calls_total answered", 1),
        ("calcom_breakers_open", -1),
    ]);
    assert_eq!(seen(&metrics), expected);

    calcom.answers(429, &[("retry-after", "20")], "");
    failure(&source, &wednesday()).await;
    failure(&source, &wednesday()).await;
    let expected = counts([
        ("calcom_calls_total rate_limited", 2),
        ("calcom_limiter_pauses_total", 1),
        ("calcom_limiter_refusals_total", 1),
    ]);
    assert_eq!(seen(&metrics), expected);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_gone_is_not_open() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let calcom = FakeCalcom::start().await;
    let source = calcom.builder().retries(0);
    let source = source.breaker_failures(NonZeroU32::MIN).build();
    let source = source.expect("settings that can be used");
    calcom.answers(500, &[], "");
    failure(&source, &wednesday()).await;
    assert_eq!(seen(&metrics)["calcom_breakers_open"], 1.0);
    drop(source);
    assert_eq!(seen(&metrics), counts([("calcom_breakers_open", -1)]));
}

#[tokio::test(start_paused = true)]
async fn only_who_waited_for_a_turn_is_measured() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let limit = CalcomLimit::per_minute(const { NonZeroU32::new(4).unwrap() });
    limit.turn(Duration::ZERO).await.expect("the first turn");
    assert_eq!(seen(&metrics), counts([]));
    let minute = Duration::from_secs(60);
    limit.turn(minute).await.expect("a turn within a minute");
    assert_eq!(seen(&metrics), counts([("calcom_limiter_wait_seconds", 1)]));
}
