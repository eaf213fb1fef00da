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
use vacancy_testbed::RedisServer;

use crate::feed::{Backplane, Feed, Writer};

/// Notices sent one at a time in a round.
const SINGLE: u64 = 500;

/// Notices sent as fast as they go, by writers that each wait for their replies.
const BURST: u64 = 10_000;
const WRITERS: u64 = 50;

/// A server of its own, a writer and some nodes.
pub(crate) struct Load {
    server: RedisServer,
    writer: Writer,
    arrivals: Arc<Arrivals>,
    nodes: Vec<JoinHandle<()>>,
    connections_before: f64,
    memory_before: f64,
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

impl Load {
    pub(crate) async fn start(backplane: Backplane, nodes: usize) -> RedisResult<Self> {
        let server = RedisServer::start().await.expect("a server can be started");
        let writer = Writer::open(backplane, &server.url()).await?;
        let arrivals = Arc::new(Arrivals::default());
        let mut load = Self {
            connections_before: info(&server, "connected_clients").await,
            memory_before: 0.0,
            writer,
            arrivals,
            nodes: Vec::new(),
            server,
        };
        for _ in 0..nodes {
            let mut feed = Feed::open(backplane, &load.server.url(), 0).await?;
            let arrivals = Arc::clone(&load.arrivals);
            load.nodes.push(tokio::spawn(async move {
                let mut numbers = Vec::new();
                let mut applied = 0;
                while feed.next(&mut numbers).await {
                    let count = numbers.len() as u64;
                    for number in numbers.drain(..) {
                        assert_eq!(number, applied + 1, "a notice was lost without a fault");
                        applied = number;
                    }
                    arrivals.note(count);
                }
            }));
        }
        // The script is loaded, and every node has heard something.
        load.one_at_a_time(10).await?;
        load.memory_before = info(&load.server, "used_memory").await;
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
    pub(crate) async fn footprint(&self) -> (f64, f64) {
        let connections = info(&self.server, "connected_clients").await - self.connections_before;
        let memory = info(&self.server, "used_memory").await - self.memory_before;
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

    /// Microseconds of processor time that the server has used.
    async fn cpu(&self) -> f64 {
        let user = info(&self.server, "used_cpu_user").await;
        (user + info(&self.server, "used_cpu_sys").await) * 1e6
    }

    /// Bytes that the server has sent.
    async fn sent(&self) -> f64 {
        info(&self.server, "total_net_output_bytes").await
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.abort();
        }
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
