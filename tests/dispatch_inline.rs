//! Inline listeners have run before any lane sees the event, and when `dispatch` returns (D2).

mod dispatch;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use dispatch::{Ping, within};
use vacancy::dispatch::{BoxError, Bus, Delivery, Envelope, Outcome, Report, inline_fn, listen_fn};

/// D2: while one inline listener runs on the publisher's thread, no lane has the event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lane_sees_an_event_before_every_inline_listener_has_run() {
    let fence = Arc::new(AtomicU64::new(0));
    let (raise, raised) = (Arc::clone(&fence), Arc::clone(&fence));
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>(
            "lane",
            move |ping: Arc<Envelope<Ping>>| {
                let seen = raised.load(Ordering::SeqCst);
                async move {
                    if seen > ping.0 {
                        Ok(())
                    } else {
                        Err(BoxError::from("the fence is down"))
                    }
                }
            },
        ))
        .inline(inline_fn("first", |_: &Ping| std::thread::yield_now()))
        .inline(inline_fn("fence", move |ping: &Ping| {
            raise.store(ping.0 + 1, Ordering::SeqCst)
        }))
        .build()
        .expect("the listeners fit together");
    for number in 0..2000 {
        let receipt = bus.dispatch(Ping(number));
        assert_eq!(fence.load(Ordering::SeqCst), number + 1);
        assert_eq!(receipt.outcome("fence"), Ok(Some(Outcome::Done)));
        assert!(within(receipt.settled()).await.all_done());
    }
}

/// D7: fences must hold while the process drains.
#[tokio::test]
async fn inline_listeners_run_after_the_bus_was_closed() {
    let ran = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&ran);
    let bus = Bus::builder()
        .inline(inline_fn("fence", move |_: &Ping| {
            count.fetch_add(1, Ordering::Relaxed);
        }))
        .listen(listen_fn::<Ping, _, _>("lane", |_| async { Ok(()) }))
        .build()
        .expect("the listeners fit together");
    within(bus.shutdown(Duration::from_secs(5))).await;
    assert_eq!(
        within(bus.dispatch(Ping(1)).settled()).await,
        Report::Closed
    );
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    let ledger = bus.ledger();
    assert_eq!((ledger.refused, ledger.balanced()), (1, true));
    assert_eq!(
        ledger.entry("ping", "fence").map(|entry| entry.done),
        Some(1)
    );
    assert_eq!(
        ledger.entry("ping", "lane").map(|entry| entry.accepted),
        Some(0)
    );
}

/// Events that wait for the router together share the time of the first; whoever asks, inline
/// listener or lane, is told the same.
#[tokio::test]
async fn everybody_is_told_the_same_time_of_acceptance() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (inline, lane) = (Arc::clone(&told), Arc::clone(&told));
    let now = || {
        Delivery::current()
            .expect("inside a listener")
            .accepted_at()
    };
    let bus = Bus::builder()
        .inline(inline_fn("asks first", move |ping: &Ping| {
            if ping.0 == 0 {
                inline.lock().unwrap().push(now());
            }
        }))
        .listen(listen_fn::<Ping, _, _>("asks later", move |ping| {
            lane.lock().unwrap().push(ping.accepted_at());
            async { Ok(()) }
        }))
        .build()
        .unwrap();
    let before = SystemTime::now();
    let receipts = [0, 1, 2].map(|number| bus.dispatch(Ping(number)));
    let after = SystemTime::now();
    for receipt in receipts {
        within(receipt.settled()).await;
    }
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|time| (before..=after).contains(time)));
    assert_eq!(told[0], told[1]);
    assert_eq!(told[2], told[3]);
}
