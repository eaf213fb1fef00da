//! What a search for alternatives costs when all it needs is kept.

#![expect(
    clippy::print_stdout,
    reason = "the figures are what a benchmark is for"
)]

use std::{
    hint::black_box,
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use vacancy::slots::{
    AlternativeFinder, Alternatives, Interval, Slot, SlotSource, SlotsCache, SlotsQuery,
    SlotsRequest, SourceError, Wanted,
};

const SEARCHES: usize = 20_000;
/// Slots of a day: every quarter of an hour from nine to six.
const QUARTERS: u64 = 36;
const DAY: u64 = 86_400;

/// A calendar in which some hosts are free at every quarter of an hour, and the others never.
struct Calendar {
    free: Vec<u64>,
    calls: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let window = request.window().expect("days of UTC");
        let days = window.duration().as_secs() / DAY;
        let is_asked = |host: &&u64| request.resources.contains(&(**host).into());
        let mut slots = Vec::new();
        for &host in self.free.iter().filter(is_asked) {
            for quarter in (0..days).flat_map(|day| {
                let opens = day * DAY + 9 * 3600;
                (0..QUARTERS).map(move |quarter| opens + quarter * 900)
            }) {
                let start = window.start() + Duration::from_secs(quarter);
                let slot = Interval::new(start, start + Duration::from_secs(2700));
                slots.push(Slot::new(slot.expect("it has a length")).resource(host));
            }
        }
        Ok(slots)
    }
}

fn main() {
    println!("at {}", vacancy_benches::revision());
    println!("{SEARCHES} searches over kept answers, 4 weeks, microseconds");
    println!(
        "{:40} | {:>8} | {:>8} | {:>8} | calls",
        "", "p50", "p99", "max"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for (name, free) in [
        ("free at the wanted host", vec![1, 2, 3]),
        ("free at two other hosts", vec![2, 3]),
        ("none free", vec![]),
    ] {
        runtime.block_on(searches(name, free));
    }
}

/// Searches for a slot of host 1, where hosts 2 and 3 would do as well.
async fn searches(name: &str, free: Vec<u64>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let calendar = Calendar {
        free,
        calls: Arc::clone(&calls),
    };
    let slots = SlotsCache::builder(calendar)
        .ttl(Duration::from_secs(3600))
        .memory(NonZeroU64::new(256 << 20).expect("not zero"))
        .build();
    let noon = "2025-10-15T12:00:00Z/2025-10-15T12:45:00Z".parse();
    let query = SlotsQuery::new(15, 123, noon.expect("an interval")).resource(1);
    let wanted = Wanted::new(query).or_resource(2).or_resource(3);
    let finder = AlternativeFinder::new(slots).count(NonZeroUsize::new(3).expect("not zero"));
    let now = "2025-10-15T08:00:00Z".parse().expect("an instant");
    // Keeps everything that any of them needs.
    let all = finder.clone().count(NonZeroUsize::MAX);
    check(&all.find(&wanted, now).await);
    let before = calls.load(Ordering::Relaxed);
    let mut micros = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let begun = Instant::now();
        let alternatives = black_box(finder.find(&wanted, now).await);
        micros.push(begun.elapsed().as_nanos() as f64 / 1000.0);
        check(&alternatives);
    }
    micros.sort_by(f64::total_cmp);
    let at = |fraction: f64| micros[((SEARCHES - 1) as f64 * fraction) as usize];
    let calls = calls.load(Ordering::Relaxed) - before;
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!("{name:40} | {p50:>8.1} | {p99:>8.1} | {max:>8.1} | {calls}");
}

fn check(alternatives: &Alternatives) {
    match alternatives {
        Alternatives::Found(_) | Alternatives::NoneFree => {}
        other => panic!("everything can be asked for: {other:?}"),
    }
}
