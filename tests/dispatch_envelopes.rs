//! Envelopes are used again for later events, which nobody notices who has one (promise 3).

mod dispatch;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{sync::mpsc, time::sleep};
use vacancy::dispatch::{
    BoxError, Bus, Envelope, Event, EventId, Outcome, Receipt, Skip, inline_fn, listen_fn,
};

/// More than one batch, and enough that most are dispatched in envelopes that others had before.
const EVENTS: u64 = 5_000;

/// Sends its number when it is dropped.
struct Guest(u64, mpsc::UnboundedSender<u64>);

impl Event for Guest {
    const NAME: &'static str = "guest";
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_that_somebody_keeps_stays_as_it_is() {
    type Kept = Arc<Mutex<Vec<(u64, EventId, Arc<Envelope<Ping>>)>>>;
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("keeps", move |ping| {
            if ping.0.is_multiple_of(7) {
                let mut kept = keep.lock().expect("no listener panics");
                kept.push((ping.0, ping.id(), ping));
            }
            async { Ok(()) }
        }))
        .build()
        .expect("the listener fits");
    for number in 0..EVENTS {
        let receipt = bus.dispatch(Ping(number));
        if number % 64 == 0 {
            assert!(within(receipt.settled()).await.all_done());
        }
    }
    assert!(bus.shutdown(Duration::from_secs(20)).await.is_drained());
    let kept = kept.lock().expect("no listener panics");
    assert_eq!(kept.len() as u64, EVENTS.div_ceil(7));
    for (number, id, ping) in &*kept {
        assert_eq!((ping.0, ping.id(), ping.depth()), (*number, *id, 0));
    }
}

/// Each receipt tells of its own event, whoever has the envelope later; and a lane that is slow, or comes after
/// others, has its own events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_tells_of_its_own_event() {
    let odd_ones_skip = |ping: Arc<Envelope<Ping>>| async move {
        match ping.0 % 2 {
            0 => Ok(()),
            _ => Err(BoxError::from(Skip)),
        }
    };
    let bus = Bus::builder()
        .inline(inline_fn("inline", |_: &Ping| ()))
        .listen(listen_fn::<Ping, _, _>("quick", odd_ones_skip))
        .listen(listen_fn::<Ping, _, _>(
            "slow",
            move |ping: Arc<Envelope<Ping>>| async move {
                if ping.0.is_multiple_of(500) {
                    sleep(Duration::from_millis(1)).await;
                }
                odd_ones_skip(ping).await
            },
        ))
        .build()
        .expect("the listeners fit together");
    let mut receipts: Vec<(u64, Receipt)> = Vec::new();
    for number in 0..EVENTS {
        let receipt = bus.dispatch(Ping(number));
        if number.is_multiple_of(3) {
            receipts.push((number, receipt));
        }
        if number % 256 == 0 {
            let (_, newest) = receipts.last().expect("that of the first event");
            within(newest.settled()).await;
        }
    }
    for (number, receipt) in receipts {
        let report = within(receipt.settled()).await;
        let due = match number % 2 {
            0 => Outcome::Done,
            _ => Outcome::Skipped,
        };
        for listener in ["quick", "slow"] {
            assert_eq!(
                report.outcome(listener),
                Some(due),
                "{number} at {listener}"
            );
        }
        assert_eq!(report.outcome("inline"), Some(Outcome::Done));
    }
}

/// On one thread and with one listener nobody else has the batch, on the busiest machine too: as soon as the router calls the
/// listener itself, each event has the envelope of the one before, which ended otherwise.
#[tokio::test]
async fn an_envelope_forgets_how_its_former_event_ended() {
    const ROUNDS: u64 = 500;
    let (tells, mut told) = mpsc::unbounded_channel();
    let odd_ones_skip = move |ping: Arc<Envelope<Ping>>| {
        let _ = tells.send(ping.0);
        async move {
            match ping.0 % 2 {
                0 => Ok(()),
                _ => Err(BoxError::from(Skip)),
            }
        }
    };
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("answers", odd_ones_skip))
        .build()
        .expect("the listener fits");
    for number in (1..2 * ROUNDS).step_by(2) {
        // A receipt would keep its envelope.
        drop(bus.dispatch(Ping(number)));
        assert_eq!(within(told.recv()).await, Some(number));
        let receipt = bus.dispatch(Ping(number + 1));
        assert!(within(receipt.settled()).await.all_done(), "{number}");
        assert_eq!(within(told.recv()).await, Some(number + 1));
    }
}

/// What an event holds, such as a permit or a reply channel, is let go of, though its envelope waits for the next.
#[tokio::test]
async fn an_event_is_dropped_once_it_has_been_handled() {
    let (drops, mut dropped) = mpsc::unbounded_channel();
    let bus = Bus::builder()
        .listen(listen_fn::<Guest, _, _>("greets", |_| async { Ok(()) }))
        .build()
        .expect("the listener fits");
    for number in 0..200 {
        drop(bus.dispatch(Guest(number, drops.clone())));
        assert_eq!(within(dropped.recv()).await, Some(number));
    }
}
