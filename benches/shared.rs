//! What a shared level costs: a hit in level 1 under a lease, a read of Redis, and an invalidation,
//! on loopback and with 3 ms each way.
//!
//! Starts a Redis of its own. The time of a round trip is the peer's: one bare GET, three DELs.

#![expect(
    clippy::print_stdout,
    reason = "the tables are what a benchmark is for"
)]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;
use vacancy::cache::{Cache, Cover, Nearest, Redis, Scope, SharedKey, Source, Span};
use vacancy_benches::{Contender, ROUNDS, Table, alternate, each};
use vacancy_testbed::{Fault, Proxy, RedisServer};

const KEYS: u64 = 1_000;
const READS: u64 = 200_000;
const TTL: Duration = Duration::from_secs(300);
const MOKA: &str = "moka get";

type Ours = Cache<Key, u64, Infallible>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64);

impl SharedKey for Key {
    fn tenant(&self) -> &str {
        "15"
    }

    fn name(&self) -> String {
        self.0.to_string()
    }
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime
        .block_on(RedisServer::start())
        .expect("a redis-server");
    println!("{}", hits(&runtime, &(server.url() + "/1")));
    println!(
        "loopback\n{}\n",
        round_trips(&runtime, &server.url(), 4_000)
    );
    let proxy = runtime
        .block_on(Proxy::start(server.address()))
        .expect("a proxy");
    proxy.set(Fault::Delay(Duration::from_millis(3)));
    println!(
        "3 ms each way\n{}",
        round_trips(&runtime, &proxy.url(), 200)
    );
}

fn cache(runtime: &Runtime, url: &str) -> Ours {
    let _runtime = runtime.enter();
    let redis = Redis::at(url.parse().expect("the address of a redis"))
        .namespace(url) // each finds an empty level
        .lease(Duration::from_secs(60));
    let cache: Ours = Cache::builder().ttl(TTL).redis(redis).build();
    runtime.block_on(async {
        while !cache.is_leased("15") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    cache
}

/// What an appointment changes: its resource, its event type, its branch.
fn covers(key: u64) -> [Cover; 3] {
    ["resource", "event type", "branch"].map(|kind| {
        let id = if key < KEYS { key % 10 } else { 10 };
        Cover::new(
            Scope::new("15", kind, id.to_string()),
            Span::new(key as i64 * 100, key as i64 * 100 + 100),
        )
    })
}

async fn read(cache: &Ours, key: u64) -> Source {
    let Ok(answer) = cache
        .get_or_load(&Key(key), || covers(key), async || Ok(key))
        .await;
    answer.source()
}

/// Nanoseconds a hit in level 1, on one thread and on two.
fn hits(runtime: &Runtime, url: &str) -> Table {
    let mut table = Table::new("a level-1 hit under a lease, ns", MOKA);
    let ours = cache(runtime, url);
    runtime.block_on(async {
        for key in 0..KEYS {
            read(&ours, key).await;
        }
    });
    let moka = moka::sync::Cache::builder()
        .time_to_live(TTL)
        .max_capacity(100_000)
        .build();
    for key in 0..KEYS {
        moka.insert(Key(key), std::sync::Arc::new(key));
    }
    for (threads, heading) in [(1, "1 thread"), (2, "2 threads")] {
        let contenders = vec![
            Contender::new(MOKA, || {
                each(threads, READS, KEYS, |key| {
                    black_box(moka.get(&Key(key)));
                })
            }),
            Contender::new("vacancy, 3 covers and a lease", || {
                each(threads, READS, KEYS, |key| {
                    black_box(ours.get(&Key(key)).expect("nothing is invalidated"));
                })
            }),
        ];
        // Short and many: a machine that is slow for a second is slow for both.
        table.column(heading, alternate(contenders, 5 * ROUNDS));
    }
    table
}

/// Microseconds of reads and invalidations that go to Redis: medians and 99th percentiles.
fn round_trips(runtime: &Runtime, url: &str, times: usize) -> String {
    let keys = KEYS.min(times as u64 / 4);
    let ours = cache(runtime, url);
    let client = redis::Client::open(url).expect("the address of a redis");
    let connection = runtime
        .block_on(client.get_multiplexed_async_connection())
        .expect("a connection");
    runtime.block_on(async {
        for key in 0..keys {
            read(&ours, key).await;
            let mut connection = connection.clone();
            let set: Result<(), _> = redis::cmd("SET")
                .arg(format!("bare:{key}"))
                .arg(vec![7_u8; 64])
                .query_async(&mut connection)
                .await;
            set.expect("a SET");
            while ours.statistics().level2.written <= key {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        }
    });
    let mut lines = Vec::new();
    let mut all: [Vec<f64>; 4] = Default::default();
    // One of each in turn, so that all see the same machine.
    for nth in 0..times as u64 {
        let key = nth % keys;
        runtime.block_on(async {
            let mut bare = connection.clone();
            let begun = Instant::now();
            bare_get(&mut bare, key).await;
            all[0].push(micros(begun));

            let begun = Instant::now();
            let looks = ours.look(
                match ours.begin(&Key(key), Nearest::Level2, || covers(key)) {
                    vacancy::cache::Turn::Load(ticket) => vec![ticket],
                    turn => unreachable!("level 1 is not asked: {turn:?}"),
                },
            );
            assert!(matches!(
                looks.await.pop(),
                Some(vacancy::cache::Look::Found(_))
            ));
            all[1].push(micros(begun));

            let begun = Instant::now();
            for at in 0..3 {
                let deleted: Result<(), _> = redis::cmd("DEL")
                    .arg(format!("bare:none:{at}"))
                    .query_async(&mut bare)
                    .await;
                deleted.expect("a DEL");
            }
            all[2].push(micros(begun));

            let begun = Instant::now();
            // Other resources than those that are read, or their fences would forget what is read.
            ours.invalidate_all(&covers(KEYS * 100 + nth));
            ours.confirmed("15", None).await.expect("redis is there");
            all[3].push(micros(begun));
        });
    }
    let names = [
        "bare GET",
        "vacancy, level-2 read with 3 fences",
        "3 DELs, one after the other",
        "vacancy, 3 scopes invalidated and confirmed",
    ];
    lines.push(format!(
        "{:<46} {:>9} {:>9} {:>7}",
        "us", "p50", "p99", "ratio"
    ));
    let base = [0, 0, 2, 2];
    for values in &mut all {
        values.sort_by(f64::total_cmp);
    }
    for (at, name) in names.iter().enumerate() {
        let ratio = percentile(&all[at], 0.5) / percentile(&all[base[at]], 0.5);
        lines.push(format!(
            "{name:<46} {:>9.0} {:>9.0} {ratio:>7.2}",
            percentile(&all[at], 0.5),
            percentile(&all[at], 0.99),
        ));
    }
    let level2 = ours.statistics().level2;
    lines.push(format!(
        "{} script calls for {} invalidated spans; {} hits in level 2, {} errors",
        level2.raises, level2.confirmed, level2.hits, level2.errors
    ));
    lines.join("\n")
}

async fn bare_get(connection: &mut MultiplexedConnection, key: u64) {
    let value: Result<Option<Vec<u8>>, _> = redis::cmd("GET")
        .arg(format!("bare:{key}"))
        .query_async(connection)
        .await;
    black_box(value.expect("a GET"));
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_nanos() as f64 / 1_000.0
}

fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    sorted[(fraction * (sorted.len() - 1) as f64) as usize]
}
