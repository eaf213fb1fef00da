//! A listener cannot hurt the publisher or another listener (D1, D4, D10).

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
use tokio::{sync::Semaphore, task::coop::consume_budget};
use vacancy::dispatch::{
    BoxError, Bus, BusBuilder, Envelope, Event, Listener, Outcome, Policy, Reason, Receipt,
    inline_fn, listen_fn, testing::Gate,
};

const EVENTS: u64 = 20;

/// Counts what it handled, in order.
#[derive(Clone, Default)]
struct Healthy(Arc<Mutex<Vec<u64>>>);

impl Listener<Ping> for Healthy {
    async fn handle(&self, ping: &Ping) -> Result<(), BoxError> {
        self.0.lock().expect("not poisoned").push(ping.0);
        Ok(())
    }
}

/// Builds a bus where `Healthy` listens before and after the listeners that `add` adds, dispatches,
/// and checks that both healthy ones handled everything while the others were at their worst.
async fn siblings_are_untouched(add: impl FnOnce(BusBuilder) -> BusBuilder) -> (Bus, Vec<Receipt>) {
    struct Second(Healthy);
    impl Listener<Ping> for Second {
        async fn handle(&self, ping: &Ping) -> Result<(), BoxError> {
            self.0.handle(ping).await
        }
    }

    let (first, second) = (Healthy::default(), Healthy::default());
    let builder = add(Bus::builder().listen(first.clone())).listen(Second(second.clone()));
    let bus = builder.build().expect("the listeners fit together");
    let receipts: Vec<Receipt> = (0..EVENTS)
        .map(|number| bus.dispatch(Ping(number)))
        .collect();
    for receipt in &receipts {
        for listener in ["Healthy", "Second"] {
            assert_eq!(within(receipt.reached(listener)).await, Ok(Outcome::Done));
        }
    }
    let all: Vec<u64> = (0..EVENTS).collect();
    assert_eq!(*first.0.lock().expect("not poisoned"), all);
    assert_eq!(*second.0.lock().expect("not poisoned"), all);
    (bus, receipts)
}

/// D4.
#[tokio::test]
async fn a_listener_that_hangs_leaves_its_siblings_untouched() {
    let hang = listen_fn::<Ping, _, _>("hang", |_| std::future::pending());
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen(hang)).await;
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome("hang") == Ok(None))
    );
}

/// D4, D10: in every peer that we measured, a listener that panics once never hears an event again.
#[tokio::test]
async fn a_listener_that_panics_hears_the_next_event() {
    let panics = listen_fn::<Ping, _, _>("panics", |ping: Arc<Envelope<Ping>>| async move {
        assert!(ping.0.is_multiple_of(2), "odd");
        Ok(())
    });
    let (bus, receipts) = siblings_are_untouched(|bus| bus.listen(panics)).await;
    for (number, receipt) in receipts.iter().enumerate() {
        let expected = if number % 2 == 0 {
            Outcome::Done
        } else {
            Outcome::Dead(Reason::Panicked)
        };
        assert_eq!(within(receipt.reached("panics")).await, Ok(expected));
    }
    let letters = bus.dead_letters();
    assert_eq!(letters.len() as u64, EVENTS / 2);
    assert!(letters.iter().all(|letter| letter.error() == "odd"));
}

/// D10: what a panic carries may panic in its turn.
#[tokio::test]
async fn a_panic_whose_payload_panics_when_dropped_is_caught() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let panics = listen_fn::<Ping, _, std::future::Ready<_>>("panics", |_| {
        std::panic::resume_unwind(Box::new(PanicsOnDrop))
    });
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen(panics)).await;
    for receipt in &receipts {
        let outcome = within(receipt.reached("panics")).await;
        assert_eq!(outcome, Ok(Outcome::Dead(Reason::Panicked)));
    }
}

/// D10: neither building the future nor dropping it is exempt.
#[tokio::test]
async fn a_panic_while_building_or_dropping_the_future_is_caught() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let building = listen_fn::<Ping, _, std::future::Ready<_>>("building", |_| panic!("built"));
    // A future that is still pending at its time-out is dropped by the lane.
    let dropping = listen_fn::<Ping, _, _>("dropping", |_| async {
        let _bomb = PanicsOnDrop;
        std::future::pending().await
    });
    let policy = Policy::new().time_out(Duration::from_millis(1));
    let (_bus, receipts) =
        siblings_are_untouched(|bus| bus.listen(building).listen_with(dropping, policy)).await;
    for receipt in &receipts {
        assert_eq!(
            within(receipt.reached("building")).await,
            Ok(Outcome::Dead(Reason::Panicked))
        );
        assert_eq!(
            within(receipt.reached("dropping")).await,
            Ok(Outcome::Dead(Reason::TimedOut))
        );
    }
}

/// D4, D6.
#[tokio::test]
async fn a_lane_that_overflows_leaves_its_siblings_untouched() {
    let hang = listen_fn::<Ping, _, _>("hang", |_| std::future::pending());
    let policy = Policy::new().capacity(NonZeroUsize::MIN);
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen_with(hang, policy)).await;
    let overflowed = Ok(Some(Outcome::Dead(Reason::Overflowed)));
    assert_eq!(receipts[EVENTS as usize - 1].outcome("hang"), overflowed);
}

/// D4.
#[tokio::test]
async fn a_slow_listener_delays_nobody_and_misses_nothing() {
    let gate = Gate::new();
    let waits = gate.clone();
    let slow = listen_fn::<Ping, _, _>("slow", move |_| {
        let gate = waits.clone();
        async move {
            gate.pass().await;
            Ok(())
        }
    });
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen(slow)).await;
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome("slow") == Ok(None))
    );
    gate.open();
    for receipt in &receipts {
        assert_eq!(within(receipt.reached("slow")).await, Ok(Outcome::Done));
    }
}

/// D4: code that blocks its thread costs one thread of the runtime and no sibling.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_listener_that_blocks_its_thread_leaves_its_siblings_untouched() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let blocks = listen_fn::<Ping, _, _>("blocks", move |_| {
        let _ = blocked
            .lock()
            .expect("not poisoned")
            .recv_timeout(Duration::from_secs(20));
        std::future::ready(Ok(()))
    });
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen(blocks)).await;
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome("blocks") == Ok(None))
    );
    drop(release);
    for receipt in &receipts {
        assert_eq!(within(receipt.reached("blocks")).await, Ok(Outcome::Done));
    }
}

/// D1.
#[tokio::test]
async fn dispatch_survives_an_inline_listener_that_panics() {
    let ran = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ran);
    let bus = Bus::builder()
        .inline(inline_fn("panics", |_: &Ping| panic!("inline")))
        .inline(inline_fn("counts", move |_: &Ping| {
            counted.fetch_add(1, Ordering::Relaxed);
        }))
        .listen(Healthy::default())
        .build()
        .expect("the listeners fit together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    assert_eq!(
        report.outcome("panics"),
        Some(Outcome::Dead(Reason::Panicked))
    );
    assert_eq!(report.outcome("counts"), Some(Outcome::Done));
    assert_eq!(report.outcome("Healthy"), Some(Outcome::Done));
    assert!(bus.ledger().balanced());
}

/// D4: a key function is the application's code too, and runs on the router.
#[tokio::test]
async fn a_key_function_that_panics_hurts_its_own_lane_only() {
    let keyed = listen_fn::<Ping, _, _>("keyed", |_| async { Ok(()) });
    let policy = Policy::new().ordered_by(|ping: &Ping| {
        assert!(ping.0 != 3, "no key");
        ping.0
    });
    let (_bus, receipts) = siblings_are_untouched(|bus| bus.listen_with(keyed, policy)).await;
    assert_eq!(
        within(receipts[3].reached("keyed")).await,
        Ok(Outcome::Dead(Reason::Panicked))
    );
    assert_eq!(
        within(receipts[4].reached("keyed")).await,
        Ok(Outcome::Done)
    );
}

/// D1: an event is the application's code too, and dies wherever it is let go last.
#[tokio::test]
async fn an_event_that_panics_when_dropped_ends_no_lane() {
    struct Bomb;
    impl Event for Bomb {
        const NAME: &'static str = "bomb";
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let handled = Arc::new(Semaphore::new(0));
    let count = Arc::clone(&handled);
    let bus = Bus::builder()
        .listen(listen_fn::<Bomb, _, _>("counts", move |bomb| {
            // The worker and the router still hold it, so it goes off on one of their tasks.
            drop(bomb);
            count.add_permits(1);
            std::future::ready(Ok(()))
        }))
        .listen(listen_fn::<Ping, _, _>("other", |_| async { Ok(()) }))
        .build()
        .expect("the listeners fit together");
    for _ in 0..3 {
        drop(bus.dispatch(Bomb));
        within(handled.acquire())
            .await
            .expect("never closed")
            .forget();
    }
}

/// D4: listeners that were quick until now are called in one task, and even there none of them holds up
/// the others.
/// It never waits, but lets tokio make it yield, as whoever reads from a full channel does. On one thread nobody else
/// could stop it.
#[tokio::test]
async fn a_listener_that_is_greedy_after_having_been_quick_times_out_beside_its_siblings() {
    const GREEDY_AT: u64 = 300;
    let greedy = |ping: Arc<Envelope<Ping>>| async move {
        if ping.0 == GREEDY_AT {
            loop {
                consume_budget().await;
            }
        }
        Ok(())
    };
    let bus = Bus::builder()
        .listen_with(
            listen_fn::<Ping, _, _>("greedy", greedy),
            Policy::new().time_out(Duration::from_millis(50)),
        )
        .listen(Healthy::default())
        .build()
        .expect("the listeners fit together");
    // Long enough to be called in the router's task.
    for number in 0..GREEDY_AT {
        assert!(
            within(bus.dispatch(Ping(number)).settled())
                .await
                .all_done()
        );
    }
    let receipts = [GREEDY_AT, GREEDY_AT + 1].map(|number| bus.dispatch(Ping(number)));
    for receipt in &receipts {
        assert_eq!(within(receipt.reached("Healthy")).await, Ok(Outcome::Done));
        assert_eq!(receipt.outcome("greedy"), Ok(None), "it is at it");
    }
    let timed_out = Ok(Outcome::Dead(Reason::TimedOut));
    assert_eq!(within(receipts[0].reached("greedy")).await, timed_out);
    assert!(within(receipts[1].settled()).await.all_done());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn listeners_that_block_after_having_been_quick_leave_their_siblings_untouched() {
    const QUICK: u64 = 200;
    const BLOCKED: u64 = QUICK;
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let blocks = |name: &'static str| {
        let blocked = Arc::clone(&blocked);
        listen_fn::<Ping, _, _>(name, move |ping| {
            if ping.0 == BLOCKED {
                // Until the sender is dropped; the second one waits for the lock.
                let _ = blocked.lock().expect("not poisoned").recv();
            }
            std::future::ready(Ok(()))
        })
    };
    let healthy = Healthy::default();
    let bus = Bus::builder()
        .listen(blocks("first"))
        .listen(blocks("second"))
        .listen(healthy.clone())
        .build()
        .expect("the listeners fit together");
    for number in 0..QUICK {
        let report = within(bus.dispatch(Ping(number)).settled()).await;
        assert_eq!(report.outcome("first"), Some(Outcome::Done));
    }
    // One by one, so that each has to be routed while two threads are blocked.
    let mut receipts = Vec::new();
    for number in BLOCKED..BLOCKED + EVENTS {
        let receipt = bus.dispatch(Ping(number));
        assert_eq!(within(receipt.reached("Healthy")).await, Ok(Outcome::Done));
        receipts.push(receipt);
    }
    for receipt in &receipts {
        assert_eq!(receipt.outcome("first"), Ok(None));
        assert_eq!(receipt.outcome("second"), Ok(None));
    }
    drop(release);
    for receipt in &receipts {
        let report = within(receipt.settled()).await;
        assert_eq!(report.outcome("first"), Some(Outcome::Done));
        assert_eq!(report.outcome("second"), Some(Outcome::Done));
    }
    let all: Vec<u64> = (0..BLOCKED + EVENTS).collect();
    assert_eq!(*healthy.0.lock().expect("not poisoned"), all);
    assert!(
        within(bus.shutdown(Duration::from_secs(20)))
            .await
            .abandoned
            .is_empty()
    );
}
