//! Redis streams beside numbered pub/sub, as what carries invalidation notices from a writer to the
//! nodes.
//!
//! In both a script raises a number and tells of it. All take turns in one run, each with a server
//! of its own; writers, nodes and servers share the machine.

#![expect(
    clippy::print_stdout,
    reason = "the tables are what a benchmark is for"
)]

mod feed;
mod load;
mod outage;

use std::time::Duration;

use redis::RedisResult;
use tokio::runtime::Builder;
use vacancy_benches::{ROUNDS, Sample, Table};

use crate::{
    feed::{BACKPLANES, Backplane},
    load::{Figures, Load, Topology},
};

const CONDITIONS: [(Topology, usize, &str); 5] = [
    (Topology::Single, 1, "1 listening"),
    (Topology::Single, 3, "3 listening"),
    (Topology::Single, 10, "10 listening"),
    (Topology::Cluster, 3, "3, cluster of 3"),
    (Topology::Cluster, 10, "10, cluster of 3"),
];
const OUTAGES: usize = 5;

/// What a table shows of a round's figures.
type Figure = fn(&Figures) -> f64;

const FIGURES: [(&str, Figure); 6] = [
    ("µs to the last node, median", |f| micros(f.median)),
    ("µs to the last node, p99", |f| micros(f.p99)),
    (
        "µs of the servers' processor a notice, one at a time",
        |f| f.single_cpu,
    ),
    ("notices a second at all nodes, burst of 10,000", |f| {
        f.burst_rate
    }),
    ("µs of the servers' processor a notice, burst", |f| {
        f.burst_cpu
    }),
    ("bytes sent by the servers a notice, burst", |f| f.bytes),
];

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made here");
    runtime
        .block_on(async {
            loads().await?;
            outages().await;
            RedisResult::Ok(())
        })
        .expect("the servers answer");
}

async fn loads() -> RedisResult<()> {
    let mut tables = FIGURES.map(|(title, _)| Table::new(title, Backplane::Streams.to_string()));
    println!(
        "{:16} | {:16} | connections a node | KiB in the servers after 10,500 notices",
        "", "nodes"
    );
    for (topology, nodes, heading) in CONDITIONS {
        let mut loads = Vec::new();
        for backplane in BACKPLANES {
            let mut load = Load::start(backplane, topology, nodes).await?;
            // Thrown away; and one burst of notices is what the memory is stated for.
            load.round().await?;
            let (connections, memory) = load.footprint().await;
            let kib = memory / 1024.0;
            println!("{backplane:16} | {heading:16} | {connections:>18} | {kib:>8.0}");
            loads.push((backplane, load, Vec::new()));
        }
        for round in 0..ROUNDS {
            // Every other round goes backwards, so that no neighbour is always the same.
            if round % 2 == 1 {
                loads.reverse();
            }
            for (_, load, figures) in &mut loads {
                figures.push(load.round().await?);
            }
            if round % 2 == 1 {
                loads.reverse();
            }
        }
        for (table, (_, figure)) in tables.iter_mut().zip(FIGURES) {
            let sample = |(backplane, _, figures): &(Backplane, _, Vec<Figures>)| {
                Sample::of(backplane.to_string(), figures.iter().map(figure))
            };
            table.column(heading, loads.iter().map(sample).collect());
        }
    }
    println!();
    for table in tables {
        println!("{table}");
    }
    Ok(())
}

async fn outages() {
    println!("cut off for a second, with a notice a millisecond");
    println!("                 | recovered | missed | ms until current");
    for _ in 0..OUTAGES {
        for backplane in BACKPLANES {
            let recovery = outage::outage(backplane).await;
            let current = micros(recovery.current) / 1000.0;
            println!(
                "{backplane:16} | {:>9} | {:>6} | {current:>8.1}",
                recovery.recovered, recovery.missed
            );
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
