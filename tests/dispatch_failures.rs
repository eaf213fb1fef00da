//! Failures are events, dead letters are listed and replayed, and the ledger tells the story (D3).

mod dispatch;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use dispatch::{Ping, within};
use vacancy::dispatch::{
    BoxError, Bus, BusBuilder, Delivery, Envelope, Event, EventId, Failed, Listener, Outcome,
    Policy, Reason, Receipt, ReplayError, Retry, inline_fn, listen_fn,
};

/// Fails until it is repaired.
#[derive(Clone, Default)]
struct Mail {
    repaired: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// The number of the ping, and what it was a replay of.
type Sent = (u64, Option<EventId>);

impl Listener<Ping> for Mail {
    async fn handle(&self, ping: &Ping) -> Result<(), BoxError> {
        if !self.repaired.load(Ordering::Relaxed) {
            return Err("no route".into());
        }
        let replay_of = Delivery::current().and_then(|delivery| delivery.replay_of());
        let mut sent = self.sent.lock().expect("not poisoned");
        sent.push((ping.0, replay_of));
        Ok(())
    }
}

type Heard<E> = tokio::sync::mpsc::UnboundedReceiver<Arc<Envelope<Failed<E>>>>;

/// A listener to failures, and what it was told.
fn failures<E: Event>(name: &'static str) -> (impl Listener<Failed<E>>, Heard<E>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let listener = listen_fn::<Failed<E>, _, _>(name, move |failed| {
        let sent = sender.send(failed).map_err(BoxError::from);
        std::future::ready(sent)
    });
    (listener, receiver)
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_listed_replayed_after_the_repair_and_counted() {
    let mail = Mail::default();
    let retry = Retry::new(NonZeroU32::MIN.saturating_add(1));
    let bus = Bus::builder()
        .listen_with(mail.clone(), Policy::new().retry(retry))
        .listen(listen_fn::<Ping, _, _>("count", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..3).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &receipts {
        let report = within(receipt.settled()).await;
        assert_eq!(report.outcome("Mail"), Some(Outcome::Dead(Reason::Failed)));
    }
    let letters = bus.dead_letters();
    let listed: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.id(),
                letter.listener(),
                letter.error(),
                letter.attempts(),
            )
        })
        .collect();
    let expected: Vec<_> = receipts
        .iter()
        .map(|receipt| (receipt.id(), "Mail", "no route", 2))
        .collect();
    assert_eq!(listed, expected);

    // Not repaired: it dies again, as a replay of the first, and the old letter is gone.
    let again = bus.replay(&letters[0]).expect("is kept");
    assert_eq!(
        within(again.settled()).await.outcome("Mail"),
        Some(Outcome::Dead(Reason::Failed))
    );
    assert!(again.id() > receipts[2].id());
    let letters = bus.dead_letters();
    assert_eq!(letters.len(), 3);
    assert_eq!(letters[2].replay_of(), Some(receipts[0].id()));

    mail.repaired.store(true, Ordering::Relaxed);
    // One by one, and filtered.
    let second = bus.replay(&letters[0]).expect("is kept");
    let rest = bus.replay_where(|letter| letter.event::<Ping>().is_some_and(|ping| ping.0 != 1));
    assert_eq!(rest.len(), 2);
    for receipt in rest.iter().chain([&second]) {
        let report = within(receipt.settled()).await;
        let outcomes: Vec<_> = report.outcomes().collect();
        assert_eq!(outcomes, [("Mail", Outcome::Done)], "to that listener only");
    }
    // A replay of a replay names the first.
    let sent = mail.sent.lock().expect("not poisoned").clone();
    let first = |number: usize| (number as u64, Some(receipts[number].id()));
    assert_eq!(sent, [first(1), first(2), first(0)]);
    assert!(bus.dead_letters().is_empty());

    let ledger = bus.ledger();
    let entry = ledger.entry("ping", "Mail").expect("is a listener");
    assert_eq!((entry.accepted, entry.replayed), (7, 4));
    assert_eq!((entry.dead, entry.done), (4, 3));
    let count = ledger.entry("ping", "count").expect("is a listener");
    assert_eq!((count.accepted, count.replayed, count.done), (3, 0, 3));
    assert!(ledger.balanced());
}

#[tokio::test]
async fn a_letter_tells_of_which_version_its_event_is_and_when_it_died() {
    struct Third;
    impl Event for Third {
        const NAME: &'static str = "third";
        const VERSION: u16 = 3;
    }
    let before = SystemTime::now();
    let bus = Bus::builder()
        .listen(listen_fn::<Third, _, _>("mail", |_| async {
            Err("no route".into())
        }))
        .build()
        .expect("fits together");
    within(bus.dispatch(Third).settled()).await;
    let letter = Arc::clone(&bus.dead_letters()[0]);
    assert_eq!((letter.event_name(), letter.event_version()), ("third", 3));
    let (accepted, died) = (letter.accepted_at(), letter.died_at());
    assert!(before <= accepted && accepted <= died && died <= SystemTime::now());
}

#[tokio::test]
async fn a_letter_is_replayed_once_and_by_its_own_bus() {
    // With one worker and with several, whose events wait elsewhere.
    for workers in [1, 2] {
        let workers = NonZeroUsize::new(workers).expect("not 0");
        replay_once(Policy::new().concurrency(workers)).await;
    }
}

async fn replay_once(policy: Policy<Ping>) {
    let mail = Mail::default();
    let bus = || {
        Bus::builder()
            .listen_with(mail.clone(), policy.clone())
            .dead_letter_capacity(NonZeroUsize::MIN)
            .build()
            .expect("fits together")
    };
    let (bus, other) = (bus(), bus());
    for bus in [&bus, &other] {
        within(bus.dispatch(Ping(1)).settled()).await;
    }
    let letter = Arc::clone(&bus.dead_letters()[0]);
    assert_eq!(other.replay(&letter).err(), Some(ReplayError::Gone));
    assert!(bus.replay(&letter).is_ok());
    assert_eq!(bus.replay(&letter).err(), Some(ReplayError::Gone));
    // Evicted by the letter of its own replay and by this one.
    within(bus.dispatch(Ping(2)).settled()).await;
    let evicted = Arc::clone(&bus.dead_letters()[0]);
    within(bus.dispatch(Ping(3)).settled()).await;
    assert_eq!(bus.replay(&evicted).err(), Some(ReplayError::Gone));

    let kept = Arc::clone(&bus.dead_letters()[0]);
    within(bus.shutdown(Duration::from_secs(1))).await;
    assert_eq!(bus.replay(&kept).err(), Some(ReplayError::Closed));
    assert!(bus.replay_where(|_| true).is_empty());
    assert_eq!(bus.dead_letters().len(), 1, "it stays");
}

#[tokio::test]
async fn an_inline_listener_is_replayed_where_it_is_asked_for() {
    let (fails, ran) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let (failing, runs) = (Arc::clone(&fails), Arc::clone(&ran));
    let bus = Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", move |ping: &Ping| {
            assert!(!failing.load(Ordering::Relaxed), "broken");
            let replay = Delivery::current().and_then(|delivery| delivery.replay_of());
            runs.lock().expect("not poisoned").push((ping.0, replay));
        }))
        .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    let died = Outcome::Dead(Reason::Panicked);
    assert_eq!(within(receipt.settled()).await.outcome("fence"), Some(died));
    let again = bus.replay(&bus.dead_letters()[0]).expect("is kept");
    assert_eq!(again.outcome("fence"), Ok(Some(died)));
    fails.store(false, Ordering::Relaxed);
    let done = bus.replay(&bus.dead_letters()[0]).expect("is kept");
    assert_eq!(done.outcome("fence"), Ok(Some(Outcome::Done)));
    assert!(within(done.settled()).await.all_done());
    assert_eq!(
        *ran.lock().expect("not poisoned"),
        [(1, Some(receipt.id()))]
    );
    let ledger = bus.ledger();
    let entry = ledger.entry("ping", "fence").expect("is a listener");
    assert_eq!((entry.accepted, entry.replayed), (3, 2));
    assert_eq!((entry.dead, entry.done), (2, 1));
}

#[tokio::test]
async fn a_replay_goes_to_nobody_who_comes_after() {
    let mail = Mail::default();
    let after = Policy::new().after("Mail");
    let bus = Bus::builder()
        .listen(mail.clone())
        .listen_with(
            listen_fn::<Ping, _, _>("after", |_| async { Ok(()) }),
            after,
        )
        .build()
        .expect("fits together");
    within(bus.dispatch(Ping(1)).settled()).await;
    mail.repaired.store(true, Ordering::Relaxed);
    let receipt = bus.replay(&bus.dead_letters()[0]).expect("is kept");
    assert!(within(receipt.settled()).await.all_done());
    within(bus.shutdown(Duration::from_secs(1))).await;
    let ledger = bus.ledger();
    assert_eq!(
        ledger.entry("ping", "after").map(|entry| entry.done),
        Some(1)
    );
    assert!(ledger.balanced());
}

#[tokio::test]
async fn a_failure_is_an_event_that_listeners_hear() {
    let (alert, mut alerts) = failures::<Ping>("alert");
    let bus = Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", |ping: &Ping| {
            assert!(ping.0 != 2, "two");
        }))
        .listen(Mail::default())
        .listen(alert)
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    let failed = within(alerts.recv()).await.expect("was sent");
    assert_eq!(Failed::<Ping>::NAME, "ping.failed");
    assert_eq!(failed.event().event().0, 1);
    assert_eq!(failed.event().id(), receipt.id());
    assert_eq!((failed.listener(), failed.error()), ("Mail", "no route"));
    assert_eq!(failed.reason(), Reason::Failed);
    assert_eq!((failed.cause(), failed.depth()), (Some(receipt.id()), 1));
    assert_eq!(failed.letter().id(), receipt.id());

    bus.dispatch(Ping(2));
    let inline = within(alerts.recv()).await.expect("was sent");
    assert_eq!((inline.listener(), inline.error()), ("fence", "two"));
}

/// A flood of events that overflow had its failures overflow too. Each left a letter, and those of the events
/// themselves made room for letters that said that an alert had not been given.
#[tokio::test]
async fn a_failure_that_nobody_has_room_to_hear_is_counted_and_displaces_no_letter() {
    let (alert, mut alerts) = failures::<Ping>("alert");
    let count = listen_fn::<Ping, _, _>("count", |_| async { Ok(()) });
    let bus = Bus::builder()
        .listen_with(count, Policy::new().capacity(NonZeroUsize::MIN))
        .listen_with(alert, Policy::new().capacity(NonZeroUsize::MIN))
        .build()
        .expect("fits together");
    // Nothing of the bus runs in between: each intake takes one.
    let receipts: Vec<_> = (0..4).map(|number| bus.dispatch(Ping(number))).collect();
    let overflowed = receipts[1..].iter().map(Receipt::id);
    let letters = bus.dead_letters();
    assert!(letters.iter().map(|letter| letter.id()).eq(overflowed));
    let told = within(alerts.recv()).await.expect("was sent");
    assert_eq!(told.letter().id(), receipts[1].id());
    within(bus.shutdown(Duration::from_secs(60))).await;
    assert!(alerts.recv().await.is_none());
    let ledger = bus.ledger();
    assert_eq!((ledger.untold, ledger.totals().dead), (2, 3));
    assert!(ledger.balanced());
}

#[tokio::test]
async fn an_inline_listener_hears_of_failures_that_the_others_have_no_room_for() {
    let (alert, _alerts) = failures::<Ping>("alert");
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&heard);
    let count = listen_fn::<Ping, _, _>("count", |_| async { Ok(()) });
    let bus = Bus::builder()
        .listen_with(count, Policy::new().capacity(NonZeroUsize::MIN))
        .listen_with(alert, Policy::new().capacity(NonZeroUsize::MIN))
        .inline(inline_fn::<Failed<Ping>, _>("tally", move |_| {
            hears.fetch_add(1, Ordering::Relaxed);
        }))
        .build()
        .expect("fits together");
    for number in 0..4 {
        bus.dispatch(Ping(number));
    }
    assert_eq!(heard.load(Ordering::Relaxed), 3);
    let ledger = bus.ledger();
    let alert = ledger.entry("ping.failed", "alert").expect("is listed");
    assert_eq!((ledger.untold, alert.accepted, alert.dead), (0, 3, 2));
}

/// Without a listener there is no such event; with one, its own failures end with the chain.
#[tokio::test]
async fn failures_of_those_who_hear_failures_do_not_go_on_for_ever() {
    let bus = Bus::builder()
        .listen(Mail::default())
        .listen(listen_fn::<Failed<Ping>, _, _>("alert", |_| async {
            Delivery::current().map(|delivery| delivery.dispatch(Ping(2)));
            Err("no pager".into())
        }))
        .max_causation_depth(NonZeroU32::new(4).expect("not zero"))
        .build()
        .expect("fits together");
    bus.dispatch(Ping(1));
    // Depths 0 to 4 are pings and failures in turn; the ping at depth 6 would be too deep.
    while bus.dead_letters().len() < 5 {
        tokio::task::yield_now().await;
    }
    within(bus.shutdown(Duration::from_secs(1))).await;
    let letters = bus.dead_letters();
    let died: Vec<_> = letters.iter().map(|letter| letter.event_name()).collect();
    assert_eq!(died, ["ping", "ping.failed", "ping", "ping.failed", "ping"]);
    assert!(bus.ledger().balanced());
}

#[tokio::test]
async fn a_letter_whose_replay_is_refused_goes_back_to_its_place() {
    for workers in [1, 2] {
        let policy = Policy::new().concurrency(NonZeroUsize::new(workers).expect("not zero"));
        refuses_replays(Bus::builder().listen_with(Mail::default(), policy)).await;
    }
}

async fn refuses_replays(bus: BusBuilder) {
    let bus = bus.build().expect("fits together");
    for number in 0..3 {
        within(bus.dispatch(Ping(number)).settled()).await;
    }
    let letters = bus.dead_letters();
    within(bus.shutdown(Duration::from_secs(60))).await;
    for letter in &letters {
        assert_eq!(bus.replay(letter).err(), Some(ReplayError::Closed));
        let kept = bus.dead_letters();
        assert!(
            kept.iter()
                .zip(&letters)
                .all(|(kept, letter)| Arc::ptr_eq(kept, letter))
        );
        assert_eq!(kept.len(), 3);
    }
}

#[tokio::test]
async fn a_failure_during_a_shutdown_is_a_dead_letter_only() {
    let (alert, mut alerts) = failures::<Ping>("alert");
    let bus = Bus::builder()
        .listen(Mail::default())
        .listen(alert)
        .build()
        .expect("fits together");
    bus.pause("Mail").expect("is a listener");
    bus.dispatch(Ping(1));
    let resumed = async {
        while bus.lanes().iter().all(|lane| lane.waiting == 0) {
            tokio::task::yield_now().await;
        }
        bus.resume("Mail")
    };
    let (report, resumed) = tokio::join!(within(bus.shutdown(Duration::from_secs(60))), resumed);
    assert_eq!(resumed, Ok(1));
    assert!(report.is_drained());
    assert_eq!((bus.dead_letters().len(), bus.ledger().refused), (1, 0));
    drop(bus);
    assert!(within(alerts.recv()).await.is_none());
}
