//! Listeners that are paused at run time, and those that take no part at all.

mod dispatch;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::sync::Semaphore;
use vacancy::dispatch::{
    BuildError, Bus, Event, Listener, Outcome, PauseError, Policy, Reason, inline_fn, listen_fn,
};

struct Pong;

impl Event for Pong {
    const NAME: &'static str = "pong";
}

fn counting<E: Event>(name: &'static str, calls: &Arc<AtomicU64>) -> impl Listener<E> {
    let calls = Arc::clone(calls);
    listen_fn::<E, _, _>(name, move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    })
}

#[tokio::test]
async fn a_paused_listener_is_not_called_and_misses_nothing() {
    let calls = Arc::new(AtomicU64::new(0));
    let bus = Bus::builder()
        .listen(counting::<Ping>("mail", &calls))
        .listen(counting::<Pong>("mail", &calls))
        .listen(listen_fn::<Ping, _, _>("other", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    assert_eq!(bus.pause("mail"), Ok(2));
    let receipts: Vec<_> = (0..10).map(|number| bus.dispatch(Ping(number))).collect();
    let pong = bus.dispatch(Pong);
    for receipt in &receipts {
        assert_eq!(within(receipt.reached("other")).await, Ok(Outcome::Done));
    }
    // The other lane has them all, so this one has been given them all.
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let lane = &bus.lanes()[0];
    assert_eq!((&*lane.listener, lane.event), ("mail", "ping"));
    assert_eq!((lane.waiting, lane.running, lane.paused), (10, 0, true));

    assert_eq!(bus.resume("mail"), Ok(2));
    for receipt in receipts.iter().chain([&pong]) {
        assert!(within(receipt.settled()).await.all_done());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 11);
    assert!(!bus.lanes()[0].paused);
    // A second resume, and events after it, are nothing special.
    assert_eq!(bus.resume("mail"), Ok(2));
    assert!(within(bus.dispatch(Ping(1)).settled()).await.all_done());
}

/// Events come to a lane in runs; what has begun ends, and the rest of the run waits.
#[tokio::test]
async fn a_pause_in_the_midst_of_a_run_holds_back_the_rest_of_it() {
    let (calls, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let (counts, waits) = (Arc::clone(&calls), Arc::clone(&gate));
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("mail", move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
            let waits = Arc::clone(&waits);
            async move {
                waits.acquire().await?.forget();
                Ok(())
            }
        }))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..3).map(|number| bus.dispatch(Ping(number))).collect();
    while calls.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    bus.pause("mail").expect("is a listener");
    gate.add_permits(3);
    assert!(within(receipts[0].settled()).await.all_done());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let lane = &bus.lanes()[0];
    assert_eq!((lane.waiting, lane.running), (2, 0));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    bus.resume("mail").expect("is a listener");
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_paused_lane_overflows_as_its_policy_says() {
    let calls = Arc::new(AtomicU64::new(0));
    let policy = Policy::new().capacity(NonZeroUsize::MIN);
    let bus = Bus::builder()
        .listen_with(counting::<Ping>("mail", &calls), policy)
        .build()
        .expect("fits together");
    bus.pause("mail").expect("is a listener");
    let first = bus.dispatch(Ping(1));
    while bus.lanes()[0].waiting == 0 {
        tokio::task::yield_now().await;
    }
    let second = bus.dispatch(Ping(2));
    assert_eq!(
        within(second.reached("mail")).await,
        Ok(Outcome::Dead(Reason::Overflowed))
    );
    assert_eq!(first.outcome("mail"), Ok(None));
}

/// A bus with one listener of one worker, and one with one of several, both paused.
fn paused(calls: &Arc<AtomicU64>) -> [Bus; 2] {
    [1, 2].map(|workers| {
        let workers = NonZeroUsize::new(workers).expect("not zero");
        let bus = Bus::builder()
            .listen_with(
                counting::<Ping>("mail", calls),
                Policy::new().concurrency(workers),
            )
            .build()
            .expect("fits together");
        bus.pause("mail").expect("is a listener");
        bus
    })
}

#[tokio::test]
async fn several_workers_go_on_once_they_are_resumed() {
    let calls = Arc::new(AtomicU64::new(0));
    let [_, bus] = paused(&calls);
    let receipts: Vec<_> = (0..5).map(|number| bus.dispatch(Ping(number))).collect();
    while bus.lanes()[0].waiting < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    bus.resume("mail").expect("is a listener");
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
}

/// Whoever paused it had a reason; a shutdown does not know better.
#[tokio::test(start_paused = true)]
async fn a_shutdown_abandons_what_waits_in_a_paused_lane_and_names_it() {
    let calls = Arc::new(AtomicU64::new(0));
    for bus in paused(&calls) {
        let receipt = bus.dispatch(Ping(1));
        let report = within(bus.shutdown(Duration::from_secs(1))).await;
        assert_eq!(report.abandoned.len(), 1);
        assert_eq!(report.abandoned[0].id, receipt.id());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_paused_lane_that_is_empty() {
    let calls = Arc::new(AtomicU64::new(0));
    for bus in paused(&calls) {
        let begun = tokio::time::Instant::now();
        assert!(bus.shutdown(Duration::from_secs(60)).await.is_drained());
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_listener_resumed_during_a_shutdown_is_drained() {
    let calls = Arc::new(AtomicU64::new(0));
    for bus in paused(&calls) {
        bus.dispatch(Ping(1));
        let resume = async {
            while bus.lanes()[0].waiting == 0 {
                tokio::task::yield_now().await;
            }
            bus.resume("mail")
        };
        let (report, resumed) = tokio::join!(within(bus.shutdown(Duration::from_secs(60))), resume);
        assert_eq!(resumed, Ok(1));
        assert!(report.is_drained());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_has_no_lane_cannot_be_paused() {
    let calls = Arc::new(AtomicU64::new(0));
    let bus = Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen(counting::<Ping>("mail", &calls))
        .disable("mail")
        .build()
        .expect("fits together");
    let refused = ["nobody", "fence", "mail"].map(|name| bus.pause(name));
    assert_eq!(
        refused,
        [
            Err(PauseError::NoSuchListener("nobody".into())),
            Err(PauseError::Inline("fence".into())),
            Err(PauseError::Disabled("mail".into())),
        ]
    );
}

#[tokio::test]
async fn a_disabled_listener_takes_no_part_and_is_shown_as_such() {
    let calls = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&calls);
    let bus = Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
        }))
        .listen(counting::<Ping>("mail", &calls))
        .listen(counting::<Pong>("mail", &calls))
        .listen(listen_fn::<Ping, _, _>("other", |_| async { Ok(()) }))
        .disable("mail")
        .disable("fence")
        .build()
        .expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    let outcomes: Vec<_> = report.outcomes().collect();
    assert_eq!(outcomes, [("other", Outcome::Done)]);
    // All its listeners are disabled, so nobody hears it.
    let unheard = within(bus.dispatch(Pong).settled()).await;
    assert_eq!(unheard.outcomes().count(), 0);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let topology = bus.topology();
    let enabled: Vec<_> = topology
        .rows()
        .iter()
        .map(|row| (row.event, row.listener.as_deref(), row.enabled))
        .collect();
    assert_eq!(
        enabled,
        [
            ("ping", Some("fence"), false),
            ("ping", Some("mail"), false),
            ("ping", Some("other"), true),
            ("pong", Some("mail"), false),
        ]
    );
    assert_eq!(bus.ledger().entries.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_disabled_is_found_when_the_bus_is_built() {
    let calls = Arc::new(AtomicU64::new(0));
    let listening = || Bus::builder().listen(counting::<Ping>("mail", &calls));
    let unknown = listening().disable("male").build().expect_err("a mistake");
    assert!(matches!(unknown, BuildError::NothingToDisable { .. }));
    let required = listening()
        .require::<Ping>("mail")
        .disable("mail")
        .build()
        .expect_err("a contradiction");
    assert_eq!(
        required.to_string(),
        "ping requires mail, which is disabled"
    );
}
