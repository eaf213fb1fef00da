//! A lane keeps order: that of dispatch with one worker, per key with several (D5).

mod dispatch;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use dispatch::{Ping, within};
use vacancy::dispatch::{Bus, Envelope, Policy, listen_fn, testing::Gate};

/// D5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_handles_events_in_the_order_of_dispatch() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>(
            "sees",
            move |ping: Arc<Envelope<Ping>>| {
                let sees = Arc::clone(&sees);
                async move {
                    if ping.0.is_multiple_of(3) {
                        tokio::task::yield_now().await;
                    }
                    sees.lock().expect("not poisoned").push(ping.0);
                    Ok(())
                }
            },
        ))
        .build()
        .expect("the listeners fit together");
    for burst in 0..50 {
        let receipts: Vec<_> = (0..100)
            .map(|n| bus.dispatch(Ping(burst * 100 + n)))
            .collect();
        within(receipts[99].settled()).await;
    }
    assert!(
        seen.lock()
            .expect("not poisoned")
            .iter()
            .copied()
            .eq(0..5000)
    );
}

/// D5: several workers, no two at one key, and order within each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_keep_the_order_of_each_key() {
    const KEYS: u64 = 7;
    let seen = Arc::new(Mutex::new(HashMap::<u64, Vec<u64>>::new()));
    let busy: Arc<Vec<AtomicUsize>> = Arc::new((0..KEYS).map(|_| AtomicUsize::new(0)).collect());
    let most = Arc::new(AtomicUsize::new(0));
    let (sees, now, peak) = (Arc::clone(&seen), Arc::clone(&busy), Arc::clone(&most));
    let listener = listen_fn::<Ping, _, _>("sees", move |ping: Arc<Envelope<Ping>>| {
        let (sees, busy, most) = (Arc::clone(&sees), Arc::clone(&now), Arc::clone(&peak));
        async move {
            let key = ping.0 % KEYS;
            assert_eq!(
                busy[key as usize].fetch_add(1, Ordering::SeqCst),
                0,
                "two at one key"
            );
            let at_once = busy.iter().map(|busy| busy.load(Ordering::SeqCst)).sum();
            most.fetch_max(at_once, Ordering::SeqCst);
            for _ in 0..ping.0 % 4 {
                tokio::task::yield_now().await;
            }
            sees.lock()
                .expect("not poisoned")
                .entry(key)
                .or_default()
                .push(ping.0);
            busy[key as usize].fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let policy = Policy::new()
        .concurrency(NonZeroUsize::new(4).expect("not zero"))
        .ordered_by(|ping: &Ping| ping.0 % KEYS);
    let bus = Bus::builder()
        .listen_with(listener, policy)
        .build()
        .expect("fits together");
    for burst in 0..10 {
        let receipts: Vec<_> = (0..500)
            .map(|n| bus.dispatch(Ping(burst * 500 + n)))
            .collect();
        for receipt in receipts {
            assert!(within(receipt.settled()).await.all_done());
        }
    }
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 5000);
    assert!(seen.values().all(|numbers| numbers.is_sorted()));
    assert!(
        most.load(Ordering::SeqCst) > 1,
        "the workers never worked at once"
    );
}

/// Nothing is said about their order, and nothing need be: the one does not wait for the other.
#[tokio::test]
async fn several_workers_without_keys_handle_events_at_once() {
    let gate = Gate::new();
    let waits = gate.clone();
    let listener = listen_fn::<Ping, _, _>("gated", move |_| {
        let gate = waits.clone();
        async move {
            gate.pass().await;
            Ok(())
        }
    });
    let policy = Policy::new().concurrency(NonZeroUsize::new(3).expect("not zero"));
    let bus = Bus::builder()
        .listen_with(listener, policy)
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..4).map(|number| bus.dispatch(Ping(number))).collect();
    for _ in 0..3 {
        within(gate.entered()).await;
    }
    let lane = &bus.lanes()[0];
    assert_eq!((lane.running, lane.waiting), (3, 1));
    for _ in &receipts {
        gate.release();
    }
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
}

/// D5: a key whose event hangs holds up no other key.
#[tokio::test]
async fn a_key_that_hangs_holds_up_no_other_key() {
    let gate = Gate::new();
    let waits = gate.clone();
    let listener = listen_fn::<Ping, _, _>("gated", move |ping: Arc<Envelope<Ping>>| {
        let gate = waits.clone();
        async move {
            if ping.0 == 0 {
                gate.pass().await;
            }
            Ok(())
        }
    });
    let policy = Policy::new()
        .concurrency(NonZeroUsize::new(2).expect("not zero"))
        .ordered_by(|ping: &Ping| ping.0 % 2);
    let bus = Bus::builder()
        .listen_with(listener, policy)
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..6).map(|number| bus.dispatch(Ping(number))).collect();
    for odd in [1, 3, 5] {
        assert!(within(receipts[odd].settled()).await.all_done());
    }
    assert!(
        [0, 2, 4]
            .iter()
            .all(|&even| receipts[even].outcome("gated") == Ok(None))
    );
    gate.release();
    for receipt in receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
}

/// D5: a worker may look for more any number of times; what it has ended keeps no other from its key.
#[tokio::test]
async fn a_key_is_free_once_its_event_has_ended() {
    for looks in 0..4 {
        let listener = listen_fn::<Ping, _, _>("keyed", |_| async {
            tokio::task::yield_now().await;
            Ok(())
        });
        let policy = Policy::new()
            .concurrency(NonZeroUsize::new(2).expect("not zero"))
            .ordered_by(|ping: &Ping| ping.0);
        let bus = Bus::builder()
            .listen_with(listener, policy)
            .build()
            .expect("fits together");
        // One for each worker.
        let both = [bus.dispatch(Ping(1)), bus.dispatch(Ping(2))];
        for receipt in &both {
            assert!(within(receipt.settled()).await.all_done());
        }
        for look in 0..=looks {
            if look < looks {
                bus.pause("keyed").expect("is a lane");
            } else {
                bus.resume("keyed").expect("is a lane");
            }
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
        for key in [1, 2, 1, 2] {
            let receipt = bus.dispatch(Ping(key));
            assert!(within(receipt.settled()).await.all_done(), "{looks} looks");
        }
    }
}
