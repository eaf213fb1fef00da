//! The bus beside every peer and floor: `cargo bench --bench dispatch -- --help` says what it can be asked.

fn main() {
    vacancy_benches::dispatch::compare(&vacancy_peers::entrants());
}
