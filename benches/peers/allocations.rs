//! What the bus allocates, beside every peer and floor.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    vacancy_benches::dispatch::compare_memory(&vacancy_peers::entrants());
}
