//! A listener may dispatch; what it dispatches knows its cause, and a loop ends by name (D9).

mod dispatch;

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::sync::mpsc;
use vacancy::dispatch::{
    Bus, Delivery, Envelope, Event, InlineListener, Outcome, Reason, inline_fn, listen_fn,
    testing::TestBus,
};

struct Pong(u64);

impl Event for Pong {
    const NAME: &'static str = "pong";
}

/// D9: also after an await, where another listener may have run on the thread in between.
#[tokio::test]
async fn an_event_dispatched_by_a_listener_knows_its_cause() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>(
            "ping to pong",
            |ping: Arc<Envelope<Ping>>| async move {
                tokio::task::yield_now().await;
                let delivery = Delivery::current().ok_or("no delivery")?;
                assert_eq!(delivery.id(), ping.id());
                assert_eq!((delivery.depth(), delivery.attempt()), (0, 1));
                assert_eq!((ping.depth(), ping.cause()), (0, None));
                assert_eq!(delivery.accepted_at(), ping.accepted_at());
                // On another task there is no current delivery; the value keeps the cause.
                tokio::spawn(async move {
                    assert!(Delivery::current().is_none());
                    delivery.dispatch(Pong(ping.0));
                });
                Ok(())
            },
        ))
        .listen(listen_fn::<Ping, _, _>("beside", |_| async {
            tokio::task::yield_now().await;
            Ok(())
        }))
        .listen(listen_fn::<Pong, _, _>(
            "tells",
            move |pong: Arc<Envelope<Pong>>| {
                let delivery = Delivery::current().expect("a listener is running");
                assert_eq!(delivery.depth(), pong.depth());
                assert_eq!(delivery.cause(), pong.cause());
                let _ = tell.send((pong.0, pong.cause(), pong.depth()));
                async { Ok(()) }
            },
        ))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..3).map(|number| bus.dispatch(Ping(number))).collect();
    for (number, receipt) in receipts.iter().enumerate() {
        let expected = (number as u64, Some(receipt.id()), 1);
        assert_eq!(within(told.recv()).await, Some(expected));
    }
    assert!(Delivery::current().is_none());
}

/// D9.
#[tokio::test]
async fn a_loop_of_listeners_ends_in_a_dead_letter_that_names_it() {
    let own: Arc<OnceLock<Bus>> = Arc::default();
    let handle = Arc::clone(&own);
    let listeners = Bus::builder()
        .max_causation_depth(NonZeroU32::new(2).expect("not zero"))
        .listen(listen_fn::<Ping, _, _>("to pong", move |_| {
            let bus = Arc::clone(&handle);
            async move {
                // `Bus::dispatch` inside a listener knows the cause as well.
                bus.get().ok_or("no bus")?.dispatch(Pong(0));
                Ok(())
            }
        }))
        .listen(listen_fn::<Pong, _, _>("to ping", |_| async {
            let delivery = Delivery::current().ok_or("no delivery")?;
            delivery.dispatch(Ping(0));
            Ok(())
        }));
    let bus = TestBus::of(listeners).build();
    assert!(own.set(bus.clone()).is_ok());
    bus.dispatch(Ping(0));
    let ran = within(bus.settled()).await;
    ran.ran("to pong").times(2).done();
    ran.ran("to ping").once();
    ran.nothing_else();
    let (pings, pongs) = (ran.dispatched::<Ping>(), ran.dispatched::<Pong>());
    let letters = bus.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].listener(), "to ping");
    assert_eq!(letters[0].reason(), Reason::CausationTooDeep);
    let ids: Vec<_> = letters[0]
        .causation()
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    let chain = [pings[0].id(), pongs[0].id(), pings[1].id(), pongs[1].id()];
    assert_eq!(ids, chain);
    assert_eq!(
        letters[0].causation_text(),
        "ping#1 → pong#2 → ping#3 → pong#4"
    );
    within(bus.shutdown(Duration::from_secs(5))).await;
    assert!(bus.ledger().balanced());
}

/// D9: an inline loop would otherwise end the process by exhausting the stack.
#[tokio::test]
async fn an_inline_loop_ends() {
    struct Again(Arc<AtomicU64>);
    impl InlineListener<Ping> for Again {
        fn handle(&self, ping: &Ping) {
            self.0.fetch_add(1, Ordering::Relaxed);
            if let Some(delivery) = Delivery::current() {
                delivery.dispatch(Ping(ping.0 + 1));
            }
        }
    }
    let ran = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let bus = Bus::builder()
        .max_causation_depth(NonZeroU32::new(5).expect("not zero"))
        .inline(Again(Arc::clone(&ran)))
        .listen(listen_fn::<Ping, _, _>(
            "sees",
            move |ping: Arc<Envelope<Ping>>| {
                sees.lock().expect("not poisoned").push(ping.0);
                async { Ok(()) }
            },
        ))
        .build()
        .expect("fits together");
    bus.dispatch(Ping(0));
    within(bus.shutdown(Duration::from_secs(5))).await;
    assert_eq!(ran.load(Ordering::Relaxed), 6);
    // The innermost dispatch is accepted first.
    assert_eq!(*seen.lock().expect("not poisoned"), [5, 4, 3, 2, 1, 0]);
    let letters = bus.dead_letters();
    assert!(
        letters
            .iter()
            .all(|letter| letter.reason() == Reason::CausationTooDeep)
    );
    let mut listeners: Vec<_> = letters.iter().map(|letter| letter.listener()).collect();
    listeners.sort_unstable();
    assert_eq!(listeners, ["Again", "sees"]);
    assert!(bus.ledger().balanced());
}

/// D9, D2: a fence goes up however deep the event is, as long as that ends.
#[tokio::test]
async fn inline_listeners_run_for_an_event_that_lies_too_deep() {
    let listeners = Bus::builder()
        .max_causation_depth(NonZeroU32::MIN)
        .inline(inline_fn("fence", |_: &Ping| ()))
        .listen(listen_fn::<Ping, _, _>("again", |_| async {
            let delivery = Delivery::current().ok_or("no delivery")?;
            delivery.dispatch(Ping(0));
            Ok(())
        }));
    let bus = TestBus::of(listeners).build();
    bus.dispatch(Ping(0));
    let ran = within(bus.settled()).await;
    ran.ran("fence").times(3).done();
    ran.ran("again").times(2);
    let letters = bus.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].id(), ran.dispatched::<Ping>()[2].id());
    assert_eq!(letters[0].reason(), Reason::CausationTooDeep);
}

/// A delivery that has left its inline listener is on top of no other dispatch, so nothing can exhaust the stack.
#[tokio::test]
async fn inline_listeners_run_for_what_a_delivery_dispatches_after_them() {
    let kept = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&kept);
    let bus = Bus::builder()
        .max_causation_depth(NonZeroU32::MIN)
        .inline(inline_fn("fence", move |_: &Ping| {
            *keeps.lock().expect("not poisoned") = Delivery::current();
        }))
        .build()
        .expect("fits together");
    let mut last = bus.dispatch(Ping(0));
    for number in 1..=2 {
        let delivery = kept.lock().expect("not poisoned").take();
        last = delivery.expect("the fence ran").dispatch(Ping(number));
    }
    assert_eq!(last.outcome("fence"), Ok(Some(Outcome::Done)));
}

/// D9: also by way of the bus, which knows where it is called.
#[tokio::test]
async fn an_inline_loop_through_the_bus_ends() {
    let held = Arc::new(OnceLock::<Bus>::new());
    let (ran, holds) = (Arc::new(AtomicU64::new(0)), Arc::clone(&held));
    let runs = Arc::clone(&ran);
    let bus = Bus::builder()
        .max_causation_depth(NonZeroU32::MIN)
        .inline(inline_fn("again", move |ping: &Ping| {
            runs.fetch_add(1, Ordering::Relaxed);
            // Far beyond the bound, and short of the end of the stack.
            if ping.0 < 9
                && let Some(bus) = holds.get()
            {
                bus.dispatch(Ping(ping.0 + 1));
            }
        }))
        .build()
        .expect("fits together");
    held.set(bus.clone()).expect("is set once");
    bus.dispatch(Ping(0));
    assert_eq!(ran.load(Ordering::Relaxed), 2);
    assert!(bus.ledger().balanced());
}
