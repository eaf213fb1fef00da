//! Shutdown at any moment of a load that two threads keep up (D7).
//!
//! `cargo xtask soak --shutdowns 1000` runs it that often. What a run does is drawn from its seed, the
//! interleaving is the machine's.

mod dispatch;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use fastrand::Rng;
use tokio::task::yield_now;
use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, Delivery, Envelope, Event, EventId, Failed,
    Listener, Observer, Outcome, Overflow, Policy, Receipt, Retry, ShutdownReport, Skip, Stage,
    Step, Unreachable, inline_fn, listen_fn,
};

/// In which every kind of end and every lane must have been met.
const RUNS: u64 = 100;

/// So that a publisher that nobody stops does not fill the memory.
const MOST_EACH: usize = 5_000;

/// What a listener dispatches.
struct Pong(u64);

impl Event for Pong {
    const NAME: &'static str = "pong";
}

/// An event at a listener.
type Pair = (EventId, String);

/// What listeners and observers have seen of one run.
#[derive(Default)]
struct Notes {
    finished: Mutex<Vec<Pair>>,
    dispatched: Mutex<Vec<Receipt>>,
    ended: Mutex<Vec<(&'static str, Pair, Outcome)>>,
    refused: AtomicU64,
}

impl Notes {
    fn finished(&self) -> MutexGuard<'_, Vec<Pair>> {
        self.finished.lock().expect("not poisoned")
    }

    fn ended(&self) -> MutexGuard<'_, Vec<(&'static str, Pair, Outcome)>> {
        self.ended.lock().expect("not poisoned")
    }
}

impl Observer for Notes {
    fn observe(&self, step: &Step<'_>) {
        match (&step.stage, step.listener) {
            // A replay that is refused was never one event more.
            (Stage::Refused, None) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            // It runs for refused events too, and cannot be abandoned.
            (Stage::Ended { .. }, Some("inline")) => {}
            (Stage::Ended { outcome, .. }, Some(listener)) => {
                let pair = (step.id, listener.to_owned());
                self.ended().push((step.event, pair, *outcome));
            }
            _ => {}
        }
    }
}

/// What most listeners do with the event of that number.
async fn work(number: u64) -> Result<(), BoxError> {
    let attempt = Delivery::current().map_or(1, |delivery| delivery.attempt());
    for _ in 0..number % 3 {
        yield_now().await;
    }
    match number % 256 {
        0..8 if attempt == 1 => Err("the first attempt fails".into()),
        8 => Err("every attempt fails".into()),
        9 => Err(Skip.into()),
        10 => std::panic::resume_unwind(Box::new("without a message on the terminal")),
        11 => std::future::pending().await,
        _ => Ok(()),
    }
}

/// A listener that works, and notes what it has finished.
fn works<E: Event>(
    name: &'static str,
    notes: &Arc<Notes>,
    number: fn(&E) -> u64,
) -> impl Listener<E> {
    let notes = Arc::clone(notes);
    listen_fn(name, move |event: Arc<Envelope<E>>| {
        let notes = Arc::clone(&notes);
        async move {
            work(number(&event)).await?;
            if name == "dispatches" {
                let delivery = Delivery::current().expect("inside a listener");
                let receipt = delivery.dispatch(Pong(number(&event)));
                notes.dispatched.lock().expect("not poisoned").push(receipt);
            }
            notes.finished().push((event.id(), name.to_owned()));
            Ok(())
        }
    })
}

struct Batches(Arc<Notes>);

impl BatchListener<Ping> for Batches {
    async fn handle(&self, batch: &Batch<Ping>) -> Result<(), BoxError> {
        // A lane of batches that got on as well as the others would seldom have something to abandon.
        for _ in 0..64 {
            yield_now().await;
        }
        work(batch[0].0).await?;
        let finished = batch.iter().map(|ping| (ping.id(), "Batches".to_owned()));
        self.0.finished().extend(finished);
        Ok(())
    }
}

fn bus(notes: &Arc<Notes>) -> Bus {
    let some = |number| NonZeroUsize::new(number).expect("not zero");
    let millis = Duration::from_millis;
    let retry = Retry::new(NonZeroU32::new(3).expect("not zero"))
        .first_pause(millis(1))
        .longest_pause(millis(2));
    let ping = |name| works::<Ping>(name, notes, |ping| ping.0);
    let policy = || Policy::new().capacity(some(128)).time_out(millis(3));
    let batching = Batching::up_to(some(8)).linger(millis(1));
    let builder = Bus::builder()
        .observe(Arc::clone(notes))
        .dead_letter_capacity(some(64))
        .inline(inline_fn("inline", |_: &Ping| ()))
        .listen_with(ping("first"), policy().retry(retry))
        .listen_with(ping("left"), policy().after("first").retry(retry))
        .listen_with(
            ping("right"),
            policy()
                .after("first")
                .concurrency(some(2))
                .ordered_by(|ping: &Ping| ping.0 % 8),
        )
        .listen_with(ping("last"), policy().after("left").after("right"))
        .listen_batches(
            Batches(Arc::clone(notes)),
            batching,
            policy().concurrency(some(2)).retry(retry),
        )
        .listen_with(ping("paused"), policy())
        .listen_with(ping("behind paused"), policy().after("paused"))
        .listen_with(ping("coalesces"), policy().coalesce_by(|ping| ping.0 % 4))
        .listen_with(
            ping("drops"),
            policy().capacity(some(4)).overflow(Overflow::DropOldest),
        )
        .listen_with(ping("overflows"), policy().capacity(some(4)))
        .listen_with(ping("dispatches"), policy())
        .listen_with(
            works::<Pong>("hears", notes, |pong| pong.0),
            Policy::new().time_out(millis(3)),
        )
        .listen_with(
            // Most that fail have a number that does.
            works::<Failed<Ping>>("alerts", notes, |failed| failed.event().0 / 256),
            Policy::new().time_out(millis(3)),
        );
    #[cfg(feature = "rate-limit")]
    let builder = {
        use vacancy::dispatch::RateLimit;
        let limit = RateLimit::per_second(NonZeroU32::new(2_000).expect("not zero"));
        builder.listen_with(
            ping("limited"),
            policy().rate_limit(limit.burst(NonZeroU32::MIN)),
        )
    };
    builder.build().expect("the listeners fit together")
}

/// Dispatches until the bus is closed.
fn publish(bus: &Bus, mut dice: Rng, dispatched: &AtomicU64) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    while receipts.len() < MOST_EACH {
        let receipt = bus.dispatch(Ping(dice.u64(..)));
        dispatched.fetch_add(1, Ordering::Relaxed);
        let closed = receipt.outcome("inline") == Err(Unreachable::Closed);
        receipts.push(receipt);
        if closed {
            break;
        }
        for _ in 0..dice.u8(..16) {
            std::thread::yield_now();
        }
    }
    receipts
}

fn pause_or_resume(bus: &Bus, dice: &mut Rng) {
    let lanes = match dice.u8(..8) {
        0 => bus.resume("paused"),
        1 => bus.pause("paused"),
        _ => Ok(1),
    };
    assert_eq!(lanes, Ok(1));
}

/// One bus, from its first event to its end.
async fn run(seed: u64) -> Account {
    let mut dice = Rng::with_seed(seed);
    let notes = Arc::new(Notes::default());
    let bus = bus(&notes);
    let dispatched = Arc::new(AtomicU64::new(0));
    let publishers = [dice.fork(), dice.fork()].map(|dice| {
        let (bus, dispatched) = (bus.clone(), Arc::clone(&dispatched));
        tokio::task::spawn_blocking(move || publish(&bus, dice, &dispatched))
    });
    let begins = dice.u64(..200);
    let mut receipts = Vec::new();
    within(async {
        while dispatched.load(Ordering::Relaxed) < begins {
            pause_or_resume(&bus, &mut dice);
            if dice.u8(..32) == 0 {
                receipts.extend(bus.replay_where(|letter| letter.id().sequence() % 2 == 0));
            }
            yield_now().await;
        }
    })
    .await;
    let drains = dice.u8(..4) == 0;
    let deadline = if drains {
        Duration::from_secs(3600)
    } else {
        Duration::from_micros(dice.u64(..4_000))
    };
    let meddle = async {
        let mut replayed = Vec::new();
        for _ in 0..dice.u8(..50) {
            pause_or_resume(&bus, &mut dice);
            if dice.u8(..8) == 0 {
                replayed.extend(bus.replay_where(|_| true));
            }
            yield_now().await;
        }
        bus.resume("paused").expect("is a lane");
        replayed
    };
    let (report, replayed) = within(async { tokio::join!(bus.shutdown(deadline), meddle) }).await;
    receipts.extend(replayed);
    for publisher in publishers {
        receipts.extend(within(publisher).await.expect("a publisher never panics"));
    }
    receipts.append(&mut notes.dispatched.lock().expect("not poisoned"));
    assert!(!drains || report.is_drained(), "seed {seed}: {report:?}");
    Account::of(seed, &bus, &notes, &report, &receipts).await
}

/// What became of every event at every listener, by all who know.
struct Account {
    outcomes: BTreeMap<Pair, Outcome>,
    refused: u64,
    replayed: u64,
}

impl Account {
    /// Draws it up, and holds those who know against each other.
    async fn of(
        seed: u64,
        bus: &Bus,
        notes: &Notes,
        report: &ShutdownReport,
        receipts: &[Receipt],
    ) -> Self {
        let mut told = BTreeMap::new();
        for receipt in receipts {
            let settled = within(receipt.settled()).await;
            let outcomes = settled.outcomes().filter(|(name, _)| *name != "inline");
            told.extend(outcomes.map(|(name, outcome)| ((receipt.id(), name.to_owned()), outcome)));
        }
        let ended = notes.ended();
        let outcomes: BTreeMap<_, _> = ended
            .iter()
            .map(|(_, pair, outcome)| (pair.clone(), *outcome))
            .collect();
        assert_eq!(ended.len(), outcomes.len(), "seed {seed}: ended twice");
        // Nobody has the receipt of a failure, except of its replay.
        let failures = ended
            .iter()
            .filter(|(event, pair, _)| *event == Failed::<Ping>::NAME && !told.contains_key(pair))
            .map(|(_, pair, outcome)| (pair.clone(), *outcome));
        let failures: Vec<_> = failures.collect();
        told.extend(failures);
        let differ = |pair: &&Pair| told.get(*pair) != outcomes.get(*pair);
        let differing = told.keys().chain(outcomes.keys()).find(differ);
        assert_eq!(differing, None, "seed {seed}: the receipt and the observer");

        let of = |wanted: Outcome| {
            let outcomes = outcomes.iter();
            outcomes.filter_map(move |(pair, outcome)| (*outcome == wanted).then_some(pair))
        };
        let named = report.abandoned.iter();
        let named: Vec<_> = named
            .map(|one| (one.id, one.listener.to_string()))
            .collect();
        let once: BTreeSet<_> = named.iter().collect();
        assert_eq!(once.len(), named.len(), "seed {seed}: named twice");
        let abandoned: BTreeSet<_> = of(Outcome::Abandoned).collect();
        let differing = once.symmetric_difference(&abandoned).next();
        assert_eq!(differing, None, "seed {seed}: named or abandoned, not both");

        let finished = notes.finished();
        let once: BTreeSet<_> = finished.iter().collect();
        assert_eq!(once.len(), finished.len(), "seed {seed}: handled twice");
        let done: BTreeSet<_> = of(Outcome::Done).collect();
        assert!(done.is_subset(&once), "seed {seed}: done, not finished");
        // The deadline may pass between a listener's last step and the word of it.
        for pair in once.difference(&done) {
            assert!(abandoned.contains(pair), "seed {seed}: {pair:?} finished");
        }
        assert!(!report.is_drained() || once == done, "seed {seed}");

        let ledger = bus.ledger();
        assert!(ledger.balanced(), "seed {seed}: {ledger:#?}");
        let lanes = ledger.entries.iter().filter(|one| one.listener != "inline");
        for entry in lanes {
            let here = ended.iter().filter(|(event, (_, listener), _)| {
                (*event, listener.as_str()) == (entry.event, &*entry.listener)
            });
            assert_eq!(
                here.count() as u64,
                entry.accepted,
                "seed {seed}: {entry:?}"
            );
        }
        for (outcome, counted) in [
            (Outcome::Skipped, ledger.totals().skipped),
            (Outcome::Coalesced, ledger.totals().coalesced),
            (Outcome::Dropped, ledger.totals().dropped),
            (Outcome::Abandoned, ledger.totals().abandoned),
        ] {
            assert_eq!(
                of(outcome).count() as u64,
                counted,
                "seed {seed}: {outcome}"
            );
        }
        assert_eq!(ledger.refused, notes.refused.load(Ordering::Relaxed));
        let (refused, replayed) = (ledger.refused, ledger.totals().replayed);
        drop((ended, finished));
        Self {
            outcomes,
            refused,
            replayed,
        }
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// D7, D3: the report names what was abandoned, no more, no less and nothing twice; every receipt is
/// settled or says that the bus was closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_at_any_moment_names_exactly_what_it_abandoned() {
    let runs = from_environment("VACANCY_SHUTDOWNS", RUNS);
    let first = from_environment("VACANCY_SEED", fastrand::u64(..1 << 32));
    println!("{runs} shutdowns, seeds {first} to {}", first + runs - 1);
    let (mut refused, mut replayed, mut drained) = (0, 0, 0);
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut abandoned: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first + runs {
        let account = run(seed).await;
        refused += account.refused;
        replayed += account.replayed;
        let mut is_drained = true;
        for ((_, listener), outcome) in account.outcomes {
            *ends.entry(outcome.to_string()).or_default() += 1;
            if outcome == Outcome::Abandoned {
                is_drained = false;
                *abandoned.entry(listener).or_default() += 1;
            }
        }
        drained += u64::from(is_drained);
    }
    println!("{drained} drained; {refused} events refused, {replayed} replayed");
    println!("ends at listeners: {ends:?}");
    println!("abandoned, by listener: {abandoned:?}");
    // What this test means to have met, it has met.
    if runs >= RUNS {
        assert!(drained > 0 && refused > 0 && replayed > 0);
        for end in ["done", "skipped", "dropped", "coalesced", "abandoned"] {
            assert!(ends.contains_key(end), "none was {end}: {ends:?}");
        }
        for reason in ["failed", "panicked", "timed out", "overflowed"] {
            let dead = format!("dead ({reason})");
            assert!(ends.contains_key(&dead), "none was {dead}: {ends:?}");
        }
        for listener in ["first", "left", "right", "last", "Batches", "behind paused"] {
            assert!(abandoned.contains_key(listener), "{abandoned:?}");
        }
    }
}
