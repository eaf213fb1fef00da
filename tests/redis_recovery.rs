//! What Redis has forgotten, or remembers from a life that is over, is never served.

mod support;

use std::time::Duration;

use support::{
    Gate,
    nodes::{DAY, Node, Origin, ask, key, keys, redis, strict},
    soon, until,
};
use vacancy::cache::Source;
use vacancy_testbed::{Proxy, RedisServer};

struct Pair {
    origin: Origin,
    writer: Node,
    reader: Node,
}

/// A writer and a reader that have the same value, and so has Redis.
async fn pair(url: &str) -> Pair {
    let origin = Origin::new();
    let [writer, reader] = [(); 2].map(|()| Node::new(strict(url), &origin));
    writer.leased().await;
    reader.leased().await;
    writer.load(&DAY).await;
    soon(async { while reader.read(&DAY).await != (1, Source::Level1) {} }).await;
    Pair {
        origin,
        writer,
        reader,
    }
}

impl Pair {
    async fn change(&self) {
        self.writer.change(&DAY, 2);
        self.writer.confirmed().await;
        assert_eq!(self.reader.read(&DAY).await.0, 2);
    }

    /// A node that has just begun finds something in Redis, and does not serve it.
    async fn is_not_served(&self, server: &RedisServer) {
        assert_eq!(keys(server, "*:e:*").await.len(), 1);
        // On a loaded machine a look that includes connecting may take longer than the time-out of the others.
        let patient = redis(&server.url()).time_out(Duration::from_secs(60));
        let late = Node::new(patient, &self.origin);
        assert_eq!(late.read(&DAY).await, (2, Source::Loaded));
        assert_eq!((late.level2().hits, late.level2().fenced), (0, 1));
        assert_eq!(self.reader.read(&DAY).await.0, 2);
        assert_eq!(self.writer.read(&DAY).await.0, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_loses_no_invalidation() {
    let server = RedisServer::start().await.unwrap();
    let pair = pair(&server.url()).await;
    ask(&server, &["FLUSHALL"]).await;
    pair.change().await;
    assert_eq!(pair.writer.read(&DAY).await.0, 2);
    let late = Node::new(redis(&server.url()), &pair.origin);
    assert_eq!(late.read(&DAY).await.0, 2);
}

/// The numbers begin again, so they alone would let it stand.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_looked_for_before_a_flush_is_not_served_after_it() {
    let server = RedisServer::start().await.unwrap();
    let (origin, gate) = (Origin::new(), Gate::new());
    // It does not notice the flush until its next pulse.
    let slow = Node::new(redis(&server.url()).lease(Duration::from_secs(60)), &origin);
    slow.leased().await;
    let overtaken = slow.read_at(&DAY, &gate);
    gate.entered().await;
    let writer = Node::new(redis(&server.url()), &origin);
    writer.leased().await;
    writer.change(&DAY, 2);
    writer.confirmed().await;
    ask(&server, &["FLUSHALL"]).await;
    gate.release();
    assert_eq!(overtaken.await.unwrap().0, 1);
    // It has heard of the change. Here is what it would have written, had it not.
    assert_eq!(slow.level2().written, 0);
    assert_eq!(writer.read(&DAY).await.0, 2);
    assert_eq!(slow.read(&DAY).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_and_its_fence_that_come_back_from_disk_are_not_served() {
    let mut server = RedisServer::start().await.unwrap();
    let pair = pair(&server.url()).await;
    ask(&server, &["SAVE"]).await;
    pair.change().await;
    server.restart().await.unwrap();
    assert_eq!(keys(&server, "*:f:*").await.len(), 1);
    pair.is_not_served(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_has_lost_is_not_served() {
    let primary = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(primary.address()).await.unwrap();
    let pair = pair(&proxy.url()).await;
    let replica = RedisServer::replica_of(&primary).await.unwrap();
    // Before the last write: it never gets there.
    replica.promote().await.unwrap();
    pair.change().await;
    proxy.redirect(replica.address());
    drop(primary);
    pair.is_not_served(&replica).await;
    pair.writer.change(&DAY, 3);
    pair.writer.confirmed().await;
    assert_eq!(pair.reader.read(&DAY).await.0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_partition_has_lost_its_state_is_not_served() {
    let server = RedisServer::start().await.unwrap();
    let pair = pair(&server.url()).await;
    pair.origin.set(2); // whoever asks it shows that he did
    let state = key(&server, "*:state").await;
    ask(&server, &["DEL", &state]).await;
    let late = Node::new(redis(&server.url()), &pair.origin);
    assert_eq!(late.read(&DAY).await, (2, Source::Loaded));
    assert_eq!(late.level2().fenced, 1);
    // And whoever has it in level 1 gives it up at the next pulse, as it might have missed something.
    until(|| pair.reader.level2().incarnations >= 2).await;
}
