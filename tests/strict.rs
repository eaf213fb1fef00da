//! A strict writer that has its confirmation is read by everybody: each node has heard, or answers
//! nothing from its own memory.

mod support;

use std::time::Duration;

use support::{
    nodes::{DAY, Node, Origin, TENANT, ask, day, key, strict},
    soon, until,
};
use vacancy::cache::{Source, Unconfirmed};
use vacancy_testbed::{Direction, Fault, Proxy, RedisServer, Reply};

/// Longer than the tests wait for a confirmation: what is confirmed did not wait for it.
const LONG: Duration = Duration::from_secs(6);
const WITHIN: Duration = Duration::from_secs(3);

struct Pair {
    server: RedisServer,
    proxy: Proxy,
    origin: Origin,
    writer: Node,
    /// Behind the proxy.
    reader: Node,
}

/// A writer and a reader that has a value in level 1.
async fn pair(lease: Duration) -> Pair {
    let server = RedisServer::start().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a port");
    let origin = Origin::new();
    let settings = |url: &str| strict(url).lease(lease).confirm_within(WITHIN);
    let writer = Node::new(settings(&server.url()), &origin);
    let reader = Node::new(settings(&proxy.url()), &origin);
    writer.leased().await;
    reader.leased().await;
    keep(&reader, 1).await;
    Pair {
        server,
        proxy,
        origin,
        writer,
        reader,
    }
}

/// Reads until level 1 answers.
async fn keep(node: &Node, value: u64) {
    soon(async {
        while node.read(&DAY).await != (value, Source::Level1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The nodes that Redis knows of.
async fn nodes(server: &RedisServer) -> usize {
    let state = key(server, "*:state").await;
    let Reply::Array(fields) = ask(server, &["HKEYS", &state]).await else {
        panic!("fields");
    };
    let is_node = |field: &&Reply| field.text().is_some_and(|name| name.starts_with("n:"));
    fields.iter().filter(is_node).count()
}

const LEASE: Duration = Duration::from_millis(500);

async fn waits_for_the_lease(fault: Fault) -> Pair {
    let pair = pair(LEASE).await;
    // In a life that has only begun it would wait in any case.
    pair.writer.change(&day(7), 1);
    pair.writer.confirmed().await;
    keep(&pair.reader, 1).await;

    pair.proxy.set(fault);
    pair.writer.change(&DAY, 2);
    pair.writer.confirmed().await;
    assert!(!pair.reader.cache.is_leased(TENANT));
    assert_eq!(pair.reader.read(&DAY).await, (2, Source::Loaded));
    assert!(pair.reader.cache.statistics().doubted > 0);
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_writer_waits_until_a_node_that_hears_nothing_answers_nothing() {
    let pair = waits_for_the_lease(Fault::BlackHole(Direction::ToClient)).await;
    pair.proxy.set(Fault::None);
    pair.reader.leased().await;
    assert_eq!(pair.reader.read(&DAY).await.0, 2);
    keep(&pair.reader, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_writer_waits_until_a_node_that_reaches_nobody_answers_nothing() {
    waits_for_the_lease(Fault::BlackHole(Direction::Both)).await;
}

/// What was lost is never delivered: the node has to find out, and begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_connections_are_half_open_comes_back() {
    let pair = waits_for_the_lease(Fault::Drop(Direction::ToClient)).await;
    pair.proxy.set(Fault::None);
    pair.reader.leased().await;
    assert_eq!(pair.reader.read(&DAY).await.0, 2);
    keep(&pair.reader, 2).await;
}

/// Its pulses go on, so its lease does; the notices are lost, so nobody may rely on that.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_hears_nothing_is_made_anew() {
    let Pair {
        proxy,
        writer,
        reader,
        origin: _origin,
        server: _server,
    } = pair(LEASE).await;
    let heard = reader.level2().notices;
    // Both connections; that of commands is given up after a few calls without an answer.
    proxy.set(Fault::Drop(Direction::ToClient));
    proxy.set(Fault::None);
    let mut value = 1;
    soon(async {
        while reader.level2().notices == heard {
            value += 1;
            writer.change(&DAY, value);
            writer.confirmed().await;
            assert_eq!(reader.read(&DAY).await.0, value);
        }
    })
    .await;
    println!("{value} writes, {:#?}", reader.level2());
    assert!(reader.level2().gaps > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_lost_costs_level_1_and_no_wrong_answer() {
    let pair = pair(LEASE).await;
    let gaps = pair.reader.level2().gaps;
    pair.proxy.set(Fault::Refuse); // the pulses go on
    ask(&pair.server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    pair.writer.change(&DAY, 2);
    pair.writer.confirmed().await;
    assert_eq!(pair.reader.read(&DAY).await.0, 2);
    until(|| pair.reader.level2().gaps > gaps).await;
    assert_eq!(pair.reader.level2().notices, 0);
    pair.proxy.set(Fault::None);

    soon(async {
        // Until it hears again; each of these it may miss.
        for value in 3.. {
            pair.writer.change(&DAY, value);
            pair.writer.confirmed().await;
            assert_eq!(pair.reader.read(&DAY).await.0, value);
            if pair.reader.level2().notices > 0 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_spare_the_wait_for_the_lease() {
    let pair = pair(LONG).await;
    pair.writer.change(&day(7), 1);
    pair.writer.confirmed().await; // waits for leases of a life before this one
    for value in 2..20 {
        pair.writer.change(&DAY, value);
        pair.writer.cache.confirmed(TENANT, None).await.unwrap();
        assert_eq!(pair.reader.read(&DAY).await.0, value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_alone_waits_for_nobody() {
    let pair = pair(LONG).await;
    drop(pair.reader);
    pair.writer.change(&DAY, 2);
    pair.writer.confirmed().await;
    soon(async { while nodes(&pair.server).await != 1 {} }).await;
    pair.writer.change(&DAY, 3);
    pair.writer.cache.confirmed(TENANT, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_died_is_waited_for_once() {
    let pair = pair(LONG).await;
    pair.writer.change(&day(7), 1);
    pair.writer.confirmed().await;
    assert_eq!(nodes(&pair.server).await, 2);
    drop(pair.reader);
    pair.writer.change(&DAY, 2);
    let first = pair.writer.cache.confirmed(TENANT, None).await;
    assert_eq!(first.unwrap_err(), Unconfirmed::Nodes { waited: WITHIN });
    pair.writer.confirmed().await;
    soon(async { while nodes(&pair.server).await != 1 {} }).await;
    pair.writer.change(&DAY, 3);
    pair.writer.cache.confirmed(TENANT, None).await.unwrap();
}

/// Else Redis would keep one more node for each start of an application in which nobody waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_died_is_forgotten_although_nobody_waits_for_it() {
    let server = RedisServer::start().await.expect("a server");
    let origin = Origin::new();
    // The shortest, as it takes more than a hundred pulses.
    let node = || Node::new(strict(&server.url()).lease(Duration::ZERO), &origin);
    let (stays, dies) = (node(), node());
    stays.leased().await;
    dies.leased().await;
    soon(async { while nodes(&server).await != 2 {} }).await;
    drop(dies);
    soon(async { while nodes(&server).await != 1 {} }).await;
    drop(stays);
}

/// Nobody knows which leases of the former life still run: nodes that have them are not registered.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_in_a_life_that_has_just_begun_waits_for_the_leases_of_the_former() {
    let pair = pair(LEASE).await;
    pair.writer.change(&day(7), 1);
    pair.writer.confirmed().await;
    keep(&pair.reader, 1).await;
    pair.proxy.set(Fault::BlackHole(Direction::Both));
    ask(&pair.server, &["FLUSHALL"]).await;
    pair.writer.change(&DAY, 2);
    pair.writer.confirmed().await;
    assert!(!pair.reader.cache.is_leased(TENANT));
    assert_eq!(pair.reader.read(&DAY).await, (2, Source::Loaded));
}
