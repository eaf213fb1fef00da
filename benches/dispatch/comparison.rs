//! [`compare`] and [`compare_memory`]: the programs that measure contenders and print their tables.

#![expect(
    clippy::print_stdout,
    reason = "the tables are what a benchmark is for"
)]

use clap::{Parser, ValueEnum};

use crate::{
    Better, Machine, ROUNDS, Table, alternate, alternate_figures,
    dispatch::{Entrant, cost, latency, memory, throughput},
};

/// The contender that is ours.
pub const OURS: &str = "vacancy";

const MPSC: &str = "floor: mpsc + task per listener";
const BROADCAST: &str = "tokio broadcast";

/// Rounds of `--quick`.
const QUICK: usize = 3;

#[derive(Debug, Parser)]
struct Options {
    /// Which tables; all of them if none is named
    #[arg(value_enum)]
    tables: Vec<Comparison>,
    #[command(flatten)]
    field: FieldOptions,
}

#[derive(Debug, Parser)]
struct FieldOptions {
    /// Measure fewer rounds under fewer conditions: that it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Only contenders with this in their name, beside ours and the baseline; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Comparison {
    /// What a dispatch costs the publisher
    Cost,
    /// Events a second handled by all listeners
    Throughput,
    /// Time from the dispatch to the start of the last listener
    Latency,
}

/// Measures `entrants` as the arguments of the program say, and prints the tables.
pub fn compare(entrants: &[Entrant]) {
    let options = Options::parse();
    println!("{}\n", Machine::here());
    let tables = if options.tables.is_empty() {
        Comparison::value_variants()
    } else {
        &options.tables
    };
    for table in tables {
        match table {
            Comparison::Cost => print_cost(entrants, &options.field),
            Comparison::Throughput => print_throughput(entrants, &options.field),
            Comparison::Latency => print_latency(entrants, &options.field),
        }
    }
}

/// As [`compare`], for the table of allocations.
///
/// # Panics
///
/// When the allocator of the program is another than [`stats_alloc::INSTRUMENTED_SYSTEM`].
pub fn compare_memory(entrants: &[Entrant]) {
    let options = FieldOptions::parse();
    println!("{}\n", Machine::here());
    assert!(memory::counts(), "the program counts what it allocates");
    let contenders = options.of(entrants, MPSC).map(|entrant| (entrant.memory)());
    // Nothing here depends on time.
    let samples = alternate_figures(contenders.collect(), QUICK);
    let mut table = Table::new(
        "allocations and bytes, 3 listeners, without those of the event",
        MPSC,
    );
    for (heading, samples) in memory::FIGURES.into_iter().zip(samples) {
        table.column(heading, samples);
    }
    print(&table, Better::Lower);
}

impl FieldOptions {
    fn rounds(&self) -> usize {
        if self.quick { QUICK } else { ROUNDS }
    }

    /// The first condition alone, if it has to be quick.
    fn some<'a, T>(&self, conditions: &'a [T]) -> &'a [T] {
        if self.quick {
            &conditions[..1]
        } else {
            conditions
        }
    }

    fn of<'a>(
        &'a self,
        entrants: &'a [Entrant],
        baseline: &'static str,
    ) -> impl Iterator<Item = &'a Entrant> {
        entrants.iter().filter(move |entrant| {
            self.only.is_empty()
                || [OURS, baseline].contains(&entrant.name)
                || self.only.iter().any(|only| entrant.name.contains(only))
        })
    }
}

fn print_cost(entrants: &[Entrant], options: &FieldOptions) {
    let mut table = Table::new("ns a dispatch, bursts of 64", MPSC);
    for &listeners in options.some(&cost::LISTENERS) {
        let contenders = options
            .of(entrants, MPSC)
            .map(|entrant| (entrant.cost)(listeners));
        table.column(
            plural(listeners),
            alternate(contenders.collect(), options.rounds()),
        );
    }
    print(&table, Better::Lower);
}

fn print_throughput(entrants: &[Entrant], options: &FieldOptions) {
    let mut table = Table::new(
        "thousand events a second handled by all listeners (L) of publishers (P)",
        BROADCAST,
    );
    for &shape in options.some(&throughput::SHAPES) {
        let contenders = options
            .of(entrants, BROADCAST)
            .map(|entrant| (entrant.throughput)(shape));
        table.column(
            shape.to_string(),
            alternate(contenders.collect(), options.rounds()),
        );
    }
    print(&table, Better::Higher);
}

fn print_latency(entrants: &[Entrant], options: &FieldOptions) {
    for setting in latency::SETTINGS {
        let mut table = Table::new(
            format!("ns from the dispatch to the start of the last listener, {setting}"),
            BROADCAST,
        );
        for &listeners in options.some(&latency::LISTENERS) {
            let contenders = options
                .of(entrants, BROADCAST)
                .map(|entrant| (entrant.latency)(setting, listeners));
            let samples = alternate_figures(contenders.collect(), options.rounds());
            for ((_, quantile), samples) in latency::QUANTILES.into_iter().zip(samples) {
                table.column(format!("{}, {quantile}", plural(listeners)), samples);
            }
        }
        print(&table, Better::Lower);
    }
}

fn plural(listeners: usize) -> String {
    let plural = if listeners == 1 { "" } else { "s" };
    format!("{listeners} listener{plural}")
}

fn print(table: &Table, better: Better) {
    println!("{table}");
    let leads = table.ahead_of(OURS, better);
    if leads.is_empty() {
        println!("{OURS} is first everywhere");
    } else {
        println!("ahead of {OURS}:");
        for lead in leads {
            println!("  {lead}");
        }
    }
    println!();
}
