//! Several processes, one truth: what one invalidates, no other serves, and nothing else is lost.

mod support;

use std::time::{Duration, Instant};

use support::{
    Gate,
    nodes::{DAY, Day, Node, Origin, TENANT, ask, day, host, key, keys, redis, strict},
    salon::{Salon, booking, diary, october, wednesday},
    until,
};
use vacancy::{
    cache::{Cache, Consistency, Redis, Scope, Source, Span},
    dispatch::Outcome,
};
use vacancy_testbed::{Direction, Fault, Monitor, Proxy, RedisServer};

async fn server() -> RedisServer {
    RedisServer::start().await.expect("a server")
}

async fn two_nodes(server: &RedisServer, origin: &Origin) -> [Node; 2] {
    let nodes = [(); 2].map(|()| Node::new(strict(&server.url()), origin));
    for node in &nodes {
        node.leased().await;
    }
    nodes
}

/// Reads until level 1 answers, without a change of the value.
async fn keep(node: &Node, day: &Day) {
    let value = node.read(day).await.0;
    support::soon(async {
        while node.read(day).await != (value, Source::Level1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_is_answered_by_redis_and_hears_what_the_first_invalidates() {
    let (server, origin) = (server().await, Origin::new());
    let [a, b] = two_nodes(&server, &origin).await;
    a.load(&DAY).await;
    assert_eq!(b.read(&DAY).await, (1, Source::Level2));
    keep(&b, &DAY).await;

    a.change(&DAY, 2);
    a.confirmed().await;
    assert_eq!(b.read(&DAY).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_elsewhere_leaves_both_levels_alone() {
    let (server, origin) = (server().await, Origin::new());
    let [a, b] = two_nodes(&server, &origin).await;
    a.load(&DAY).await;
    keep(&b, &DAY).await;

    origin.set(2); // whoever asks it shows that he did
    a.cache.invalidate(&host(TENANT), day(2).span());
    a.cache.invalidate(&host(TENANT), day(0).span());
    a.cache
        .invalidate(&Scope::new(TENANT, "host", "2"), Span::ALL);
    a.cache.invalidate(&host("16"), Span::ALL);
    a.confirmed().await;
    until(|| b.level2().notices > 0).await;

    keep(&b, &DAY).await;
    assert_eq!(b.read(&DAY).await.0, 1);
    let late = Node::new(redis(&server.url()), &origin);
    assert_eq!(late.read(&DAY).await, (1, Source::Level2));
    assert_eq!(b.cache.statistics().loads, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_another_nodes_invalidation_overtook_is_kept_nowhere() {
    let (server, origin, gate) = (server().await, Origin::new(), Gate::new());
    let [a, b] = two_nodes(&server, &origin).await;
    let overtaken = b.read_at(&DAY, &gate);
    gate.entered().await;
    a.change(&DAY, 2);
    a.confirmed().await;
    gate.release();
    assert_eq!(overtaken.await.unwrap(), (1, Source::Loaded));

    assert_eq!(a.read(&DAY).await, (2, Source::Loaded));
    assert_eq!(b.read(&DAY).await.0, 2);
    assert_eq!(b.cache.statistics().born_invalid, 1);
    assert_eq!(b.level2().written, 0);
}

/// The node that loads has not heard of it, and writes what it loaded over it.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_written_after_its_invalidation_is_not_served() {
    let (server, origin, gate) = (server().await, Origin::new(), Gate::new());
    let proxy = Proxy::start(server.address()).await.unwrap();
    let a = Node::new(redis(&server.url()), &origin);
    let b = Node::new(
        redis(&proxy.url()).time_out(Duration::from_secs(60)),
        &origin,
    );
    b.leased().await;
    let overtaken = b.read_at(&DAY, &gate);
    gate.entered().await;
    proxy.set(Fault::BlackHole(Direction::ToClient)); // replies and notices
    a.change(&DAY, 2);
    a.confirmed().await;
    gate.release();
    assert_eq!(overtaken.await.unwrap(), (1, Source::Loaded));
    support::soon(async { while keys(&server, "*:e:*").await.is_empty() {} }).await;

    assert_eq!(a.read(&DAY).await, (2, Source::Loaded));
    assert_eq!(a.level2().fenced, 1);
    proxy.set(Fault::None);
    until(|| b.level2().notices > 0).await;
    assert_eq!(b.read(&DAY).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_fence_is_gone_is_not_served_and_the_next_one_is() {
    let (server, origin) = (server().await, Origin::new());
    let [a, b] = two_nodes(&server, &origin).await;
    a.load(&DAY).await;
    let fence = key(&server, "*:f:*").await;
    // As long as nothing was invalidated anywhere, nothing can have been lost.
    a.cache
        .invalidate(&Scope::new(TENANT, "host", "2"), Span::ALL);
    a.confirmed().await;
    ask(&server, &["DEL", &fence]).await;
    b.load(&DAY).await;
    assert_eq!(b.level2().fenced, 1);
    let late = Node::new(redis(&server.url()), &origin);
    assert_eq!(late.read(&DAY).await, (1, Source::Level2));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_while_a_value_is_loaded_share_it() {
    let (server, origin, gate) = (server().await, Origin::new(), Gate::new());
    // Without a lease nobody would join.
    let node = Node::new(
        strict(&server.url()).lease(Duration::from_secs(60)),
        &origin,
    );
    node.leased().await;
    let leader = node.read_at(&DAY, &gate);
    gate.entered().await;
    let followers = [(); 2].map(|()| node.read_at(&DAY, &gate));
    until(|| node.cache.statistics().coalesced == 2).await;
    gate.release();
    assert_eq!(leader.await.unwrap(), (1, Source::Loaded));
    for follower in followers {
        assert_eq!(follower.await.unwrap().0, 1);
    }
    let statistics = node.cache.statistics();
    assert_eq!((statistics.loads, gate.waiting()), (1, 0));
    // Nobody went around level 2.
    assert_eq!(statistics.level2.bypassed, 0);
}

/// What has been invalidated since, nobody would have told it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_a_lease_joins_no_load_that_has_begun() {
    let (server, origin, gates) = (server().await, Origin::new(), [Gate::new(), Gate::new()]);
    let proxy = Proxy::start(server.address()).await.unwrap();
    let node = Node::new(redis(&proxy.url()), &origin);
    node.leased().await;
    let first = node.read_at(&DAY, &gates[0]);
    gates[0].entered().await;
    proxy.set(Fault::BlackHole(Direction::ToClient));
    until(|| !node.cache.is_leased(TENANT)).await;
    origin.set(2);
    let second = node.read_at(&DAY, &gates[1]);
    gates[1].entered().await;
    for gate in &gates {
        gate.release();
    }
    assert_eq!(first.await.unwrap(), (1, Source::Loaded));
    assert_eq!(second.await.unwrap(), (2, Source::Loaded));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_settles_is_kept_by_no_node_not_even_by_one_that_has_not_heard_of_it() {
    let (server, origin) = (server().await, Origin::new());
    let settling = || Node {
        cache: Cache::builder()
            .redis(strict(&server.url()))
            .settle_time(Duration::from_secs(600))
            .build(),
        origin: origin.clone(),
    };
    let node = settling();
    node.leased().await;
    node.change(&DAY, 2);
    node.confirmed().await;
    let late = settling();
    late.leased().await;
    for _ in 0..2 {
        assert_eq!(late.read(&DAY).await, (2, Source::Loaded));
    }
    assert!(keys(&server, "*:e:*").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_keeps_its_subscription() {
    let (server, origin) = (server().await, Origin::new());
    let node = Node::new(strict(&server.url()), &origin);
    node.leased().await;
    let subscriptions = async || {
        let reply = ask(&server, &["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        let list = reply.text().expect("a list of clients").to_owned();
        let id = |line: &str| line.split(' ').next().map(str::to_owned);
        list.lines().filter_map(id).collect::<Vec<_>>()
    };
    let before = subscriptions().await;
    assert_eq!(before.len(), 1);
    let leases = node.level2().leases;
    until(|| node.level2().leases > leases + 3).await;
    assert_eq!(subscriptions().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_node_never_waits_for_a_load_of_another() {
    let (server, origin, gates) = (server().await, Origin::new(), [Gate::new(), Gate::new()]);
    let nodes = two_nodes(&server, &origin).await;
    let readers = [0, 1].map(|n: usize| nodes[n].read_at(&DAY, &gates[n]));
    for gate in &gates {
        gate.entered().await;
    }
    for (gate, reader) in gates.iter().zip(readers) {
        gate.release();
        assert_eq!(reader.await.unwrap(), (1, Source::Loaded));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_namespaces_never_meet() {
    let (server, origin) = (server().await, Origin::new());
    let node = |namespace: &str| Node::new(strict(&server.url()).namespace(namespace), &origin);
    // Names that a careless join, or a pattern, would take for one another.
    let [a, b] = ["salon", "salon:1}:e:15"].map(node);
    a.leased().await;
    b.leased().await;
    a.load(&DAY).await;
    assert_eq!(b.read(&DAY).await, (1, Source::Loaded));
    keep(&b, &DAY).await;
    a.change(&DAY, 2);
    a.confirmed().await;
    assert_eq!(a.read(&DAY).await, (2, Source::Loaded));
    assert_eq!(b.read(&DAY).await.0, 1);
    assert_eq!((b.level2().notices, b.level2().fenced), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_never_meet() {
    let (server, origin) = (server().await, Origin::new());
    let [a, b] = two_nodes(&server, &origin).await;
    let other = Day {
        tenant: "15:1",
        number: 1,
    };
    a.load(&DAY).await;
    origin.set(2);
    assert_eq!(b.read(&other).await, (2, Source::Loaded));
    a.cache.invalidate(&host(other.tenant), Span::ALL);
    a.confirmed().await;
    origin.set(3);
    assert_eq!(a.read(&DAY).await.0, 1);
    assert_eq!(b.read(&other).await.0, 3);
}

/// A bound of the contract, on what is served: not on how fast the machine is.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_level_2_grows_no_older_in_level_1_than_it_may() {
    const TTL: Duration = Duration::from_secs(3);
    let (server, origin) = (server().await, Origin::new());
    let node = || Node {
        cache: Cache::builder()
            .ttl(TTL)
            .redis(redis(&server.url()))
            .build(),
        origin: origin.clone(),
    };
    let (a, b) = (node(), node());
    b.leased().await;
    a.load(&DAY).await;
    let loaded = Instant::now();
    origin.set(2); // and nobody says so
    until(|| loaded.elapsed() > TTL / 2).await;
    let first = b.answer(&DAY).await;
    // Without it the machine was too slow, and nothing is shown.
    assert_eq!((*first, first.source()), (1, Source::Level2));
    let mut kept = 0;
    loop {
        let begun = loaded.elapsed();
        match b.read(&DAY).await {
            (1, source) => {
                kept += u32::from(source == Source::Level1);
                assert!(begun < TTL, "{begun:?}");
            }
            _ => break,
        }
    }
    assert!(kept > 0);
}

/// The looks of a read, as the server was asked.
async fn looks(monitor: &mut Monitor, count: usize) {
    // Pulses go on, so there is always a next line.
    support::soon(async {
        let mut found = 0;
        while found < count {
            let line = monitor.next().await.expect("the server runs");
            found += usize::from(line.contains("\"EVALSHA\"") && line.contains(":e:15:"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_one_round_trip() {
    let server = server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let month = october(1, 31);
    let a = Salon::sharing(&diary(), redis(&server.url()));
    a.load(&month).await;
    until(|| a.slots.statistics().level2.written == 31).await;

    let patient = redis(&proxy.url()).time_out(Duration::from_secs(60));
    let b = Salon::sharing(&a.diary, patient);
    b.open(&october(1, 1)).await; // connected, and the script is known
    let calls = a.diary.calls();
    let mut monitor = server.monitor().await.unwrap();
    proxy.set(Fault::BlackHole(Direction::ToClient));
    let read = tokio::spawn({
        let (b, month) = (b.clone(), october(2, 30));
        async move { b.open(&month).await }
    });
    looks(&mut monitor, 30).await; // before there is one answer
    assert!(!read.is_finished());
    proxy.set(Fault::None);
    assert_eq!(read.await.unwrap(), a.diary.free(&october(2, 30)));
    assert_eq!(a.diary.calls(), calls);
    assert_eq!(b.slots.statistics().level2.hits, 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_one_process_has_booked_no_other_offers() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| Salon::sharing(&diary, strict(&server.url())));
    let offered = a.load(&wednesday()).await;
    let [taken, free] = [&offered[4], &offered[5]];
    b.keep(&wednesday()).await;
    assert!(b.slots.statistics().level2.hits > 0);

    let booked = booking(7001, taken);
    a.commit(&booked);
    let receipt = a.dispatch(&booked);
    let outcome = support::soon(receipt.reached("slots.invalidate")).await;
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert!(!b.offers(&wednesday(), taken).await);
    assert!(b.offers(&wednesday(), free).await);
    assert_eq!(b.open(&wednesday()).await, diary.free(&wednesday()));
}

#[test]
fn a_redis_is_bounded_unless_it_is_told_otherwise() {
    assert_eq!(Consistency::default(), Consistency::Bounded);
    let url = "redis://127.0.0.1:1".parse().unwrap();
    assert!(format!("{:?}", Redis::at(url)).contains("Bounded"));
}
