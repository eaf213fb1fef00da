//! A listener that is done at once handles a stretch of events without a pause, and each has its own outcome, which is
//! visible as soon as it has ended (promise 3, D3).

mod dispatch;

use std::{
    collections::HashSet,
    num::NonZeroU32,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{
    runtime::{Builder, Handle},
    sync::{Notify, oneshot},
};
use vacancy::dispatch::{
    BoxError, Bus, Delivery, Entry, Envelope, Outcome, Policy, Reason, Receipt, Retry, Skip,
    listen_fn,
};

/// The event at which the listener blocks its thread.
const BLOCKS: u64 = 3;
const EVENTS: u64 = 10;

/// Tells that somebody was to be woken.
struct Tells(Mutex<mpsc::Sender<()>>);

impl Wake for Tells {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().map(|tells| tells.send(()));
    }
}

/// A bus whose only listener has the events in one run and blocks amid them.
struct Blocked {
    bus: Bus,
    receipts: Vec<Receipt>,
    /// The events that the listener was called with.
    calls: Arc<Mutex<Vec<u64>>>,
    /// Dropped, it lets the listener go on.
    release: Option<mpsc::Sender<()>>,
}

impl Blocked {
    async fn new() -> Self {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let blocks = Arc::new(Notify::new());
        let tells = Arc::clone(&blocks);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = Arc::clone(&calls);
        let block = move |ping: Arc<Envelope<Ping>>| {
            called.lock().expect("nobody panics").push(ping.0);
            if ping.0 == BLOCKS {
                tells.notify_one();
                let _ = released.lock().map(|released| released.recv());
            }
            async { Ok(()) }
        };
        let bus = Bus::builder()
            .listen(listen_fn::<Ping, _, _>("blocks", block))
            .build()
            .expect("the listener fits");
        bus.pause("blocks").expect("there is such a listener");
        let receipts: Vec<_> = (0..EVENTS).map(|n| bus.dispatch(Ping(n))).collect();
        // No task: tokio keeps a task that is woken for the thread that blocks then.
        let (tells, woken) = mpsc::channel();
        let waker = Waker::from(Arc::new(Tells(Mutex::new(tells))));
        let mut first = pin!(receipts[0].settled());
        let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        bus.resume("blocks").expect("there is such a listener");
        within(blocks.notified()).await;
        let woken = woken.recv_timeout(Duration::from_secs(20));
        assert_eq!(woken, Ok(()), "the first event has ended");
        Self {
            bus,
            receipts: receipts.clone(),
            calls,
            release: Some(release),
        }
    }
}

fn entry(bus: &Bus) -> Entry {
    let ledger = bus.ledger();
    ledger.entry("ping", "blocks").expect("it listens").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_visible_while_the_next_event_blocks() {
    let mut blocked = Blocked::new().await;
    let (done, pending) = blocked.receipts.split_at(BLOCKS as usize);
    for receipt in done {
        assert!(within(receipt.settled()).await.all_done());
    }
    for receipt in pending {
        assert_eq!(receipt.outcome("blocks"), Ok(None));
    }
    let entry = entry(&blocked.bus);
    assert_eq!((entry.accepted, entry.done), (EVENTS, BLOCKS));
    // Some wait already, and some only ask later.
    let last = pending[pending.len() - 1].clone();
    let waits = tokio::spawn(async move { last.settled().await.all_done() });
    drop(blocked.release.take());
    assert!(within(waits).await.expect("it only waits"));
    for receipt in pending {
        assert!(within(receipt.settled()).await.all_done());
    }
    let report = blocked.bus.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_drained());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_not_abandoned_and_the_rest_is() {
    let mut blocked = Blocked::new().await;
    let report = blocked.bus.shutdown(Duration::from_millis(1)).await;
    let named: Vec<u64> = report
        .abandoned
        .iter()
        .map(|one| one.id.sequence())
        .collect();
    let due: Vec<u64> = blocked.receipts[BLOCKS as usize..]
        .iter()
        .map(|receipt| receipt.id().sequence())
        .collect();
    assert_eq!(named, due);
    let counted = |entry: Entry| (entry.done, entry.abandoned, entry.waiting());
    assert_eq!(counted(entry(&blocked.bus)), (BLOCKS, EVENTS - BLOCKS, 0));
    // The listener comes back to a lane that was given up; nothing is counted or decided twice.
    drop(blocked.release.take());
    let tasks = || Handle::current().metrics().num_alive_tasks();
    within(async {
        while tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(counted(entry(&blocked.bus)), (BLOCKS, EVENTS - BLOCKS, 0));
    let calls = blocked.calls.lock().expect("nobody panics").clone();
    assert_eq!(
        calls,
        Vec::from_iter(0..=BLOCKS),
        "none after it was given up"
    );
    for (number, receipt) in (0..).zip(&blocked.receipts) {
        let due = match number < BLOCKS {
            true => Outcome::Done,
            false => Outcome::Abandoned,
        };
        let report = within(receipt.settled()).await;
        assert_eq!(report.outcome("blocks"), Some(due), "{number}");
    }
}

/// On one thread nobody relieves the router, which has given a part of its batch to all lanes and lets quick listeners
/// handle it: some have, one blocks amid it, and one has not begun.
#[tokio::test]
async fn a_router_that_is_blocked_has_done_what_it_has_done() {
    // On a busy machine a listener may seem slow, and then the router does not call it.
    for _ in 0..20 {
        if is_blocked_amid_a_run().await {
            return;
        }
    }
    panic!("the router was never blocked amid a run");
}

/// Whether it was; what was done and what was abandoned is checked either way.
async fn is_blocked_amid_a_run() -> bool {
    const WARM: u64 = 200;
    const FIRST_GATE: u64 = WARM;
    const SECOND_GATE: u64 = WARM + 20;
    const LAST: u64 = WARM + 200;

    let (arrives, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let gates = Mutex::new((arrives, released));
    let handled: [Arc<Mutex<HashSet<u64>>>; 3] = Default::default();
    let hears = |name, place: usize| {
        let handled = Arc::clone(&handled[place]);
        listen_fn::<Ping, _, _>(name, move |ping: Arc<Envelope<Ping>>| {
            handled.lock().expect("nobody panics").insert(ping.0);
            async { Ok(()) }
        })
    };
    let blocks = {
        let handled = Arc::clone(&handled[1]);
        move |ping: Arc<Envelope<Ping>>| {
            if [FIRST_GATE, SECOND_GATE].contains(&ping.0) {
                let (arrives, released) = &*gates.lock().expect("nobody panics");
                let _ = arrives.send(());
                let _ = released.recv();
            }
            handled.lock().expect("nobody panics").insert(ping.0);
            async { Ok(()) }
        }
    };
    let builder = Bus::builder()
        .listen(hears("before", 0))
        .listen(listen_fn::<Ping, _, _>("blocks", blocks))
        .listen(hears("after", 2));

    let (gives, given) = oneshot::channel();
    let (ends, ended) = oneshot::channel::<()>();
    let lives = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made here");
        runtime.block_on(async move {
            let _ = gives.send(builder.build().expect("the listeners fit together"));
            let _ = ended.await;
        });
    });
    let bus = within(given).await.expect("it was built");
    for number in 0..WARM {
        assert!(
            within(bus.dispatch(Ping(number)).settled())
                .await
                .all_done()
        );
    }
    let arrived = || arrived.recv_timeout(Duration::from_secs(20));
    let mut receipts = vec![bus.dispatch(Ping(FIRST_GATE))];
    assert_eq!(arrived(), Ok(()));
    // One batch, since the router is not there to take a part of it.
    receipts.extend((FIRST_GATE + 1..=LAST).map(|number| bus.dispatch(Ping(number))));
    let _ = release.send(());
    assert_eq!(arrived(), Ok(()));

    // What is handled from here on is handled in vain.
    let handled = handled.map(|handled| handled.lock().expect("nobody panics").clone());
    let report = bus.shutdown(Duration::ZERO).await;
    let mut named: Vec<_> = report
        .abandoned
        .iter()
        .map(|one| (one.id, one.listener.to_string()))
        .collect();
    let mut due = Vec::new();
    for (number, receipt) in (FIRST_GATE..).zip(&receipts) {
        let outcomes = within(receipt.settled()).await;
        for (listener, handled) in ["before", "blocks", "after"].into_iter().zip(&handled) {
            let outcome = match handled.contains(&number) {
                true => Outcome::Done,
                false => {
                    due.push((receipt.id(), listener.to_owned()));
                    Outcome::Abandoned
                }
            };
            let found = outcomes.outcome(listener);
            assert_eq!(found, Some(outcome), "{number} at {listener}");
        }
    }
    named.sort();
    due.sort();
    assert_eq!(named, due);
    assert!(bus.ledger().balanced());
    let done = |listener: &str| bus.ledger().entry("ping", listener).map(|entry| entry.done);
    let [before, blocks, after] = handled.map(|handled| handled.len() as u64);
    let counts = [done("before"), done("blocks"), done("after")];
    assert_eq!(counts, [Some(before), Some(blocks), Some(after)]);

    drop(release);
    drop(ends);
    lives.join().expect("the runtime ends");
    assert!(bus.ledger().balanced());
    assert_eq!(done("blocks"), Some(blocks));
    before > blocks && blocks > after
}

/// Panics instead of waking anybody.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn who_panics_when_it_is_woken_harms_no_event() {
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("hears", |_| async { Ok(()) }))
        .build()
        .expect("the listener fits");
    // Both before the router runs, so the second is next when the first ends.
    let receipts = [bus.dispatch(Ping(1)), bus.dispatch(Ping(2))];
    {
        let waits = pin!(receipts[0].settled());
        let waker = Waker::from(Arc::new(Panics));
        let polled = waits.poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(within(receipts[1].settled()).await.all_done());
    }
    assert!(within(receipts[0].settled()).await.all_done());
    assert!(within(bus.dispatch(Ping(3)).settled()).await.all_done());
}

#[tokio::test]
async fn each_event_of_a_stretch_has_its_own_outcome() {
    let wanted = |number: u64| match number % 7 {
        2 => Outcome::Skipped,
        3 => Outcome::Dead(Reason::Failed),
        5 => Outcome::Dead(Reason::Panicked),
        _ => Outcome::Done,
    };
    let answer = move |ping: Arc<Envelope<Ping>>| {
        let delivered = Delivery::current().map(|delivery| delivery.id());
        assert_eq!(delivered, Some(ping.id()), "it is told of its own event");
        async move {
            match wanted(ping.0) {
                Outcome::Skipped => Err(BoxError::from(Skip)),
                Outcome::Dead(Reason::Failed) => Err(BoxError::from("no")),
                Outcome::Dead(_) => panic!("on purpose"),
                // It goes on elsewhere and comes back.
                _ if ping.0.is_multiple_of(11) => {
                    tokio::task::yield_now().await;
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    };
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("answers", answer))
        .build()
        .expect("the listener fits");
    let mut counts = [0; 3];
    for round in 0..20 {
        let numbers = round * 50..(round + 1) * 50;
        let receipts: Vec<_> = numbers.clone().map(|n| bus.dispatch(Ping(n))).collect();
        for (number, receipt) in numbers.zip(&receipts) {
            let report = within(receipt.settled()).await;
            assert_eq!(report.outcome("answers"), Some(wanted(number)), "{number}");
            counts[match wanted(number) {
                Outcome::Done => 0,
                Outcome::Skipped => 1,
                _ => 2,
            }] += 1;
        }
    }
    let ledger = bus.ledger();
    let entry = ledger.entry("ping", "answers").expect("it listens");
    assert_eq!([entry.done, entry.skipped, entry.dead], counts);
    assert!(ledger.balanced());
}

#[tokio::test(start_paused = true)]
async fn an_event_behind_one_that_is_tried_again_is_at_its_first_attempt() {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&attempts);
    let listener = listen_fn::<Ping, _, _>("tries", move |ping| {
        let attempt = Delivery::current().map_or(0, |delivery| delivery.attempt());
        if let Ok(mut attempts) = noted.lock() {
            attempts.push((ping.0, attempt));
        }
        async move {
            match (ping.0, attempt) {
                (0, 1) => Err(BoxError::from("not yet")),
                _ => Ok(()),
            }
        }
    });
    let bus = Bus::builder()
        .listen_with(listener, Policy::new().retry(Retry::new(NonZeroU32::MAX)))
        .build()
        .expect("the listener fits");
    let receipts = [bus.dispatch(Ping(0)), bus.dispatch(Ping(1))];
    for receipt in receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    let attempts = attempts.lock().expect("nothing panicked");
    assert_eq!(*attempts, [(0, 1), (0, 2), (1, 1)]);
}
