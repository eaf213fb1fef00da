//! What a hit costs, beside a bare moka and a hand-written table, and what an invalidation costs.
//!
//! All hold the same keys and values for the same time to live. A hit of ours has three covers and
//! looks at each of their fences.

#![expect(
    clippy::print_stdout,
    reason = "the tables are what a benchmark is for"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    hint::black_box,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use vacancy::cache::{Cache, Cover, Nearest, Scope, Span, Turn};
use vacancy_benches::{Contender, ROUNDS, Table, alternate, each};

const KEYS: u64 = 1_000;
const READS: u64 = 200_000;
const TTL: Duration = Duration::from_secs(300);
const MOKA: &str = "moka get";

type Ours = Cache<u64, u64, Infallible>;

fn main() {
    println!("at {}", vacancy_benches::revision());
    println!("{}", hits());
    println!("{}", invalidations());
}

/// Nanoseconds a hit, on one thread and on two.
fn hits() -> Table {
    let mut table = Table::new("a level-1 hit, ns", MOKA);
    for (threads, heading) in [(1, "1 thread"), (2, "2 threads")] {
        let ours = [1, 3].map(|covers| (covers, fenced(covers)));
        let moka = moka::sync::Cache::builder()
            .time_to_live(TTL)
            .max_capacity(100_000)
            .build();
        let plain = Arc::new(RwLock::new(HashMap::new()));
        for key in 0..KEYS {
            moka.insert(key, Arc::new(key));
            plain
                .write()
                .expect("no reader panics")
                .insert(key, (Arc::new(key), Instant::now() + TTL));
        }
        let mut contenders = vec![Contender::new("RwLock<HashMap> with a deadline", {
            move || {
                each(threads, READS, KEYS, |key| {
                    let (value, deadline) = plain.read().expect("no reader panics")[&key].clone();
                    (deadline > Instant::now()).then_some(value);
                })
            }
        })];
        contenders.push(Contender::new(MOKA, move || {
            each(threads, READS, KEYS, |key| {
                black_box(moka.get(&key));
            })
        }));
        for (covers, cache) in ours {
            contenders.push(Contender::new(
                format!("vacancy, {covers} covers"),
                move || {
                    each(threads, READS, KEYS, |key| {
                        black_box(cache.get(&key).expect("nothing is invalidated"));
                    })
                },
            ));
        }
        table.column(heading, alternate(contenders, ROUNDS));
    }
    table
}

/// Nanoseconds an invalidation, by what is cached behind the scope.
fn invalidations() -> Table {
    let mut table = Table::new("an invalidation, ns", "nothing cached");
    let contenders = [
        ("nothing cached", 0),
        ("1 entry", 1),
        ("100,000 entries", 100_000),
    ];
    let contenders = contenders.map(|(name, entries)| {
        let cache: Ours = Cache::builder().ttl(TTL).build();
        let scope = Scope::new("tenant", "resource", "host");
        for key in 0..entries {
            fill(&cache, key, || {
                [Cover::new(
                    scope.clone(),
                    Span::new(key as i64, key as i64 + 10),
                )]
            });
        }
        Contender::new(name, move || {
            let begun = Instant::now();
            for nth in 0..READS {
                // Never the same span twice, or the log would have less to do.
                let from = (nth * 20) as i64;
                black_box(cache.invalidate(&scope, Span::new(-from - 10, -from)));
            }
            begun.elapsed().as_nanos() as f64 / READS as f64
        })
    });
    table.column("one scope", alternate(contenders.into(), ROUNDS));
    table
}

fn fenced(covers: usize) -> Ours {
    let cache: Ours = Cache::builder().ttl(TTL).build();
    let scopes: Vec<_> = (0..covers)
        .map(|id| Scope::new("tenant", "resource", id.to_string()))
        .collect();
    for key in 0..KEYS {
        fill(&cache, key, || {
            scopes
                .iter()
                .map(|scope| Cover::new(scope.clone(), Span::ALL))
        });
    }
    cache
}

fn fill<C: IntoIterator<Item = Cover>>(cache: &Ours, key: u64, covers: impl FnOnce() -> C) {
    match cache.begin(&key, Nearest::Level1, covers) {
        Turn::Load(ticket) => drop(ticket.depart().fill(key)),
        turn => unreachable!("every key is filled once, by one thread: {turn:?}"),
    }
}
