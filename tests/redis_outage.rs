//! Whatever Redis does, a read is answered by the source, a booking goes on, and what could not be
//! confirmed is confirmed later.

mod support;

use std::{num::NonZeroUsize, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{
    nodes::{DAY, Node, Origin, TENANT, ask, day, redis, strict},
    salon::{Salon, alone, booking, diary, october, wednesday},
    soon, until, until_idle,
};
use vacancy::{
    cache::{Level2Statistics, Redis, Source, Unconfirmed},
    dispatch::{Outcome, Reason, Receipt},
    slots::Slot,
};
use vacancy_testbed::{Direction, Fault, Proxy, RedisServer};

/// Longer than an outage in these tests has to last to be noticed.
const WITHIN: Duration = Duration::from_millis(500);

fn hasty(redis: Redis) -> Redis {
    redis
        .time_out(Duration::from_millis(100))
        .confirm_within(WITHIN)
}

/// The sums of counters over all their labels.
fn counted<const N: usize>(snapshotter: &Snapshotter, names: [&str; N]) -> [u64; N] {
    let metrics = snapshotter.snapshot().into_vec();
    names.map(|name| {
        let own = metrics.iter().filter(|(key, ..)| key.key().name() == name);
        own.map(|(.., value)| match value {
            DebugValue::Counter(count) => *count,
            other => panic!("{name} is {other:?}"),
        })
        .sum()
    })
}

/// Bookings of an outage, and what has come of them.
struct Bookings {
    salon: Salon,
    free: Vec<Slot>,
    receipts: Vec<Receipt>,
}

impl Bookings {
    /// Books so many slots, one after the other, and looks each time whether the slot is gone.
    async fn book(&mut self, count: usize) {
        for _ in 0..count {
            let (id, slot) = (self.receipts.len(), self.free.remove(0));
            let booked = booking(id as u64, &slot);
            self.salon.commit(&booked);
            self.receipts.push(self.salon.dispatch(&booked));
            let day = october(1 + id as i64 / 18, 1);
            assert!(!self.salon.offers(&day, &slot).await, "{slot:?}");
        }
    }

    fn dead(&self) -> usize {
        let outcome = |receipt: &&Receipt| {
            let outcome = receipt.outcome("slots.invalidate").expect("it listens");
            matches!(outcome, Some(Outcome::Dead(_)))
        };
        self.receipts.iter().filter(outcome).count()
    }

    fn level2(&self) -> Level2Statistics {
        self.salon.slots.statistics().level2
    }
}

#[tokio::test]
async fn a_thousand_bookings_survive_the_death_of_redis() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let mut server = RedisServer::start().await.unwrap();
    let salon = Salon::sharing(&diary(), hasty(strict(&server.url())));
    let mut bookings = Bookings {
        free: salon.diary.free(&october(1, 62)),
        salon: salon.clone(),
        receipts: Vec::new(),
    };
    salon.load(&wednesday()).await;

    bookings.book(400).await;
    server.kill().await.unwrap();
    bookings.book(250).await;
    until(|| bookings.dead() >= 100).await;
    let outage = bookings.level2();
    assert!(outage.pending > 0 && outage.bypassed > 0 && outage.errors > 0);
    bookings.book(50).await;
    server.restart().await.unwrap();
    bookings.book(300).await;

    let (mut done, mut unconfirmed) = (0, 0);
    for receipt in &bookings.receipts {
        match soon(receipt.reached("slots.invalidate")).await.unwrap() {
            Outcome::Done => done += 1,
            Outcome::Dead(Reason::Failed) => unconfirmed += 1,
            other => panic!("{other}"),
        }
    }
    let letters = salon.bus.dead_letters();
    assert!(
        letters
            .iter()
            .all(|letter| letter.error().contains("did not confirm")
                || letter.error().contains("not every node"))
    );
    until(|| bookings.level2().pending == 0).await;

    let (statistics, level2) = (salon.slots.statistics(), bookings.level2());
    let entry = salon.bus.ledger();
    let entry = entry
        .entry("appointment.booked", "slots.invalidate")
        .unwrap();
    println!("{done} done, {unconfirmed} unconfirmed\n{entry:?}\n{level2:#?}");
    assert_eq!((entry.accepted, done + unconfirmed), (1000, 1000));
    assert_eq!((entry.done, entry.dead), (done, unconfirmed));
    assert!(salon.bus.ledger().balanced());
    assert!(done > 0 && unconfirmed >= 100);
    let [attempts, failed] = counted(
        &snapshotter,
        [
            "cache_invalidation_attempts_total",
            "cache_invalidation_failed_total",
        ],
    );
    assert_eq!((attempts, failed), (done + unconfirmed, unconfirmed));
    assert_eq!(level2.unconfirmed, unconfirmed);
    assert_eq!(level2.confirmed, statistics.invalidations);
    assert!(level2.incarnations >= 2);

    // Redis is used again, and what it has is true.
    salon.load(&october(1, 62)).await;
    let other = Salon::sharing(&salon.diary, redis(&server.url()));
    assert_eq!(
        other.open(&october(1, 62)).await,
        salon.diary.free(&october(1, 62))
    );
    assert!(other.slots.statistics().level2.hits > 0);
}

#[tokio::test]
async fn reads_without_redis_are_shared_while_they_wait_and_let_through_a_few_at_a_time() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().await.unwrap();
    let diary = diary();
    let settings = alone(&diary)
        .redis(hasty(redis(&server.url())))
        .max_loads(const { NonZeroUsize::new(2).unwrap() });
    let salon = Salon::new(&diary, settings);
    until(|| salon.slots.statistics().level2.errors > 0).await;
    salon.open(&october(30, 1)).await; // notices that Redis is not there, if nobody has
    let (calls, gate) = (diary.calls(), diary.gated());

    let mut readers = Vec::new();
    for number in 1..=8 {
        for _ in 0..5 {
            let (salon, day) = (salon.clone(), october(number, 1));
            readers.push(tokio::spawn(async move { salon.open(&day).await }));
        }
    }
    // The first readers of two days are let through at once. What they load may be untrue by the time
    // that the next ones come, and nobody would know; those share another load.
    for days in 1..=5 {
        gate.entered().await;
        gate.entered().await;
        until_idle().await;
        assert_eq!((gate.waiting(), diary.calls()), (0, calls + 2 * days));
        gate.release();
        gate.release();
    }
    for (place, reader) in readers.into_iter().enumerate() {
        let day = october(1 + place as i64 / 5, 1);
        assert_eq!(soon(reader).await.unwrap(), diary.free(&day));
    }
    assert_eq!(diary.calls(), calls + 10);
}

/// What a node shows while Redis does not answer, and after that.
struct Outage {
    node: Node,
    /// Reaches Redis whenever it runs.
    origin: Origin,
}

impl Outage {
    async fn new(url: &str) -> Self {
        let origin = Origin::new();
        let node = Node::new(hasty(strict(url)), &origin);
        Self { node, origin }
    }

    /// A node that has a value in level 1.
    async fn after_a_hit(url: &str) -> Self {
        let outage = Self::new(url).await;
        outage.node.leased().await;
        outage.node.load(&DAY).await;
        soon(async { while outage.node.read(&DAY).await != (1, Source::Level1) {} }).await;
        outage
    }

    /// Changes and reads, none of which may fail, nor be wrong.
    async fn holds(&self) {
        for value in 100..110 {
            self.node.change(&DAY, value);
            assert_eq!(self.node.read(&DAY).await.0, value);
        }
        let confirmed = soon(self.node.cache.confirmed(TENANT, None)).await;
        assert_eq!(confirmed, Err(Unconfirmed::Redis { waited: WITHIN }));
        assert_eq!(self.node.read(&DAY).await, (109, Source::Loaded));
        // Nothing can be kept that others could not invalidate.
        until(|| !self.node.cache.is_leased(TENANT)).await;
        assert_eq!(self.node.read(&DAY).await, (109, Source::Loaded));
        let level2 = self.node.level2();
        assert!(level2.pending > 0 && level2.errors > 0 && level2.bypassed > 0);
        assert_eq!(level2.unconfirmed, 1);
    }

    /// Redis answers again, by this address.
    async fn ends(&self, url: &str) {
        self.node.confirmed().await;
        assert_eq!(self.node.level2().pending, 0);
        let statistics = self.node.cache.statistics();
        assert_eq!(statistics.level2.confirmed, statistics.invalidations);
        soon(async { while self.node.read(&DAY).await != (109, Source::Level1) {} }).await;
        let other = Node::new(redis(url), &self.origin);
        assert_eq!(other.read(&DAY).await.0, 109);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_never_there_is_used_when_it_comes() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().await.unwrap();
    let outage = Outage::new(&server.url()).await;
    assert_eq!(outage.node.read(&DAY).await, (1, Source::Loaded));
    outage.holds().await;
    server.restart().await.unwrap();
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_and_comes_back_empty_is_used_again() {
    let mut server = RedisServer::start().await.unwrap();
    let outage = Outage::after_a_hit(&server.url()).await;
    server.kill().await.unwrap();
    outage.holds().await;
    server.restart().await.unwrap();
    outage.ends(&server.url()).await;
    assert!(outage.node.level2().incarnations >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_holds_up_nobody() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let outage = Outage::after_a_hit(&proxy.url()).await;
    proxy.set(Fault::BlackHole(Direction::Both));
    outage.holds().await;
    proxy.set(Fault::None);
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_holds_up_nobody() {
    let server = RedisServer::start().await.unwrap();
    let outage = Outage::after_a_hit(&server.url()).await;
    server.pause().unwrap();
    outage.holds().await;
    server.resume().unwrap();
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_half_open_are_given_up() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let outage = Outage::after_a_hit(&proxy.url()).await;
    proxy.set(Fault::Drop(Direction::ToClient));
    outage.holds().await;
    proxy.set(Fault::None); // what is half-open stays so
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_cut_short_are_no_answers() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let outage = Outage::after_a_hit(&proxy.url()).await;
    for bytes in [0, 1, 3, 20, 60, 150, 400] {
        proxy.set(Fault::TruncateAfter(bytes));
        outage.node.change(&DAY, bytes + 2);
        assert_eq!(outage.node.read(&DAY).await.0, bytes + 2);
    }
    proxy.set(Fault::TruncateAfter(10));
    outage.holds().await;
    proxy.set(Fault::None);
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_has_become_a_replica_is_not_used() {
    let server = RedisServer::start().await.unwrap();
    let primary = RedisServer::start().await.unwrap();
    let outage = Outage::after_a_hit(&server.url()).await;
    let port = primary.port().to_string();
    ask(&server, &["REPLICAOF", "127.0.0.1", &port]).await;
    outage.holds().await;
    server.promote().await.unwrap();
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_memory_is_not_used() {
    let server = RedisServer::start_with(&[("maxmemory-policy", "noeviction")])
        .await
        .unwrap();
    let outage = Outage::after_a_hit(&server.url()).await;
    ask(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    outage.holds().await;
    ask(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    outage.ends(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_costs_level_2_until_it_is_right_and_is_not_told() {
    const WRONG: &str = "swordfish";
    let server = RedisServer::start_with(&[("requirepass", "sesame")])
        .await
        .unwrap();
    let url = server.url().replace("sesame", WRONG);
    let outage = Outage::new(&url).await;
    outage.holds().await;
    let error = outage.node.cache.confirmed(TENANT, None).await.unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", outage.node.cache).contains(WRONG));
    assert_eq!(outage.node.level2().leases, 0);
    ask(&server, &["CONFIG", "SET", "requirepass", WRONG]).await;
    outage.ends(&url).await;
}

/// Nothing is lost of an outage that no one waited for.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_that_nobody_waits_for_is_confirmed_after_the_outage() {
    let mut server = RedisServer::start().await.unwrap();
    let outage = Outage::after_a_hit(&server.url()).await;
    server.kill().await.unwrap();
    for number in 0..1000 {
        outage.node.change(&day(number), 5);
    }
    assert_eq!(outage.node.level2().pending, 1000);
    server.restart().await.unwrap();
    until(|| outage.node.level2().pending == 0).await;
    assert_eq!(outage.node.level2().confirmed, 1000);
}
