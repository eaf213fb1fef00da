//! What a full lane does is a choice for each lane, and never makes the publisher wait (D6).

mod dispatch;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use dispatch::{Ping, within};
use vacancy::dispatch::{
    Bus, Envelope, Outcome, Overflow, Policy, Reason, Receipt, listen_fn, testing::Gate,
};

/// A bus whose only listener stands before a gate with each event, and notes what it handled.
struct Gated {
    bus: Bus,
    gate: Gate,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Gated {
    fn new(policy: Policy<Ping>) -> Self {
        let (gate, seen) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
        let (waits, sees) = (gate.clone(), Arc::clone(&seen));
        let listener = listen_fn::<Ping, _, _>("gated", move |ping: Arc<Envelope<Ping>>| {
            let (gate, seen) = (waits.clone(), Arc::clone(&sees));
            async move {
                gate.pass().await;
                seen.lock().expect("not poisoned").push(ping.0);
                Ok(())
            }
        });
        let bus = Bus::builder()
            .listen_with(listener, policy)
            .build()
            .expect("fits together");
        Self { bus, gate, seen }
    }

    /// Dispatches 0, which occupies the worker, and then 1, 2 and so on one by one: each is in the
    /// lane, or displaced, before the next follows.
    async fn fill(&self, events: u64) -> Vec<Receipt> {
        let mut receipts = vec![self.bus.dispatch(Ping(0))];
        self.gate.entered().await;
        let mut stream = self.bus.stream::<Ping>();
        for number in 1..events {
            receipts.push(self.bus.dispatch(Ping(number)));
            // Streams get an event after the lanes.
            within(stream.next()).await.expect("the bus is open");
        }
        receipts
    }

    async fn finish(&self, receipts: &[Receipt]) -> (Vec<Outcome>, Vec<u64>) {
        self.gate.open();
        let mut outcomes = Vec::new();
        for receipt in receipts {
            outcomes.push(
                within(receipt.reached("gated"))
                    .await
                    .expect("is a listener"),
            );
        }
        assert!(self.bus.ledger().balanced());
        (outcomes, self.seen.lock().expect("not poisoned").clone())
    }
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

/// D6: by default the newest becomes a dead letter, with its event.
#[tokio::test]
async fn a_full_lane_makes_a_dead_letter_of_the_newest() {
    let gated = Gated::new(Policy::new().capacity(TWO));
    let receipts = gated.fill(5).await;
    let (outcomes, seen) = gated.finish(&receipts).await;
    let dead = Outcome::Dead(Reason::Overflowed);
    assert_eq!(
        outcomes,
        [Outcome::Done, Outcome::Done, Outcome::Done, dead, dead]
    );
    assert_eq!(seen, [0, 1, 2]);
    let letters = gated.bus.dead_letters();
    let numbers: Vec<u64> = letters
        .iter()
        .filter_map(|letter| letter.event::<Ping>())
        .map(|ping| ping.0)
        .collect();
    assert_eq!(numbers, [3, 4]);
    assert_eq!((letters[0].listener(), letters[0].attempts()), ("gated", 0));
    assert_eq!(letters[0].id(), receipts[3].id());
}

/// D6.
#[tokio::test]
async fn a_lane_that_drops_the_oldest_keeps_the_newest() {
    let gated = Gated::new(Policy::new().capacity(TWO).overflow(Overflow::DropOldest));
    let receipts = gated.fill(5).await;
    let (outcomes, seen) = gated.finish(&receipts).await;
    let (done, dropped) = (Outcome::Done, Outcome::Dropped);
    assert_eq!(outcomes, [done, dropped, dropped, done, done]);
    assert_eq!(seen, [0, 3, 4]);
    assert!(gated.bus.dead_letters().is_empty());
}

/// D6: what is being handled is not replaced, what waits is, and keeps its place.
#[tokio::test]
async fn a_coalescing_lane_keeps_the_newest_of_each_key() {
    let gated = Gated::new(
        Policy::new()
            .capacity(TWO)
            .coalesce_by(|ping: &Ping| ping.0 % 2),
    );
    let receipts = gated.fill(7).await;
    let (outcomes, seen) = gated.finish(&receipts).await;
    let (done, coalesced) = (Outcome::Done, Outcome::Coalesced);
    assert_eq!(
        outcomes,
        [done, coalesced, coalesced, coalesced, coalesced, done, done]
    );
    assert_eq!(seen, [0, 5, 6]);
}

/// D6: one leading run, and one trailing run that has seen the newest, however many workers are idle.
#[tokio::test]
async fn a_burst_makes_one_leading_and_one_trailing_run() {
    let workers = NonZeroUsize::new(4).expect("not zero");
    let gated = Gated::new(
        Policy::new()
            .concurrency(workers)
            .coalesce_by(|ping: &Ping| ping.0 > 99),
    );
    let receipts = gated.fill(7).await;
    let lane = &gated.bus.lanes()[0];
    assert_eq!((lane.running, lane.waiting), (1, 1));
    let (outcomes, seen) = gated.finish(&receipts).await;
    assert_eq!(seen, [0, 6]);
    assert_eq!(outcomes[1..6], [Outcome::Coalesced; 5]);
}

/// D6, D1: nothing of the bus runs while this test dispatches, so only the intake's bound ends it.
#[tokio::test]
async fn a_publisher_that_never_yields_is_never_blocked() {
    let capacity = NonZeroUsize::new(16).expect("not zero");
    let bus = Bus::builder()
        .listen_with(
            listen_fn::<Ping, _, _>("one", |_| async { Ok(()) }),
            Policy::new().capacity(capacity),
        )
        .listen_with(
            listen_fn::<Ping, _, _>("two", |_| async { Ok(()) }),
            Policy::new().capacity(TWO).overflow(Overflow::DropOldest),
        )
        .dead_letter_capacity(TWO)
        .build()
        .expect("the listeners fit together");
    let receipts: Vec<_> = (0..100).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &receipts {
        within(receipt.settled()).await;
    }
    let ledger = bus.ledger();
    let one = ledger.entry("ping", "one").expect("is listed");
    let two = ledger.entry("ping", "two").expect("is listed");
    assert_eq!((one.done, one.dead), (16, 84));
    assert_eq!((two.done, two.dropped, two.dead), (2, 14, 84));
    assert!(ledger.balanced());
    // The ring is bounded, and says what it evicted.
    assert_eq!(bus.dead_letters().len(), 2);
    assert_eq!(ledger.dead_letters_evicted, 2 * 84 - 2);
}
