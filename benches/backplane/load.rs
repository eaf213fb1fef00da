//! Notices to nodes that are all there: how soon, how many, and what they cost the server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::RedisResult;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
};
use vacancy_testbed::{Cluster, RedisServer};

use crate::feed::{Backplane, Feed, Writer};

/// Notices sent one at a time in a round.
const SINGLE: u64 = 500;

/// Notices sent as fast as they go, by writers that each wait for their replies.
const BURST: u64 = 10_000;
const WRITERS: u64 = 50;

/// What the notices go through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topology {
    Single,
    /// Three primaries. Who subscribes does so at any of them; a stream is at one.
    Cluster,
}

/// Servers of its own, a writer and some nodes.
pub(crate) struct Load {
    servers: Servers,
    writer: Writer,
    arrivals: Arc<Arrivals>,
    nodes: Vec<JoinHandle<()>>,
    connections_before: f64,
    memory_before: f64,
}

enum Servers {
    Single(RedisServer),
    Cluster(Cluster),
}

/// What one round found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) single_cpu: f64,
    pub(crate) burst_rate: f64,
    pub(crate) burst_cpu: f64,
    pub(crate) bytes: f64,
}

/// Notices that nodes have handled, over all nodes.
#[derive(Default)]
struct Arrivals {
    handled: AtomicU64,
    due: AtomicU64,
    last: Mutex<Option<Instant>>,
    all: Notify,
}

impl Arrivals {
    /// To be called while none is on its way.
    fn expect(&self, more: u64) {
        let handled = self.handled.load(Ordering::SeqCst);
        self.due.store(handled + more, Ordering::SeqCst);
    }

    fn note(&self, count: u64) {
        let handled = self.handled.fetch_add(count, Ordering::SeqCst) + count;
        if handled == self.due.load(Ordering::SeqCst) {
            *self.last.lock().expect("nobody panics here") = Some(Instant::now());
            self.all.notify_one();
        }
    }

    /// When the last node handled the last notice.
    async fn all(&self) -> Instant {
        self.all.notified().await;
        let last = self.last.lock().expect("nobody panics here").take();
        last.expect("noted before the notification")
    }
}

impl Servers {
    async fn start(topology: Topology) -> Self {
        let started = match topology {
            Topology::Single => RedisServer::start().await.map(Self::Single),
            Topology::Cluster => Cluster::start().await.map(Self::Cluster),
        };
        started.expect("servers can be started")
    }

    fn all(&mut self) -> &[RedisServer] {
        match self {
            Self::Single(server) => std::slice::from_ref(server),
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }

    fn urls(&mut self) -> Vec<String> {
        self.all().iter().map(RedisServer::url).collect()
    }

    /// The sum of a figure over all servers.
    async fn info(&mut self, field: &str) -> f64 {
        let mut sum = 0.0;
        for server in self.all() {
            sum += info(server, field).await;
        }
        sum
    }
}

impl Load {
    pub(crate) async fn start(
        backplane: Backplane,
        topology: Topology,
        nodes: usize,
    ) -> RedisResult<Self> {
        let mut servers = Servers::start(topology).await;
        let urls = servers.urls();
        let (writer, owner) = owner(backplane, &urls).await?;
        let mut load = Self {
            connections_before: servers.info("connected_clients").await,
            memory_before: 0.0,
            servers,
            writer,
            arrivals: Arc::default(),
            nodes: Vec::new(),
        };
        for place in 0..nodes {
            let url = match backplane {
                Backplane::Streams => &owner,
                Backplane::PubSub | Backplane::Shared => &urls[place % urls.len()],
            };
            let feed = Feed::open(backplane, url, FIRST).await?;
            let heard = hear(feed, Arc::clone(&load.arrivals));
            load.nodes.push(tokio::spawn(heard));
        }
        // What is made for the first notices only is not to be counted.
        load.one_at_a_time(10).await?;
        load.memory_before = load.servers.info("used_memory").await;
        Ok(load)
    }

    pub(crate) async fn round(&mut self) -> RedisResult<Figures> {
        let cpu = self.cpu().await;
        let latencies = self.one_at_a_time(SINGLE).await?;
        let single_cpu = (self.cpu().await - cpu) / SINGLE as f64;

        let (cpu, bytes) = (self.cpu().await, self.sent().await);
        let took = self.burst().await?;
        let at = |fraction: f64| latencies[(fraction * (latencies.len() - 1) as f64) as usize];
        Ok(Figures {
            median: at(0.5),
            p99: at(0.99),
            single_cpu,
            burst_rate: BURST as f64 / took.as_secs_f64(),
            burst_cpu: (self.cpu().await - cpu) / BURST as f64,
            bytes: (self.sent().await - bytes) / BURST as f64,
        })
    }

    /// Connections per node, and the memory in bytes that the notices so far have left behind.
    pub(crate) async fn footprint(&mut self) -> (f64, f64) {
        let connections = self.servers.info("connected_clients").await - self.connections_before;
        let memory = self.servers.info("used_memory").await - self.memory_before;
        (connections / self.nodes.len() as f64, memory)
    }

    /// From the sending of a notice to the last node's having it, in ascending order.
    async fn one_at_a_time(&mut self, notices: u64) -> RedisResult<Vec<Duration>> {
        let mut latencies = Vec::new();
        for _ in 0..notices {
            self.arrivals.expect(self.nodes.len() as u64);
            let sent = Instant::now();
            self.writer.send().await?;
            latencies.push(self.arrivals.all().await - sent);
        }
        latencies.sort();
        Ok(latencies)
    }

    async fn burst(&mut self) -> RedisResult<Duration> {
        self.arrivals.expect(BURST * self.nodes.len() as u64);
        let begun = Instant::now();
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let mut writer = self.writer.clone();
            writers.spawn(async move {
                for _ in 0..BURST / WRITERS {
                    writer.send().await?;
                }
                RedisResult::Ok(())
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended.expect("a writer does not panic")?;
        }
        Ok(self.arrivals.all().await - begun)
    }

    /// Microseconds of processor time that the servers have used.
    async fn cpu(&mut self) -> f64 {
        let user = self.servers.info("used_cpu_user").await;
        (user + self.servers.info("used_cpu_sys").await) * 1e6
    }

    /// Bytes that the servers have sent to clients.
    async fn sent(&mut self) -> f64 {
        self.servers.info("total_net_output_bytes").await
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.abort();
        }
    }
}

/// The number of the notice by which the writer finds out where it belongs.
const FIRST: u64 = 1;

/// A writer at the server that has the partition's keys, and that server's address.
async fn owner(backplane: Backplane, urls: &[String]) -> RedisResult<(Writer, String)> {
    for url in urls {
        let mut writer = Writer::open(backplane, url).await?;
        // The others say that the keys have moved.
        if let Ok(number) = writer.send().await {
            assert_eq!(number, FIRST);
            return Ok((writer, url.clone()));
        }
    }
    unreachable!("every key is at one of the servers")
}

/// A node: takes note of every notice, and that none is missing.
async fn hear(mut feed: Feed, arrivals: Arc<Arrivals>) {
    let mut numbers = Vec::new();
    let mut applied = FIRST;
    while feed.next(&mut numbers).await {
        let count = numbers.len() as u64;
        for number in numbers.drain(..) {
            assert_eq!(number, applied + 1, "a notice was lost without a fault");
            applied = number;
        }
        arrivals.note(count);
    }
}

async fn info(server: &RedisServer, field: &str) -> f64 {
    let reply = server.command(&["INFO"]).await.expect("the server answers");
    let value = reply.text().and_then(|info| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
    });
    value
        .expect("the server knows the field")
        .parse()
        .expect("the field is a number")
}
