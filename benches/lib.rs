//! What the benchmarks share: rounds in which all contenders take turns, medians, quartiles, and a table of ratios.
//!
//! Absolute times belong to one machine on one day. All contenders therefore alternate within one run, and what is
//! read from a table is the ratio to a baseline.

pub mod dispatch;
mod machine;
mod table;

use std::{fmt, thread, time::Instant};

pub use machine::{Machine, revision};
pub use table::{Better, Lead, Table};

/// How often every contender is measured unless a benchmark says otherwise.
pub const ROUNDS: usize = 11;

/// One of the things that a benchmark compares.
///
/// `measure` runs one round and returns its cost in whatever unit the table states, usually nanoseconds an operation;
/// or several figures, where `T` is an array of them.
pub struct Contender<'a, T = f64> {
    name: String,
    measure: Box<dyn FnMut() -> T + 'a>,
}

impl<T> fmt::Debug for Contender<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a, T> Contender<'a, T> {
    /// Names a contender and says how one round of it is measured.
    pub fn new(name: impl Into<String>, measure: impl FnMut() -> T + 'a) -> Self {
        Self {
            name: name.into(),
            measure: Box::new(measure),
        }
    }
}

/// Measures every contender `rounds` times, taking turns, after one round that is thrown away.
///
/// Every other round goes backwards, so that no contender always runs after the same neighbour.
pub fn alternate(contenders: Vec<Contender<'_>>, rounds: usize) -> Vec<Sample> {
    let contenders = contenders
        .into_iter()
        .map(|mut contender| Contender::new(contender.name, move || [(contender.measure)()]))
        .collect();
    let [samples] = alternate_figures(contenders, rounds);
    samples
}

/// As [`alternate`], where every round gives several figures: one list of samples for each of them.
pub fn alternate_figures<const N: usize>(
    mut contenders: Vec<Contender<'_, [f64; N]>>,
    rounds: usize,
) -> [Vec<Sample>; N] {
    for contender in &mut contenders {
        (contender.measure)();
    }
    let mut measured = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            measured[index].push((contenders[index].measure)());
        }
    }
    std::array::from_fn(|figure| {
        contenders
            .iter()
            .zip(&measured)
            .map(|(contender, rounds)| {
                Sample::of(
                    contender.name.as_str(),
                    rounds.iter().map(|round| round[figure]),
                )
            })
            .collect()
    })
}

/// What one contender's rounds gave, in ascending order.
#[derive(Debug, Clone)]
pub struct Sample {
    name: String,
    values: Vec<f64>,
}

impl Sample {
    /// What was measured otherwise than by [`alternate`], for instance several figures in one round.
    pub fn of(name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self {
            name: name.into(),
            values,
        }
    }

    /// The contender's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value below which a quarter of the rounds lie.
    pub fn lower_quartile(&self) -> f64 {
        self.quantile(0.25)
    }

    /// The middle value; not a number if nothing was measured.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which three quarters of the rounds lie.
    pub fn upper_quartile(&self) -> f64 {
        self.quantile(0.75)
    }

    /// The value below which `fraction` of the values lie, from 0 to 1; not a number if nothing was measured.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let Some(last) = self.values.len().checked_sub(1) else {
            return f64::NAN;
        };
        let place = fraction * last as f64;
        let (below, above) = (
            self.values[place.floor() as usize],
            self.values[place.ceil() as usize],
        );
        below + (above - below) * place.fract()
    }
}

/// Nanoseconds a read, when each of so many threads reads so many times at once. Reads are given a number
/// below `keys`, with a stride that visits all of them, in another order on each thread.
///
/// # Panics
///
/// When a read does.
pub fn each(threads: u64, reads: u64, keys: u64, read: impl Fn(u64) + Sync) -> f64 {
    let nanos: Vec<f64> = thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|thread| {
                let read = &read;
                scope.spawn(move || {
                    let begun = Instant::now();
                    // In no order: memory that was filled in the order of the keys would be read
                    // ahead by the machine, as it is in no application.
                    let mut order = fastrand::Rng::with_seed(thread);
                    for _ in 0..reads {
                        read(order.u64(..keys));
                    }
                    begun.elapsed().as_nanos() as f64 / reads as f64
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"))
            .collect()
    });
    nanos.iter().sum::<f64>() / nanos.len() as f64
}
