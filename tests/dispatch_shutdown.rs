//! Shutdown finishes what was accepted, or names exactly what it abandoned (D7).

mod dispatch;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::Instant,
};
use vacancy::dispatch::{
    Abandoned, BoxError, Bus, Envelope, Event, Listener, Outcome, Policy, Report, Unreachable,
    inline_fn, listen_fn,
    testing::{Fake, Gate, TestBus},
};

/// How many tasks the runtime of the test has.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn named(abandoned: &[Abandoned]) -> Vec<(&str, u64)> {
    abandoned
        .iter()
        .map(|one| (&*one.listener, one.id.sequence()))
        .collect()
}

/// D7: paused time shows that nobody waited for the deadline.
#[tokio::test(start_paused = true)]
async fn a_drain_that_is_done_does_not_wait_for_its_deadline() {
    let handled = Arc::new(AtomicU64::new(0));
    let handles = Arc::clone(&handled);
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("counts", move |_| {
            let handles = Arc::clone(&handles);
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                handles.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }))
        .build()
        .expect("fits together");
    for number in 0..100 {
        bus.dispatch(Ping(number));
    }
    let begun = Instant::now();
    let report = bus.shutdown(Duration::from_secs(3600)).await;
    assert!(report.is_drained());
    assert_eq!(handled.load(Ordering::Relaxed), 100);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(bus.ledger().balanced());
}

/// D7: the one being handled and those that wait, at the listener that hangs and at no other.
#[tokio::test(start_paused = true)]
async fn shutdown_names_exactly_what_it_abandoned() {
    let hung = Arc::new(Notify::new());
    let hangs = Arc::clone(&hung);
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>(
            "hangs",
            move |ping: Arc<Envelope<Ping>>| {
                let hangs = Arc::clone(&hangs);
                async move {
                    if ping.0 >= 2 {
                        hangs.notify_one();
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                }
            },
        ))
        .listen(listen_fn::<Ping, _, _>("healthy", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..5).map(|number| bus.dispatch(Ping(number))).collect();
    within(hung.notified()).await;
    let report = bus.shutdown(Duration::from_secs(1)).await;
    let expected: Vec<_> = receipts[2..]
        .iter()
        .map(|receipt| ("hangs", receipt.id().sequence()))
        .collect();
    assert_eq!(named(&report.abandoned), expected);
    assert!(!report.is_drained());
    for (number, receipt) in receipts.iter().enumerate() {
        let outcomes = within(receipt.settled()).await;
        let at_hangs = if number < 2 {
            Outcome::Done
        } else {
            Outcome::Abandoned
        };
        assert_eq!(outcomes.outcome("hangs"), Some(at_hangs));
        assert_eq!(outcomes.outcome("healthy"), Some(Outcome::Done));
        assert_eq!(outcomes.all_done(), number < 2);
    }
    assert!(bus.ledger().balanced());
    assert_eq!(bus.ledger().totals().abandoned, 3);
    // Idempotent.
    assert_eq!(bus.shutdown(Duration::ZERO).await, report);
}

/// One for the event, one for each worker; on several threads one more for the watch, if there is anything to watch.
#[test]
fn a_bus_owns_the_tasks_that_it_says() {
    let several = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let single = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    for (runtime, watches) in [(several, 1), (single, 0)] {
        let runtime = runtime.expect("a runtime can be made here");
        let tasks = || runtime.metrics().num_alive_tasks();
        let _entered = runtime.enter();
        let fence = inline_fn::<Ping, _>("fence", |_| ());
        let inline = Bus::builder().inline(fence).build();
        assert_eq!(tasks(), 0);
        let three = NonZeroUsize::new(3).expect("not zero");
        let mail = listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) });
        let lane = Bus::builder()
            .listen_with(mail, Policy::new().concurrency(three))
            .build();
        assert_eq!(tasks(), 1 + 3 + watches);
        drop((inline, lane));
    }
}

/// D7: that of the watch, which is there on several threads only, among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_is_left_after_a_shutdown() {
    let before = tasks();
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("healthy", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    bus.dispatch(Ping(1));
    assert!(tasks() > before);
    assert!(
        within(bus.shutdown(Duration::from_secs(60)))
            .await
            .is_drained()
    );
    within(async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// D7, D4: a thread that is blocked cannot be stopped, and does not stop the shutdown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_returns_while_a_listener_blocks_its_thread() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let entered = Arc::new(Semaphore::new(0));
    let enters = Arc::clone(&entered);
    let left = Arc::new(Semaphore::new(0));
    let leaves = Arc::clone(&left);
    let before = tasks();
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("blocks", move |_| {
            enters.add_permits(1);
            let _ = blocked
                .lock()
                .expect("not poisoned")
                .recv_timeout(Duration::from_secs(20));
            leaves.add_permits(1);
            std::future::ready(Ok(()))
        }))
        .build()
        .expect("fits together");
    let receipts = [bus.dispatch(Ping(0)), bus.dispatch(Ping(1))];
    within(entered.acquire())
        .await
        .expect("never closed")
        .forget();
    let report = within(bus.shutdown(Duration::from_millis(50))).await;
    assert_eq!(report.abandoned.len(), 2);
    assert_eq!(
        left.available_permits(),
        0,
        "shutdown waited for the blocked thread"
    );
    // The first to settle wins: that the listener ends after all changes no outcome.
    drop(release);
    within(left.acquire()).await.expect("never closed").forget();
    for receipt in &receipts {
        assert_eq!(
            within(receipt.reached("blocks")).await,
            Ok(Outcome::Abandoned)
        );
    }
    within(async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(bus.ledger().balanced());
    assert_eq!(bus.ledger().totals().done, 0);
}

/// D7: accepted, and given to no lane yet.
#[test]
fn what_waits_for_the_router_when_the_runtime_ends_is_abandoned() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be made here");
    let (bus, receipts) = runtime.block_on(async {
        let bus = Bus::builder()
            .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
            .build()
            .expect("fits together");
        let receipts: Vec<_> = (0..3).map(|number| bus.dispatch(Ping(number))).collect();
        (bus, receipts)
    });
    drop(runtime);
    for receipt in &receipts {
        assert_eq!(receipt.outcome("mail"), Ok(Some(Outcome::Abandoned)));
    }
    assert_eq!(bus.ledger().totals().abandoned, 3);
    assert!(bus.ledger().balanced());
}

/// D7.
#[tokio::test]
async fn a_dispatch_after_close_gives_a_closed_receipt_and_is_counted() {
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("lane", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    within(bus.shutdown(Duration::from_secs(5))).await;
    let receipt = bus.dispatch(Ping(1));
    assert_eq!(within(receipt.settled()).await, Report::Closed);
    assert_eq!(
        within(receipt.reached("lane")).await,
        Err(Unreachable::Closed)
    );
    assert_eq!(receipt.outcome("lane"), Err(Unreachable::Closed));

    struct Unknown;
    impl Event for Unknown {
        const NAME: &'static str = "unknown";
    }
    assert_eq!(
        within(bus.dispatch(Unknown).settled()).await,
        Report::Closed
    );
    assert_eq!(bus.ledger().refused, 2);
    assert_eq!(
        bus.ledger()
            .entry("ping", "lane")
            .map(|entry| entry.accepted),
        Some(0)
    );
}

/// D7: a shutdown that is given up has closed the bus, and can be taken up again.
#[tokio::test(start_paused = true)]
async fn a_cancelled_shutdown_can_be_taken_up_again() {
    let gate = Gate::new();
    let gated = listen_fn::<Ping, _, _>("gated", |_| async { Ok(()) });
    let bus = TestBus::of(Bus::builder().listen(gated))
        .fake("gated", Fake::gated(&gate))
        .build();
    let receipt = bus.dispatch(Ping(1));
    let given_up = bus.shutdown(Duration::from_secs(10));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), given_up)
            .await
            .is_err()
    );
    assert!(within(bus.dispatch(Ping(2)).settled()).await.is_closed());
    gate.release();
    assert!(
        within(bus.shutdown(Duration::from_secs(10)))
            .await
            .is_drained()
    );
    assert!(within(receipt.settled()).await.all_done());
}

/// D7: the last handle closes the bus; what was accepted is delivered, and the tasks end.
#[tokio::test]
async fn dropping_the_last_handle_delivers_what_was_accepted_and_ends_the_tasks() {
    struct Counts(Arc<AtomicU64>);
    impl Listener<Ping> for Counts {
        async fn handle(&self, _: &Ping) -> Result<(), BoxError> {
            tokio::task::yield_now().await;
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    struct Ends(Arc<Notify>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let handled = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(Notify::new());
    // Held by the listener, which is held by its worker.
    let ends = Ends(Arc::clone(&ended));
    let bus = Bus::builder()
        .listen(Counts(Arc::clone(&handled)))
        .listen(listen_fn::<Ping, _, _>("ends", move |_| {
            let _ = &ends;
            async { Ok(()) }
        }))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..50)
        .map(|number| bus.clone().dispatch(Ping(number)))
        .collect();
    drop(bus);
    for receipt in receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    within(ended.notified()).await;
    assert_eq!(handled.load(Ordering::Relaxed), 50);
}

/// D7, D1: the runtime may end before the bus. Nothing panics, and nobody waits for ever.
#[test]
fn the_end_of_the_runtime_settles_everything() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    let first = runtime().expect("a runtime");
    let (bus, accepted) = first.block_on(async {
        let bus = Bus::builder()
            .listen(listen_fn::<Ping, _, _>("hangs", |_| std::future::pending()))
            .build()
            .expect("fits together");
        let accepted: Vec<_> = (0..10).map(|number| bus.dispatch(Ping(number))).collect();
        (bus, accepted)
    });
    first.shutdown_background();
    let second = runtime().expect("a runtime");
    second.block_on(async {
        for receipt in &accepted {
            let report = within(receipt.settled()).await;
            assert_eq!(report.outcome("hangs"), Some(Outcome::Abandoned));
        }
        // The tasks of the first runtime go one after the other: an event may still find the last of them.
        let closed = async {
            loop {
                let report = bus.dispatch(Ping(11)).settled().await;
                if report.is_closed() {
                    break;
                }
                assert_eq!(report.outcome("hangs"), Some(Outcome::Abandoned));
            }
        };
        within(closed).await;
        assert!(bus.ledger().balanced());
        within(bus.shutdown(Duration::from_secs(1))).await;
    });
}

/// What a listener holds, a connection or a lock, is free again when the shutdown says so.
#[tokio::test(start_paused = true)]
async fn an_abandoned_listener_has_let_go_when_shutdown_returns() {
    let (held, hung) = (Arc::new(()), Arc::new(Notify::new()));
    let (holds, hangs) = (Arc::downgrade(&held), Arc::clone(&hung));
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("hangs", move |_| {
            let (held, hangs) = (holds.upgrade(), Arc::clone(&hangs));
            async move {
                let _held = held;
                hangs.notify_one();
                std::future::pending().await
            }
        }))
        .build()
        .expect("fits together");
    bus.dispatch(Ping(0));
    within(hung.notified()).await;
    assert_eq!(Arc::strong_count(&held), 2);
    let report = bus.shutdown(Duration::from_secs(1)).await;
    assert_eq!(named(&report.abandoned).len(), 1);
    assert_eq!(Arc::strong_count(&held), 1);
}
