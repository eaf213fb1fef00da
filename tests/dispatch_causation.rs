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
    Bus, Delivery, Envelope, Event, InlineListener, Outcome, Reason, Receipt, inline_fn, listen_fn,
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
    let (tell, mut told) = mpsc::unbounded_channel::<Receipt>();
    let tells = tell.clone();
    let own: Arc<OnceLock<Bus>> = Arc::default();
    let handle = Arc::clone(&own);
    let bus = Bus::builder()
        .max_causation_depth(NonZeroU32::new(2).expect("not zero"))
        .listen(listen_fn::<Ping, _, _>("to pong", move |_| {
            let (tell, bus) = (tell.clone(), Arc::clone(&handle));
            async move {
                // `Bus::dispatch` inside a listener knows the cause as well.
                let _ = tell.send(bus.get().ok_or("no bus")?.dispatch(Pong(0)));
                Ok(())
            }
        }))
        .listen(listen_fn::<Pong, _, _>("to ping", move |_| {
            let tell = tells.clone();
            async move {
                let _ = tell.send(Delivery::current().ok_or("no delivery")?.dispatch(Ping(0)));
                Ok(())
            }
        }))
        .build()
        .expect("fits together");
    assert!(own.set(bus.clone()).is_ok());
    let first = bus.dispatch(Ping(0));
    let mut chain = vec![first.id()];
    for _ in 0..2 {
        let next = within(told.recv()).await.expect("was told");
        assert!(within(next.settled()).await.all_done());
        chain.push(next.id());
    }
    let last = within(told.recv()).await.expect("was told");
    chain.push(last.id());
    let report = within(last.settled()).await;
    assert_eq!(
        report.outcome("to ping"),
        Some(Outcome::Dead(Reason::CausationTooDeep))
    );
    let letters = bus.dead_letters();
    assert_eq!(letters.len(), 1);
    let ids: Vec<_> = letters[0]
        .causation()
        .into_iter()
        .map(|(_, id)| id)
        .collect();
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
    let raised = Arc::new(AtomicU64::new(0));
    let raises = Arc::clone(&raised);
    let (tell, mut told) = mpsc::unbounded_channel::<Receipt>();
    let bus = Bus::builder()
        .max_causation_depth(NonZeroU32::MIN)
        .inline(inline_fn("fence", move |_: &Ping| {
            raises.fetch_add(1, Ordering::Relaxed);
        }))
        .listen(listen_fn::<Ping, _, _>("again", move |_| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(Delivery::current().ok_or("no delivery")?.dispatch(Ping(0)));
                Ok(())
            }
        }))
        .build()
        .expect("fits together");
    bus.dispatch(Ping(0));
    within(told.recv()).await.expect("was told");
    let last = within(told.recv()).await.expect("was told");
    let report = within(last.settled()).await;
    assert_eq!(report.outcome("fence"), Some(Outcome::Done));
    assert_eq!(
        report.outcome("again"),
        Some(Outcome::Dead(Reason::CausationTooDeep))
    );
    assert_eq!(raised.load(Ordering::Relaxed), 3);
}
