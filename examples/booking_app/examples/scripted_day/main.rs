//! A day in the salon through its HTTP edges: people book on the page, on the phone and at Cal.com, whose
//! webhooks come twice, late, in the wrong order or not at all, while many others look at what is free.
//!
//! Says of every read, by the order in which requests were answered and begun, whether it offered what was
//! taken; and of everybody who was refused, whether somebody else really wanted the same.

mod calcom;
mod checker;
mod clock;
mod day;
mod history;
mod menu;
mod people;
mod report;
mod visitor;

use std::time::Duration;

use booking_app::{Settings, serve};
use checker::Verdict;
use clap::Parser;
use day::{Day, Script};
use metrics_exporter_prometheus::PrometheusBuilder;
use report::Report;
use visitor::Cache;

/// How long the day is.
#[derive(Clone, Debug, Parser)]
#[command(name = "scripted_day")]
pub(crate) struct Arguments {
    /// How many people want to book.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) bookings: u32,
    /// How many others look at what is free.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) reads: u32,
    /// How many of those look at the answers of the TTL cache, for comparison, on a day of its own.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) ttl_reads: u32,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long the calendar takes for an answer, in milliseconds.
    #[arg(long, default_value_t = 150)]
    pub(crate) calendar_delay: u64,
    /// For how long the calendar goes on giving an old answer, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) calendar_lag: u64,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is a program for people")]
async fn main() -> anyhow::Result<()> {
    let report = run(&Arguments::parse()).await?;
    println!("{report}");
    anyhow::ensure!(report.vacancy.holds(), "a promise was broken");
    Ok(())
}

/// Runs the same day twice: once everybody is answered by Vacancy, once by the TTL cache.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let script = |reads, bookings| Script {
        bookings,
        reads,
        seed: arguments.seed,
    };
    // As many bookings a read as the other day has.
    let share = f64::from(arguments.ttl_reads) / f64::from(arguments.reads.max(1));
    let fewer = (f64::from(arguments.bookings) * share).ceil() as u32;
    let vacancy = script(arguments.reads, arguments.bookings);
    Ok(Report {
        vacancy: day(arguments, Cache::Vacancy, vacancy).await?,
        ttl: day(arguments, Cache::Ttl, script(arguments.ttl_reads, fewer)).await?,
    })
}

async fn day(arguments: &Arguments, cache: Cache, script: Script) -> anyhow::Result<Verdict> {
    let settings = Settings {
        port: 0,
        empty: true,
        calendar_delay: Duration::from_millis(arguments.calendar_delay),
        calendar_lag: Duration::from_millis(arguments.calendar_lag),
        seed: arguments.seed,
        ..Settings::default()
    };
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let salon = serve(settings, metrics).await?;
    let verdict = Day::new(salon.address(), cache, script).play().await;
    let left = salon.shutdown().await;
    Ok(Verdict {
        abandoned: left.abandoned.len(),
        ..verdict?
    })
}
