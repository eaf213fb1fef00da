//! What a bus reports to the recorder of the `metrics` crate.

mod dispatch;

use std::{collections::BTreeMap, num::NonZeroU32, num::NonZeroUsize, time::Duration};

use dispatch::{Ping, within};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use vacancy::dispatch::{
    BoxError, Bus, BusBuilder, Delivery, Policy, Retry, Skip, inline_fn, listen_fn,
};

/// All series, as `name{label="value",…}`, with their values.
fn series(snapshotter: &Snapshotter) -> BTreeMap<String, DebugValue> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let series = snapshot.map(|(key, _, _, value)| {
        let labels = key.key().labels();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        (
            format!("{}{{{}}}", key.key().name(), labels.join(",")),
            value,
        )
    });
    series.collect()
}

/// Those that are not 0, without the names of the event and of the metric's crate.
fn counts(snapshotter: &Snapshotter) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    for (name, value) in series(snapshotter) {
        let name = name.replace("event=ping,", "").replace("dispatch_", "");
        let count = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(value) => value.into_inner() as u64,
            DebugValue::Histogram(times) => times.len() as u64,
        };
        if count > 0 {
            counts.push((name, count));
        }
    }
    counts
}

fn recorded(build: impl FnOnce(BusBuilder) -> BusBuilder) -> (Bus, Snapshotter, impl Drop) {
    let recorder: &DebuggingRecorder = Box::leak(Box::default());
    let guard = metrics::set_default_local_recorder(recorder);
    let bus = build(Bus::builder()).build().expect("fits together");
    (bus, recorder.snapshotter(), guard)
}

async fn each_its_own_way(number: u64) -> Result<(), BoxError> {
    match number {
        1 => Err("failed".into()),
        2 => Err(Skip.into()),
        3 => std::panic::resume_unwind(Box::new("without a message on the terminal")),
        4 => std::future::pending().await,
        _ => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn every_outcome_is_reported_by_event_listener_and_reason() {
    let (bus, snapshotter, _guard) = recorded(|bus| {
        bus.inline(inline_fn("fence", |ping: &Ping| {
            if ping.0 == 5 {
                std::panic::resume_unwind(Box::new("without a message on the terminal"));
            }
        }))
        .listen_with(
            listen_fn::<Ping, _, _>("mail", |ping| async move { each_its_own_way(ping.0).await }),
            Policy::new()
                .capacity(NonZeroUsize::new(6).expect("not zero"))
                .time_out(Duration::from_secs(5)),
        )
        .dead_letter_capacity(NonZeroUsize::new(3).expect("not zero"))
    });
    // The lanes see none of them before all are there, so the seventh finds the intake full.
    let receipts: Vec<_> = (0..7).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in receipts {
        within(receipt.settled()).await;
    }
    bus.record_metrics();
    let count = |name: &str, count| (name.to_owned(), count);
    assert_eq!(
        counts(&snapshotter),
        [
            count("accepted_total{listener=fence}", 7),
            count("accepted_total{listener=mail}", 7),
            count("capacity_events{listener=mail}", 6),
            count("dead_letters_evicted_total{}", 2),
            count("dead_letters{}", 3),
            count(
                "outcomes_total{listener=fence,outcome=dead,reason=panicked}",
                1
            ),
            count("outcomes_total{listener=fence,outcome=done,reason=none}", 6),
            count(
                "outcomes_total{listener=mail,outcome=dead,reason=failed}",
                1
            ),
            count(
                "outcomes_total{listener=mail,outcome=dead,reason=overflowed}",
                1
            ),
            count(
                "outcomes_total{listener=mail,outcome=dead,reason=panicked}",
                1
            ),
            count(
                "outcomes_total{listener=mail,outcome=dead,reason=timed_out}",
                1
            ),
            count("outcomes_total{listener=mail,outcome=done,reason=none}", 2),
            count(
                "outcomes_total{listener=mail,outcome=skipped,reason=none}",
                1
            ),
        ]
    );
}

/// A rate over a series that begins with its first event does not see that event.
#[tokio::test]
async fn a_series_is_there_before_anything_has_happened() {
    let (bus, snapshotter, _guard) =
        recorded(|bus| bus.listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) })));
    bus.record_metrics();
    let series = series(&snapshotter);
    let outcomes = series.keys().filter(|name| name.contains("outcomes_total"));
    assert_eq!(outcomes.count(), 5 + 5);
    for name in [
        "dispatch_accepted_total{event=ping,listener=mail}",
        "dispatch_waiting_events{event=ping,listener=mail}",
        "dispatch_dead_letters{}",
        "dispatch_dead_letters_evicted_total{}",
        "dispatch_refused_total{}",
        "dispatch_unheard_total{}",
        "dispatch_untold_total{}",
    ] {
        let value = series.get(name);
        assert!(
            matches!(value, Some(DebugValue::Counter(0) | DebugValue::Gauge(_))),
            "{name}: {value:?}"
        );
    }
}

#[tokio::test]
async fn a_series_is_described() {
    let (bus, snapshotter, _guard) =
        recorded(|bus| bus.listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) })));
    bus.record_metrics();
    for (key, unit, description, _) in snapshotter.snapshot().into_vec() {
        let name = key.key().name();
        assert!(unit.is_some(), "{name} has no unit");
        assert!(description.is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[tokio::test]
async fn a_replay_is_reported_as_such_and_as_one_more_event() {
    let (bus, snapshotter, _guard) = recorded(|bus| {
        bus.listen(listen_fn::<Ping, _, _>("mail", |ping| async move {
            match ping.replay_of() {
                None => Err("failed".into()),
                Some(_) => Ok(()),
            }
        }))
    });
    within(bus.dispatch(Ping(1)).settled()).await;
    let replayed = bus.replay(&bus.dead_letters()[0]).expect("it is there");
    within(replayed.settled()).await;
    bus.record_metrics();
    let count = |name: &str, count| (name.to_owned(), count);
    assert_eq!(
        counts(&snapshotter),
        [
            count("accepted_total{listener=mail}", 2),
            count("capacity_events{listener=mail}", 1024),
            count(
                "outcomes_total{listener=mail,outcome=dead,reason=failed}",
                1
            ),
            count("outcomes_total{listener=mail,outcome=done,reason=none}", 1),
            count("replayed_total{listener=mail}", 1),
        ]
    );
}

/// What does not take part has no numbers that could be looked at with worry.
#[tokio::test]
async fn a_paused_lane_is_reported_and_a_disabled_listener_is_not() {
    let (bus, snapshotter, _guard) = recorded(|bus| {
        bus.metrics()
            .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
            .listen(listen_fn::<Ping, _, _>("fax", |_| async { Ok(()) }))
            .disable("fax")
    });
    bus.pause("mail").expect("it has a lane");
    bus.record_metrics();
    let paused = "dispatch_paused_lanes{event=ping,listener=mail}";
    let series = series(&snapshotter);
    assert_eq!(series[paused], DebugValue::Gauge(1.0.into()));
    for name in series.keys() {
        assert!(!name.contains("fax"), "{name}");
    }
}

#[tokio::test]
async fn what_waits_and_runs_is_reported_until_it_has_an_outcome() {
    let (bus, snapshotter, _guard) =
        recorded(|bus| bus.listen(listen_fn::<Ping, _, _>("mail", |_| std::future::pending())));
    bus.dispatch(Ping(1));
    bus.dispatch(Ping(2));
    within(async {
        while bus.lanes()[0].running == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let now = || {
        bus.record_metrics();
        let counts = counts(&snapshotter).into_iter().collect::<BTreeMap<_, _>>();
        [
            "waiting_events{listener=mail}",
            "running_events{listener=mail}",
        ]
        .map(|name| counts.get(name).copied())
    };
    assert_eq!(now(), [Some(2), Some(1)]);
    within(bus.shutdown(Duration::ZERO)).await;
    assert_eq!(now(), [None, None]);
}

#[tokio::test]
async fn what_nobody_hears_and_what_a_closed_bus_refuses_is_reported() {
    let (bus, snapshotter, _guard) = recorded(|bus| bus);
    bus.dispatch(Ping(1));
    within(bus.shutdown(Duration::ZERO)).await;
    bus.dispatch(Ping(2));
    bus.dispatch(Ping(3));
    bus.record_metrics();
    assert_eq!(
        counts(&snapshotter),
        [
            ("refused_total{}".to_owned(), 2),
            ("unheard_total{}".to_owned(), 1)
        ]
    );
}

/// Fails until the third attempt; each attempt takes a second.
async fn third_time_lucky() -> Result<(), BoxError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    match Delivery::current().map_or(0, |delivery| delivery.attempt()) {
        3 => Ok(()),
        _ => Err("busy".into()),
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_timed_without_the_pauses_between_them() {
    let retry = Retry::new(NonZeroU32::MIN.saturating_add(2));
    let (bus, snapshotter, _guard) = recorded(|bus| {
        bus.metrics()
            .inline(inline_fn("fence", |_: &Ping| ()))
            .listen_with(
                listen_fn::<Ping, _, _>("mail", |_| third_time_lucky()),
                Policy::new().retry(retry),
            )
    });
    assert!(within(bus.dispatch(Ping(1)).settled()).await.all_done());
    let mut series = series(&snapshotter);
    let mut times = |name: &str| match series.remove(name) {
        Some(DebugValue::Histogram(times)) => {
            times.into_iter().map(|time| time.into_inner()).collect()
        }
        _ => vec![],
    };
    let calls = times("dispatch_handling_seconds{event=ping,listener=mail}");
    assert_eq!(calls, [1.0, 1.0, 1.0]);
    assert_eq!(
        times("dispatch_handling_seconds{event=ping,listener=fence}").len(),
        1
    );
    assert_eq!(
        times("dispatch_lag_seconds{event=ping,listener=mail}").len(),
        1
    );
    assert!(times("dispatch_lag_seconds{event=ping,listener=fence}").is_empty());
    let retries = series.get("dispatch_retries_total{event=ping,listener=mail}");
    assert_eq!(retries, Some(&DebugValue::Counter(2)));
}

/// An event that is abandoned or never started leaves nothing behind that is still timed.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_off_is_timed_and_one_that_never_began_is_not() {
    let (bus, snapshotter, _guard) = recorded(|bus| {
        bus.metrics()
            .listen(listen_fn::<Ping, _, _>("mail", |_| std::future::pending()))
    });
    bus.dispatch(Ping(1));
    bus.dispatch(Ping(2));
    within(bus.shutdown(Duration::from_secs(7))).await;
    let series = series(&snapshotter);
    let calls = series.get("dispatch_handling_seconds{event=ping,listener=mail}");
    assert_eq!(calls, Some(&DebugValue::Histogram(vec![7.0.into()])));
}

#[tokio::test]
async fn nothing_is_timed_unless_it_was_asked_for() {
    let (bus, snapshotter, _guard) =
        recorded(|bus| bus.listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) })));
    within(bus.dispatch(Ping(1)).settled()).await;
    bus.record_metrics();
    for name in series(&snapshotter).keys() {
        assert!(
            !name.contains("_seconds") && !name.contains("retries"),
            "{name}"
        );
    }
}
