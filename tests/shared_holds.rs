//! A hold over Redis: between the commit and its event no process offers what the commit has taken, even
//! if nobody is left to tell.

mod support;

use std::time::Duration;

use support::{
    Gate,
    nodes::{DAY, Day, Node, Origin, TENANT, ask, day, key, keys, strict},
    salon::{Salon, alone, booking, diary, wednesday},
    soon, until,
};
use vacancy::{
    cache::{Hold, Source, Unconfirmed},
    dispatch::Outcome,
};
use vacancy_testbed::{Direction, Fault, Proxy, RedisServer};

const LONG: Duration = Duration::from_secs(600);

async fn nodes<const N: usize>(server: &RedisServer, origin: &Origin) -> [Node; N] {
    let nodes = [(); N].map(|()| Node::new(strict(&server.url()), origin));
    for node in &nodes {
        node.leased().await;
    }
    nodes
}

async fn hold(node: &Node, day: &Day) -> Hold {
    let held = soon(node.cache.hold(&[day.cover()], LONG)).await;
    held.expect("redis runs")
}

/// Reads until level 1 answers.
async fn keep(node: &Node, day: &Day) -> u64 {
    soon(async {
        loop {
            if let (value, Source::Level1) = node.read(day).await {
                return value;
            }
        }
    })
    .await
}

/// Under a hold, every read is a load that leaves nothing behind.
async fn keeps_nothing(node: &Node, day: &Day) {
    let held = node.level2().held;
    for _ in 0..3 {
        assert_eq!(node.read(day).await.1, Source::Loaded);
    }
    assert_eq!(node.level2().held, held + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_under_the_hold_of_another_node_is_kept_and_shared_by_nobody() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b] = nodes(&server, &origin).await;
    let held = hold(&a, &DAY).await;
    let gates = [Gate::new(), Gate::new()];
    let first = b.read_at(&DAY, &gates[0]);
    gates[0].entered().await;
    origin.set(2); // the commit
    let second = b.read_at(&DAY, &gates[1]);
    gates[1].entered().await;
    for gate in &gates {
        gate.release();
    }
    assert_eq!(first.await.unwrap(), (1, Source::Loaded));
    assert_eq!(second.await.unwrap(), (2, Source::Loaded));
    keeps_nothing(&b, &DAY).await;
    keeps_nothing(&a, &DAY).await;
    assert!(keys(&server, "*:e:*").await.is_empty());

    a.cache.release(&held);
    a.confirmed().await;
    assert_eq!(keep(&b, &DAY).await, 2);
    assert_eq!(a.level2().lost_holds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_of_one_of_two_holds_of_a_node_leaves_the_other() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b] = nodes(&server, &origin).await;
    let [first, second] = [hold(&a, &DAY).await, hold(&a, &DAY).await];
    a.cache.release(&first);
    a.confirmed().await;
    keeps_nothing(&b, &DAY).await;
    a.cache.release(&second);
    a.confirmed().await;
    keep(&b, &DAY).await;
    assert_eq!(a.level2().lost_holds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_not_heard_of_a_hold_shares_and_keeps_nothing_under_it() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a] = nodes(&server, &origin).await;
    let held = hold(&a, &DAY).await;
    let [late] = nodes(&server, &origin).await;
    let gates = [Gate::new(), Gate::new()];
    let first = late.read_at(&DAY, &gates[0]);
    gates[0].entered().await;
    let second = late.read_at(&DAY, &gates[1]);
    gates[1].entered().await;
    for gate in &gates {
        gate.release();
    }
    for reader in [first, second] {
        assert_eq!(reader.await.unwrap(), (1, Source::Loaded));
    }
    keeps_nothing(&late, &DAY).await;
    a.cache.release(&held);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_heard_of_a_hold_keeps_it_although_redis_forgets_it() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b] = nodes(&server, &origin).await;
    let held = hold(&a, &DAY).await;
    let lives = b.level2().incarnations;
    ask(&server, &["FLUSHALL"]).await;
    until(|| b.level2().incarnations > lives).await;
    b.leased().await;
    for _ in 0..3 {
        assert_eq!(b.read(&DAY).await.1, Source::Loaded);
    }
    a.cache.release(&held);
}

/// A node that hears nothing more, and another that books: the leases of both are of this length.
async fn one_deaf(lease: Duration) -> (RedisServer, Proxy, [Node; 2]) {
    let (server, origin) = (RedisServer::start().await.expect("a server"), Origin::new());
    let proxy = Proxy::start(server.address()).await.expect("a port");
    let nodes =
        [server.url(), proxy.url()].map(|url| Node::new(strict(&url).lease(lease), &origin));
    for node in &nodes {
        node.leased().await;
    }
    (server, proxy, nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_hold_waits_for_a_node_that_does_not_hear_of_it() {
    let (_server, proxy, [a, deaf]) = one_deaf(Duration::from_secs(1)).await;
    proxy.set(Fault::BlackHole(Direction::ToClient));
    let held = hold(&a, &DAY).await;
    assert!(!deaf.cache.is_leased(TENANT));
    a.cache.release(&held);
}

/// Nothing can have been kept under a hold that is found at its release, so nobody is waited for. One that Redis has
/// lost may have been overtaken by loads that were kept.
#[tokio::test(flavor = "multi_thread")]
async fn the_release_of_a_hold_waits_for_others_only_if_the_hold_was_lost() {
    let (server, proxy, [a, deaf]) = one_deaf(Duration::from_secs(4)).await;
    let kept = hold(&a, &DAY).await;
    let lost = hold(&a, &DAY).await;
    deaf.leased().await;
    proxy.set(Fault::BlackHole(Direction::ToClient));
    a.cache.release(&kept);
    a.confirmed().await;
    assert!(deaf.cache.is_leased(TENANT));
    ask(&server, &["DEL", &key(&server, "*:f:*").await]).await;
    a.cache.release(&lost);
    a.confirmed().await;
    assert!(!deaf.cache.is_leased(TENANT));
    assert_eq!(a.level2().lost_holds, 1);
}

/// The wait for the lease of a node that does not hear is that of the hold; the release needs none.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_seen_everywhere_before_its_event_is_dispatched() {
    let (server, diary) = (RedisServer::start().await.unwrap(), diary());
    let [a, b] = [(); 2].map(|()| Salon::sharing(&diary, strict(&server.url())));
    let taken = a.load(&wednesday()).await[3].clone();
    b.keep(&wednesday()).await;
    let booked = booking(7001, &taken);
    let _hold = soon(a.slots.hold(&booked)).await.unwrap();
    assert!(b.offers(&wednesday(), &taken).await);
    a.commit(&booked);
    assert!(!b.offers(&wednesday(), &taken).await);
    assert!(b.slots.kept(&wednesday()).unwrap().is_none());

    let receipt = a.dispatch(&booked);
    let outcome = soon(receipt.reached("slots.invalidate")).await;
    assert_eq!(outcome.unwrap(), Outcome::Done);
    b.keep(&wednesday()).await;
    assert_eq!(b.open(&wednesday()).await, diary.free(&wednesday()));
    assert_eq!(a.slots.statistics().level2.lost_holds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_after_its_commit_leaves_nothing_stale_and_nothing_held() {
    let (server, diary) = (RedisServer::start().await.unwrap(), diary());
    let settings = || {
        alone(&diary)
            .redis(strict(&server.url()))
            .hold_time(Duration::from_secs(2))
    };
    let [a, b] = [(); 2].map(|()| Salon::new(&diary, settings()));
    let taken = a.load(&wednesday()).await[3].clone();
    b.keep(&wednesday()).await;
    let booked = booking(7001, &taken);
    let held = soon(a.slots.hold(&booked)).await.unwrap();
    a.commit(&booked);
    drop((a, held));
    assert!(!b.offers(&wednesday(), &taken).await);
    b.keep(&wednesday()).await; // when the hold is over
    assert!(b.slots.statistics().level2.held > 0);
    assert!(!b.offers(&wednesday(), &taken).await);
    let late = Salon::new(&diary, settings());
    assert_eq!(late.open(&wednesday()).await, diary.free(&wednesday()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_of_one_of_two_holds_leaves_that_of_the_other_node() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b, c] = nodes(&server, &origin).await;
    let (by_a, by_b) = (hold(&a, &DAY).await, hold(&b, &DAY).await);
    let elsewhere = hold(&b, &day(2)).await;
    a.cache.release(&by_a);
    a.confirmed().await;
    keeps_nothing(&c, &DAY).await;
    keeps_nothing(&c, &day(2)).await;
    b.cache.release(&by_b);
    b.confirmed().await;
    keep(&c, &DAY).await;
    keeps_nothing(&c, &day(2)).await;
    b.cache.release(&elsewhere);
    b.confirmed().await;
    keep(&c, &day(2)).await;
    assert_eq!((a.level2().lost_holds, b.level2().lost_holds), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_is_held_and_the_booking_goes_on() {
    const WITHIN: Duration = Duration::from_millis(300);
    let (mut server, diary) = (RedisServer::start().await.unwrap(), diary());
    let redis = strict(&server.url()).confirm_within(WITHIN);
    let a = Salon::new(&diary, alone(&diary).redis(redis).hold_time(LONG));
    let taken = a.load(&wednesday()).await[3].clone();
    server.kill().await.unwrap();
    let booked = booking(7001, &taken);
    let refused = soon(a.slots.hold(&booked)).await.unwrap_err();
    assert_eq!(refused, Unconfirmed::Redis { waited: WITHIN });
    a.commit(&booked);
    a.dispatch(&booked);
    assert!(!a.offers(&wednesday(), &taken).await);

    server.restart().await.unwrap();
    a.keep(&wednesday()).await; // long before such a hold would end
    assert!(!a.offers(&wednesday(), &taken).await);
    assert_eq!(a.slots.statistics().level2.pending, 0);
}

/// The reader has kept a value from before the commit, since Redis no longer knew of the hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_redis_has_lost_is_made_up_for_by_its_release() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b] = nodes(&server, &origin).await;
    let held = hold(&a, &DAY).await;
    keeps_nothing(&b, &DAY).await;
    ask(&server, &["FLUSHALL"]).await;
    // b has met the new life, and lost its own part of the hold with the fence that told of it.
    let late = Node::new(strict(&server.url()), &origin);
    late.leased().await;
    assert_eq!(keep(&late, &DAY).await, 1);
    origin.set(2);
    a.cache.release(&held);
    a.confirmed().await;
    assert_eq!(late.read(&DAY).await.0, 2);
    assert_eq!(b.read(&DAY).await.0, 2);
    until(|| a.level2().lost_holds == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_is_abandoned_is_offered_and_kept_again() {
    let (server, diary) = (RedisServer::start().await.unwrap(), diary());
    let [a, b] = [(); 2].map(|()| {
        let settings = alone(&diary).redis(strict(&server.url()));
        Salon::new(&diary, settings.hold_time(LONG))
    });
    let free = a.load(&wednesday()).await[3].clone();
    b.keep(&wednesday()).await;
    let held = soon(a.slots.hold(&booking(7001, &free))).await.unwrap();
    assert!(b.slots.kept(&wednesday()).unwrap().is_none());
    held.abandon();
    b.keep(&wednesday()).await;
    assert!(b.offers(&wednesday(), &free).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_has_waited_for_ends_at_its_time() {
    let (server, origin) = (RedisServer::start().await.unwrap(), Origin::new());
    let [a, b] = nodes(&server, &origin).await;
    a.change(&day(7), 1);
    a.confirmed().await;
    let cover = [DAY.cover()];
    // Dropped once it has begun; whether Redis has heard of it nobody knows.
    tokio::select! {
        biased;
        held = a.cache.hold(&cover, Duration::from_millis(300)) => panic!("{held:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(keep(&b, &DAY).await, 1);
    assert_eq!(keep(&a, &DAY).await, 1);
    assert!(a.cache.confirmed(TENANT, None).await.is_ok());
}
