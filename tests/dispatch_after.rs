//! Listeners that come after others: given the event once, by the last of those, whatever became of it.

mod dispatch;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::sync::{Notify, Semaphore};
use vacancy::dispatch::{
    BuildError, Bus, BusBuilder, Envelope, Listener, Outcome, Overflow, Policy, Reason, inline_fn,
    listen_fn,
};

/// Writes down who handled what.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<(&'static str, u64)>>>);

impl Diary {
    fn listener(&self, name: &'static str) -> impl Listener<Ping> {
        let diary = self.0.clone();
        listen_fn::<Ping, _, _>(name, move |ping: Arc<Envelope<Ping>>| {
            diary.lock().expect("not poisoned").push((name, ping.0));
            std::future::ready(Ok(()))
        })
    }

    /// One that lets all others run before it is done.
    fn slow(&self, name: &'static str) -> impl Listener<Ping> {
        let diary = self.0.clone();
        listen_fn::<Ping, _, _>(name, move |ping: Arc<Envelope<Ping>>| {
            let diary = Arc::clone(&diary);
            async move {
                for _ in 0..16 {
                    tokio::task::yield_now().await;
                }
                diary.lock().expect("not poisoned").push((name, ping.0));
                Ok(())
            }
        })
    }

    fn of(&self, number: u64) -> Vec<&'static str> {
        let diary = self.0.lock().expect("not poisoned");
        let entries = diary.iter().filter(|(_, ping)| *ping == number);
        entries.map(|(name, _)| *name).collect()
    }
}

fn after(names: &[&'static str]) -> Policy<Ping> {
    names
        .iter()
        .fold(Policy::new(), |policy, name| policy.after(*name))
}

#[tokio::test]
async fn a_listener_runs_after_all_those_it_comes_after() {
    let diary = Diary::default();
    // Registered in the wrong order on purpose.
    let bus = Bus::builder()
        .listen_with(diary.listener("last"), after(&["left", "right"]))
        .listen_with(diary.listener("left"), after(&["first"]))
        .listen_with(diary.slow("right"), after(&["first"]))
        .listen(diary.slow("first"))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..200).map(|number| bus.dispatch(Ping(number))).collect();
    for (number, receipt) in receipts.iter().enumerate() {
        assert!(within(receipt.settled()).await.all_done());
        let order = diary.of(number as u64);
        assert_eq!(order.len(), 4, "{order:?}");
        assert_eq!((order[0], order[3]), ("first", "last"), "{order:?}");
    }
    assert!(bus.ledger().balanced());
}

/// Two that end at the same moment on two threads give the event to the third once, and not never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_handed_over_once_however_its_predecessors_race() {
    let diary = Diary::default();
    let mut builder = Bus::builder();
    // More than sixteen, so that the marks of the predecessors are in different words.
    let names: Vec<&'static str> = (0..20)
        .map(|number| &*format!("p{number}").leak())
        .collect();
    for name in &names {
        builder = builder.listen(diary.listener(name));
    }
    let last = diary.listener("last");
    let bus = builder
        .listen_with(last, after(&names))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..1000).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &receipts {
        assert_eq!(within(receipt.reached("last")).await, Ok(Outcome::Done));
    }
    let ledger = bus.ledger();
    let last = ledger.entries.iter().find(|entry| entry.listener == "last");
    assert_eq!(last.map(|last| last.done), Some(1000));
    assert!(ledger.balanced());
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_the_first_the_second_has_its_turn() {
    let diary = Diary::default();
    let hangs = listen_fn::<Ping, _, _>("first", |ping: Arc<Envelope<Ping>>| async move {
        match ping.0 {
            0 => Err("refused".into()),
            1 => panic!("broken"),
            2 => std::future::pending().await,
            _ => Ok(()),
        }
    });
    let policy = Policy::new()
        .capacity(NonZeroUsize::new(2).expect("not zero"))
        .time_out(Duration::from_secs(5));
    let bus = Bus::builder()
        .listen_with(hangs, policy)
        .listen_with(diary.listener("second"), after(&["first"]))
        .build()
        .expect("fits together");
    let outcomes = [
        Outcome::Dead(Reason::Failed),
        Outcome::Dead(Reason::Panicked),
        Outcome::Dead(Reason::TimedOut),
        Outcome::Done,
    ];
    for (number, expected) in outcomes.into_iter().enumerate() {
        let report = within(bus.dispatch(Ping(number as u64)).settled()).await;
        assert_eq!(report.outcome("first"), Some(expected));
        assert_eq!(report.outcome("second"), Some(Outcome::Done));
        assert_eq!(diary.of(number as u64), ["second"]);
    }
}

#[tokio::test]
async fn what_the_first_drops_or_coalesces_the_second_still_hears() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = Arc::clone(&gate);
    let first = || {
        let gate = Arc::clone(&gated);
        listen_fn::<Ping, _, _>("first", move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        })
    };
    let dropping = Policy::new()
        .capacity(NonZeroUsize::MIN)
        .overflow(Overflow::DropOldest);
    for policy in [dropping, Policy::new().coalesce_by(|_| ())] {
        let diary = Diary::default();
        let bus = Bus::builder()
            .listen_with(first(), policy)
            .listen_with(diary.listener("second"), after(&["first"]))
            .build()
            .expect("fits together");
        let mut receipts = Vec::new();
        for number in 0..5 {
            receipts.push(bus.dispatch(Ping(number)));
            // Into the lane one by one, or the intake of one would overflow.
            while bus.ledger().entries[0].waiting() > 2 {
                tokio::task::yield_now().await;
            }
        }
        gate.add_permits(10);
        for receipt in &receipts {
            assert_eq!(within(receipt.reached("second")).await, Ok(Outcome::Done));
        }
        assert!(bus.ledger().entries[0].done < 5);
        assert!(bus.ledger().balanced());
    }
}

/// Neither is lost: what never reached the second is named there too.
#[tokio::test(start_paused = true)]
async fn a_shutdown_names_what_the_second_was_never_given() {
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    let diary = Diary::default();
    let hangs = listen_fn::<Ping, _, _>("first", move |_| {
        begins.notify_one();
        std::future::pending()
    });
    let bus = Bus::builder()
        .listen_with(diary.listener("second"), after(&["first"]))
        .listen(hangs)
        .build()
        .expect("fits together");
    let receipts = [bus.dispatch(Ping(1)), bus.dispatch(Ping(2))];
    within(begun.notified()).await;
    let report = within(bus.shutdown(Duration::from_secs(1))).await;
    let mut named: Vec<_> = report
        .abandoned
        .iter()
        .map(|one| (one.id.sequence(), one.listener.to_string()))
        .collect();
    named.sort();
    let expected: Vec<_> = receipts
        .iter()
        .flat_map(|receipt| {
            let number = receipt.id().sequence();
            ["first", "second"].map(|name| (number, name.to_owned()))
        })
        .collect();
    assert_eq!(named, expected);
    assert!(diary.of(1).is_empty());
    assert!(bus.ledger().balanced());
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_those_that_come_after() {
    let diary = Diary::default();
    let slow = listen_fn::<Ping, _, _>("first", |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let bus = Bus::builder()
        .listen(slow)
        .listen_with(diary.listener("second"), after(&["first"]))
        .listen_with(diary.listener("third"), after(&["second"]))
        .build()
        .expect("fits together");
    for number in 0..3 {
        bus.dispatch(Ping(number));
    }
    let report = within(bus.shutdown(Duration::from_secs(10))).await;
    assert!(report.is_drained(), "{report:?}");
    assert_eq!(diary.of(2), ["second", "third"]);
    assert_eq!(bus.ledger().totals().done, 9);
}

fn refused(builder: BusBuilder) -> BuildError {
    builder.build().expect_err("does not fit together")
}

#[tokio::test]
async fn listeners_that_wait_for_each_other_are_found_when_the_bus_is_built() {
    let diary = Diary::default();
    let bus = Bus::builder()
        .listen(diary.listener("outside"))
        .listen_with(diary.listener("a"), after(&["outside", "b"]))
        .listen_with(diary.listener("b"), after(&["c"]))
        .listen_with(diary.listener("c"), after(&["a"]));
    assert_eq!(
        refused(bus).to_string(),
        "listeners of ping wait for each other: a after b after c after a"
    );
    let itself = Bus::builder().listen_with(diary.listener("a"), after(&["a"]));
    assert_eq!(
        refused(itself).to_string(),
        "listeners of ping wait for each other: a after a"
    );
    let unknown = Bus::builder().listen_with(diary.listener("a"), after(&["nobody"]));
    assert_eq!(
        refused(unknown).to_string(),
        "a of ping comes after nobody, which does not listen to it"
    );
}

#[tokio::test]
async fn an_inline_or_a_disabled_listener_is_not_waited_for() {
    let diary = Diary::default();
    let bus = Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen_with(diary.listener("off"), Policy::new().enabled(false))
        .listen_with(diary.listener("mail"), after(&["fence", "off"]))
        .build()
        .expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert_eq!(report.outcome("mail"), Some(Outcome::Done));
    assert_eq!(diary.of(1), ["mail"]);
}

/// A flood that a full lane has no room for is handed on as one: each event once, in order, also past a lane that is full
/// itself.
#[tokio::test]
async fn what_a_full_lane_buries_goes_on_in_order() {
    let two = NonZeroUsize::new(2).expect("not zero");
    let (diary, gate) = (Diary::default(), Arc::new(Semaphore::new(0)));
    let opens = Arc::clone(&gate);
    let first = listen_fn::<Ping, _, _>("first", move |_| {
        let opens = Arc::clone(&opens);
        async move {
            drop(opens.acquire().await);
            Ok(())
        }
    });
    let bus = Bus::builder()
        .listen_with(first, Policy::new().capacity(two))
        .listen_with(diary.listener("narrow"), after(&["first"]).capacity(two))
        .listen_with(diary.listener("wide"), after(&["first"]))
        .listen_with(diary.listener("last"), after(&["narrow", "wide"]))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..50).map(|number| bus.dispatch(Ping(number))).collect();
    within(receipts[49].reached("last"))
        .await
        .expect("is a listener");
    let seen = |name: &str| -> Vec<u64> {
        let diary = diary.0.lock().expect("not poisoned");
        let entries = diary.iter().filter(|(listener, _)| *listener == name);
        entries.map(|(_, number)| *number).collect()
    };
    let passed: Vec<u64> = (2..50).collect();
    assert_eq!(seen("wide"), passed);
    assert_eq!(seen("narrow"), passed[..2]);
    let mut last = seen("last");
    last.sort_unstable();
    assert_eq!(last, passed);

    gate.add_permits(2);
    for receipt in &receipts {
        within(receipt.settled()).await;
    }
    assert_eq!(seen("wide").len(), 50);
    assert_eq!(seen("last").len(), 50);
    assert!(bus.ledger().balanced());
}
