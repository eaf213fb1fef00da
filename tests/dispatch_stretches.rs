//! A listener that is done at once handles a stretch of events without a pause, and each has its own outcome, which is
//! visible as soon as it has ended (promise 3, D3).

mod dispatch;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{runtime::Handle, sync::Notify};
use vacancy::dispatch::{
    BoxError, Bus, Delivery, Entry, Envelope, Outcome, Reason, Receipt, Skip, listen_fn,
};

/// The event at which the listener blocks its thread.
const BLOCKS: u64 = 3;
const EVENTS: u64 = 10;

/// A bus whose only listener has the events in one run and blocks amid them.
struct Blocked {
    bus: Bus,
    receipts: Vec<Receipt>,
    /// Dropped, it lets the listener go on.
    release: Option<mpsc::Sender<()>>,
}

impl Blocked {
    async fn new() -> Self {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let blocks = Arc::new(Notify::new());
        let tells = Arc::clone(&blocks);
        let block = move |ping: Arc<Envelope<Ping>>| {
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
        bus.resume("blocks").expect("there is such a listener");
        within(blocks.notified()).await;
        Self {
            bus,
            receipts,
            release: Some(release),
        }
    }

    fn entry(&self) -> Entry {
        let ledger = self.bus.ledger();
        ledger.entry("ping", "blocks").expect("it listens").clone()
    }
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
    let entry = blocked.entry();
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
    assert_eq!(counted(blocked.entry()), (BLOCKS, EVENTS - BLOCKS, 0));
    // The listener comes back to a lane that was given up; nothing is counted or decided twice.
    drop(blocked.release.take());
    let tasks = || Handle::current().metrics().num_alive_tasks();
    within(async {
        while tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(counted(blocked.entry()), (BLOCKS, EVENTS - BLOCKS, 0));
    for (number, receipt) in (0..).zip(&blocked.receipts) {
        let due = match number < BLOCKS {
            true => Outcome::Done,
            false => Outcome::Abandoned,
        };
        let report = within(receipt.settled()).await;
        assert_eq!(report.outcome("blocks"), Some(due), "{number}");
    }
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
