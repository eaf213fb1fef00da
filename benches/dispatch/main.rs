//! The bus beside tokio's broadcast channel and the floors that one would write by hand.
//!
//! `cargo bench -p vacancy-benches --bench dispatch -- --help` says what it can be asked; the package in `peers` runs
//! the same with all peers.

use vacancy_benches::dispatch::{compare, entrants};

fn main() {
    compare(&entrants());
}
