//! What the bus allocates, beside tokio's broadcast channel and the floors that one would write by hand.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use vacancy_benches::dispatch::{compare_memory, entrants};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    compare_memory(&entrants());
}
