//! A lane that is full has what the bus can do for it, and costs the others nothing (D2, D6).

mod dispatch;

use std::{num::NonZeroUsize, sync::Arc};

use dispatch::{Ping, within};
use tokio::task::yield_now;
use vacancy::dispatch::{Bus, Envelope, Event, Listener, Policy, listen_fn, testing::Gate};

fn capacity(events: usize) -> Policy<Ping> {
    Policy::new().capacity(NonZeroUsize::new(events).expect("not zero"))
}

fn quick() -> impl Listener<Ping> {
    listen_fn::<Ping, _, _>("quick", |_| async { Ok(()) })
}

/// One that stands before a gate with its first event.
fn stuck(gate: &Gate) -> impl Listener<Ping> + use<> {
    let gate = gate.clone();
    listen_fn::<Ping, _, _>("stuck", move |_| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(())
        }
    })
}

/// How many events are done at a listener, and how many dead.
fn ends(bus: &Bus, listener: &str) -> (u64, u64) {
    let ledger = bus.ledger();
    let entry = ledger.entry(Ping::NAME, listener).expect("is a listener");
    (entry.done, entry.dead)
}

/// A lane gets room only by turns of its worker. A router that takes the thread for as long as there are events would
/// bury all but the first 512 here.
#[tokio::test]
async fn a_crowded_lane_has_its_turns_while_more_comes() {
    let waits = listen_fn::<Ping, _, _>("waits", |ping: Arc<Envelope<Ping>>| async move {
        if ping.0.is_multiple_of(64) {
            yield_now().await;
        }
        Ok(())
    });
    let bus = Bus::builder()
        .listen_with(waits, capacity(512))
        .listen_with(quick(), capacity(4_096))
        .build()
        .expect("the listeners fit together");
    let receipts: Vec<_> = (0..2_000)
        .map(|number| bus.dispatch(Ping(number)))
        .collect();
    for receipt in receipts {
        within(receipt.settled()).await;
    }
    for listener in ["waits", "quick"] {
        assert_eq!(ends(&bus, listener), (2_000, 0), "{listener}");
    }
}

/// But a full intake buries at every lane, so where no turn makes room the router makes way only for as long as the
/// intake has some.
#[tokio::test]
async fn a_lane_that_stays_full_takes_no_event_from_the_others() {
    let gate = Gate::new();
    let bus = Bus::builder()
        .listen_with(stuck(&gate), capacity(2))
        .listen_with(quick(), capacity(256))
        .build()
        .expect("the listeners fit together");
    let mut last = bus.dispatch(Ping(0));
    for burst in 0..100 {
        for number in 0..100 {
            last = bus.dispatch(Ping(burst * 100 + number));
        }
        yield_now().await;
    }
    within(last.reached("quick")).await.expect("is a listener");
    assert_eq!(ends(&bus, "quick"), (10_001, 0));
    assert_eq!(ends(&bus, "stuck"), (0, 10_001 - 3));
    gate.open();
}

/// To make way costs the others time, so a router whose lanes have room does not.
#[tokio::test]
async fn a_router_whose_lanes_have_room_takes_one_turn() {
    let gate = Gate::new();
    let bus = Bus::builder()
        .listen_with(stuck(&gate), capacity(600))
        .build()
        .expect("the listeners fit together");
    for number in 0..300 {
        bus.dispatch(Ping(number));
    }
    yield_now().await;
    let lane = &bus.lanes()[0];
    assert_eq!(lane.waiting + lane.running, 300);
    gate.open();
}
