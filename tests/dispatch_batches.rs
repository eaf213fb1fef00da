//! Listeners that handle several events at once.

mod dispatch;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{sync::Semaphore, time::Instant};
use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, Delivery, Outcome, Policy, Reason, Retry, Skip,
};

/// Writes down its batches, each once its gate has opened, and answers as it is told.
#[derive(Clone)]
struct Batches {
    seen: Arc<Mutex<Vec<Vec<u64>>>>,
    gate: Arc<Semaphore>,
    answer: fn(u32) -> Result<(), BoxError>,
}

impl Batches {
    fn new(open: bool, answer: fn(u32) -> Result<(), BoxError>) -> Self {
        Self {
            seen: Arc::default(),
            gate: Arc::new(Semaphore::new(if open {
                Semaphore::MAX_PERMITS
            } else {
                0
            })),
            answer,
        }
    }

    fn seen(&self) -> Vec<Vec<u64>> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl BatchListener<Ping> for Batches {
    async fn handle(&self, batch: &Batch<Ping>) -> Result<(), BoxError> {
        let mut numbers = Vec::new();
        for ping in batch {
            numbers.push(ping.0);
        }
        assert!(batch.iter().map(|ping| ping.0).eq(numbers.iter().copied()));
        self.seen.lock().expect("not poisoned").push(numbers);
        let attempt = Delivery::current().map_or(0, |delivery| delivery.attempt());
        self.gate.acquire().await?.forget();
        (self.answer)(attempt)
    }
}

fn up_to(most: usize) -> Batching {
    Batching::up_to(NonZeroUsize::new(most).expect("not zero"))
}

fn bus(batches: &Batches, batching: Batching, policy: Policy<Ping>) -> Bus {
    Bus::builder()
        .listen_batches(batches.clone(), batching, policy)
        .build()
        .expect("fits together")
}

/// A batch that ends may free more keys than its worker's next one takes.
#[tokio::test]
async fn a_key_that_a_batch_has_freed_is_taken_by_another_worker() {
    let batches = Batches::new(false, |_| Ok(()));
    let policy = Policy::new()
        .concurrency(NonZeroUsize::new(2).expect("not zero"))
        .ordered_by(|ping: &Ping| ping.0 / 10);
    let bus = bus(&batches, up_to(2), policy);
    let batch = |numbers: &[u64]| {
        let receipts = numbers.iter().map(|number| bus.dispatch(Ping(*number)));
        receipts.collect::<Vec<_>>()
    };
    let mut receipts = batch(&[10, 20]);
    while batches.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    receipts.extend(batch(&[11, 12, 21]));
    while bus.lanes()[0].waiting < 3 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(batches.seen(), [[10, 20]]);
    batches.gate.add_permits(1);
    within(async {
        while batches.seen().len() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(batches.seen()[1..], [vec![11, 12], vec![21]]);
    batches.gate.add_permits(2);
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
}

#[tokio::test]
async fn what_waits_is_handled_together_up_to_the_bound() {
    let batches = Batches::new(false, |_| Ok(()));
    let bus = bus(&batches, up_to(4), Policy::new());
    let first = bus.dispatch(Ping(0));
    while batches.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let receipts: Vec<_> = (1..8).map(|number| bus.dispatch(Ping(number))).collect();
    while bus.lanes()[0].waiting < 7 {
        tokio::task::yield_now().await;
    }
    batches.gate.add_permits(3);
    assert!(within(first.settled()).await.all_done());
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    assert_eq!(batches.seen(), [vec![0], vec![1, 2, 3, 4], vec![5, 6, 7]]);
    assert_eq!(bus.ledger().totals().done, 8);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_full_lingers_for_more() {
    let batches = Batches::new(true, |_| Ok(()));
    let bus = bus(
        &batches,
        up_to(3).linger(Duration::from_secs(2)),
        Policy::new(),
    );
    let begun = Instant::now();
    let first = bus.dispatch(Ping(1));
    while bus.lanes()[0].running < 1 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = bus.dispatch(Ping(2));
    within(first.settled()).await;
    within(second.settled()).await;
    assert_eq!(begun.elapsed().as_secs(), 2);
    // A full one does not wait.
    let full: Vec<_> = (3..6).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &full {
        within(receipt.settled()).await;
    }
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(batches.seen(), [vec![1, 2], vec![3, 4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_retried_and_ends_as_one() {
    let retry = Retry::new(NonZeroU32::new(2).expect("not zero"));
    let batches = Batches::new(true, |attempt| match attempt {
        1 => Err("locked".into()),
        _ => Ok(()),
    });
    let batching = up_to(2).linger(Duration::from_secs(1));
    let bus = bus(&batches, batching, Policy::new().retry(retry));
    let receipts = [bus.dispatch(Ping(1)), bus.dispatch(Ping(2))];
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    assert_eq!(batches.seen(), [[1, 2], [1, 2]]);
}

#[tokio::test]
async fn every_event_of_a_batch_has_the_outcome_of_the_batch() {
    type Case = (fn(u32) -> Result<(), BoxError>, Outcome);
    let cases: [Case; 3] = [
        (|_| Err("refused".into()), Outcome::Dead(Reason::Failed)),
        (|_| panic!("broken"), Outcome::Dead(Reason::Panicked)),
        (|_| Err(Skip.into()), Outcome::Skipped),
    ];
    for (answer, expected) in cases {
        let batches = Batches::new(false, answer);
        let bus = bus(&batches, up_to(8), Policy::new());
        let receipts: Vec<_> = (0..5).map(|number| bus.dispatch(Ping(number))).collect();
        batches.gate.add_permits(5);
        for receipt in &receipts {
            assert_eq!(within(receipt.reached("Batches")).await, Ok(expected));
        }
        assert_eq!(
            bus.dead_letters().len(),
            if expected == Outcome::Skipped { 0 } else { 5 }
        );
        assert!(bus.ledger().balanced());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_names_every_event_of_the_batch_that_hangs() {
    let batches = Batches::new(false, |_| Ok(()));
    let bus = bus(&batches, up_to(8), Policy::new());
    for number in 0..3 {
        bus.dispatch(Ping(number));
    }
    while bus.lanes()[0].running < 3 {
        tokio::task::yield_now().await;
    }
    let report = within(bus.shutdown(Duration::from_secs(1))).await;
    assert_eq!(report.abandoned.len(), 3);
    assert!(bus.ledger().balanced());
}

#[tokio::test]
async fn a_shutdown_does_not_linger() {
    let batches = Batches::new(true, |_| Ok(()));
    let forever = up_to(8).linger(Duration::from_secs(1_000_000));
    let bus = bus(&batches, forever, Policy::new());
    bus.dispatch(Ping(1));
    let report = within(bus.shutdown(Duration::from_secs(1_000_000))).await;
    assert!(report.is_drained());
    assert_eq!(batches.seen(), [[1]]);
}

/// With several workers and keys, a batch may hold several events of one key, and no two batches do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_keep_the_order_of_their_keys() {
    let batches = Batches::new(true, |_| Ok(()));
    let policy = Policy::new()
        .concurrency(NonZeroUsize::new(4).expect("not zero"))
        .ordered_by(|ping: &Ping| ping.0 % 3);
    let bus = bus(&batches, up_to(5), policy);
    let receipts: Vec<_> = (0..900).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    let order: Vec<u64> = batches.seen().concat();
    for key in 0..3 {
        let of_key: Vec<_> = order.iter().filter(|number| *number % 3 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
        assert_eq!(of_key.len(), 300);
    }
}
