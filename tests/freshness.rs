//! Racing readers and writers: no read that begins after an invalidation is stale, and nothing
//! stays stale.
//!
//! `cargo xtask freshness` prints the table. The same harness runs over a bare moka with
//! `try_get_with` and `invalidate`, to show that it can tell.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use vacancy::cache::{Cache, Cover, Scope, Source, Span};

const KEYS: usize = 64;
const READERS: usize = 8;
const READS: u64 = 1_000_000;
const INVALIDATIONS: u64 = 10_000;

/// A cache that is raced. Values are versions of their key.
trait Subject: Send + Sync {
    fn name(&self) -> &'static str;
    fn read(&self, key: usize, origin: &Origin) -> impl Future<Output = Seen> + Send;
    fn invalidate(&self, key: usize);
}

struct Seen {
    version: u64,
    hit: bool,
}

/// What the values are loaded from. A load takes its version first and some time afterwards, as
/// an answer does that is on its way.
struct Origin {
    committed: Vec<AtomicU64>,
    loads: AtomicU64,
}

impl Origin {
    async fn load(&self, key: usize) -> u64 {
        let version = self.committed[key].load(Ordering::SeqCst);
        let nth = self.loads.fetch_add(1, Ordering::Relaxed);
        match nth % 8 {
            0..3 => tokio::time::sleep(Duration::from_millis(1 + nth % 7)).await,
            3..6 => tokio::task::yield_now().await,
            _ => {}
        }
        version
    }
}

struct Fenced {
    cache: Cache<usize, u64, Infallible>,
    scopes: Vec<Scope>,
}

impl Subject for Fenced {
    fn name(&self) -> &'static str {
        "Vacancy"
    }

    async fn read(&self, key: usize, origin: &Origin) -> Seen {
        // Two keys share a scope and differ in their span, so entries are brought forward as well.
        let covers = || [Cover::new(self.scopes[key / 2].clone(), half(key))];
        let Ok(answer) = self
            .cache
            .get_or_load(&key, covers, async || Ok(origin.load(key).await))
            .await;
        Seen {
            version: *answer,
            hit: answer.source() == Source::Level1,
        }
    }

    fn invalidate(&self, key: usize) {
        self.cache.invalidate(&self.scopes[key / 2], half(key));
    }
}

fn half(key: usize) -> Span {
    let from = (key % 2) as i64 * 100;
    Span::new(from, from + 100)
}

struct BareMoka(moka::future::Cache<usize, u64>);

impl Subject for BareMoka {
    fn name(&self) -> &'static str {
        "moka try_get_with + invalidate"
    }

    async fn read(&self, key: usize, origin: &Origin) -> Seen {
        let hit = self.0.contains_key(&key);
        let load = async { Ok::<_, Infallible>(origin.load(key).await) };
        let version = self
            .0
            .try_get_with(key, load)
            .await
            .expect("the load is infallible");
        Seen { version, hit }
    }

    fn invalidate(&self, key: usize) {
        block_on(self.0.invalidate(&key));
    }
}

/// Runs a future that does not wait for anything but locks.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}

#[derive(Default)]
struct Row {
    name: &'static str,
    reads: u64,
    hits: u64,
    stale: u64,
    sticky: u64,
    invalidations: u64,
    /// Reads that ran while an invalidation of their key was acknowledged: the race itself.
    raced: u64,
    took: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<31} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>6.1}s",
            self.name,
            self.reads,
            self.hits,
            self.raced,
            self.invalidations,
            self.stale,
            self.sticky,
            self.took.as_secs_f64()
        )
    }
}

/// Readers on a runtime of two threads and a writer on its own, until all reads are done.
fn race<S: Subject + 'static>(subject: S, reads: u64, invalidations: u64) -> Row {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let subject = Arc::new(subject);
    let origin = Arc::new(Origin {
        committed: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        loads: AtomicU64::new(0),
    });
    // The version of each key whose invalidation has returned: what a later read must see.
    let acknowledged: Arc<Vec<AtomicU64>> =
        Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let start = Arc::new(Barrier::new(2));

    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (subject, origin, acknowledged, done) = (
                subject.clone(),
                origin.clone(),
                acknowledged.clone(),
                done.clone(),
            );
            runtime.spawn(async move {
                let mut row = Row::default();
                let mut dice = fastrand::Rng::with_seed(reader as u64);
                for _ in 0..reads / READERS as u64 {
                    let key = dice.usize(..KEYS);
                    let floor = acknowledged[key].load(Ordering::SeqCst);
                    let seen = subject.read(key, &origin).await;
                    row.raced += u64::from(acknowledged[key].load(Ordering::SeqCst) > floor);
                    row.stale += u64::from(seen.version < floor);
                    row.hits += u64::from(seen.hit);
                    row.reads += 1;
                    if done.fetch_add(1, Ordering::Relaxed) % 32 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                row
            })
        })
        .collect();

    let writer = thread::spawn({
        let (subject, origin, acknowledged, done, start) = (
            subject.clone(),
            origin.clone(),
            acknowledged.clone(),
            done.clone(),
            start.clone(),
        );
        let handle = runtime.handle().clone();
        move || {
            let _guard = handle.enter();
            start.wait();
            let mut dice = fastrand::Rng::with_seed(u64::MAX);
            for nth in 0..invalidations {
                // Spread over the run by progress, not by time.
                while done.load(Ordering::Relaxed) < nth * reads / invalidations {
                    thread::yield_now();
                }
                let key = dice.usize(..KEYS);
                let version = origin.committed[key].fetch_add(1, Ordering::SeqCst) + 1;
                subject.invalidate(key);
                acknowledged[key].store(version, Ordering::SeqCst);
            }
        }
    });
    start.wait();

    let mut total = Row {
        name: subject.name(),
        invalidations,
        ..Row::default()
    };
    for reader in readers {
        let row = runtime.block_on(reader).expect("a reader");
        total.reads += row.reads;
        total.hits += row.hits;
        total.stale += row.stale;
        total.raced += row.raced;
    }
    writer.join().expect("the writer");
    // Quiescence: what is still old now stays old until the time to live.
    for key in 0..KEYS {
        let seen = runtime.block_on(subject.read(key, &origin));
        total.sticky += u64::from(seen.version < acknowledged[key].load(Ordering::SeqCst));
    }
    total.took = begun.elapsed();
    total
}

fn fenced() -> Fenced {
    let scopes = (0..KEYS).map(|key| Scope::new("tenant", "host", format!("{}", key / 2)));
    Fenced {
        cache: Cache::builder().build(),
        scopes: scopes.collect(),
    }
}

#[test]
fn a_million_racing_reads_see_every_acknowledged_invalidation() {
    let fence = fenced();
    let cache = fence.cache.clone();
    let fenced = race(fence, READS, INVALIDATIONS);
    let statistics = cache.statistics();
    let bare = race(
        BareMoka(moka::future::Cache::new(10_000)),
        READS,
        INVALIDATIONS,
    );

    println!(
        "{:<31} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "", "reads", "hits", "raced", "invalid", "stale", "sticky", "took"
    );
    println!("{fenced}\n{bare}");
    println!(
        "vacuity guards for Vacancy: {} hits, {} loads, {} shared, {} fenced, {} born invalid, {} brought forward",
        fenced.hits,
        statistics.loads,
        statistics.coalesced,
        statistics.fenced,
        statistics.born_invalid,
        statistics.brought_forward
    );
    println!(
        "95 % bound on Vacancy's rate of stale reads: {:.1e}",
        3.0 / fenced.reads as f64
    );

    assert_eq!((fenced.stale, fenced.sticky), (0, 0));
    // A run that raced nothing would have shown nothing.
    assert!(
        fenced.reads >= READS && fenced.hits > READS / 10,
        "{fenced}"
    );
    assert!(
        fenced.raced > 100 && statistics.born_invalid > 10,
        "{statistics:?}"
    );
    assert!(
        statistics.fenced > 1_000 && statistics.brought_forward > 1_000,
        "{statistics:?}"
    );
    assert!(statistics.coalesced > 100, "{statistics:?}");
    assert!(
        bare.stale > 0,
        "the harness has to see what a cache without fences does"
    );
}
