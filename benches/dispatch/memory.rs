//! How much a dispatch allocates, and how much an idle bus and each of its listeners hold.
//!
//! All of it on a runtime of one thread, where every run allocates the same. The allocator counts for the whole
//! process, which would cost the other tables time: that is why this one is a program of its own.

use std::{alloc::System, hint::black_box};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::{
    Contender,
    dispatch::{Booked, Dispatcher, cost::BURST, work::Handled},
};

/// The listeners of the bus that dispatches.
const LISTENERS: usize = 3;

/// The listeners by which the size of one is found.
const MANY: usize = 100;

/// Bursts that are counted, and as many before them that are not.
const BURSTS: u64 = 64;

pub(crate) const FIGURES: [&str; 4] = [
    "allocations a dispatch",
    "bytes a dispatch",
    "bytes of an idle bus",
    "bytes of a listener",
];

/// Rounds that give the [`FIGURES`].
pub(crate) fn contender<D: Dispatcher>() -> Contender<'static, [f64; FIGURES.len()]> {
    Contender::new(D::NAME, || {
        let [allocations, bytes] = dispatches::<D>();
        let empty = idle::<D>(0);
        [
            allocations,
            bytes,
            empty,
            (idle::<D>(MANY) - empty) / MANY as f64,
        ]
    })
}

/// Whether the program counts what it allocates, which it does with [`INSTRUMENTED_SYSTEM`] as its allocator.
pub(crate) fn counts() -> bool {
    let region = counted();
    drop(black_box(Box::new(0_u8)));
    region.change().allocations > 0
}

fn counted() -> Region<'static, System> {
    Region::new(&INSTRUMENTED_SYSTEM)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made here")
}

/// Bytes that a bus holds once its tasks have run and wait.
fn idle<D: Dispatcher>(listeners: usize) -> f64 {
    let (runtime, handled) = (runtime(), Handled::new(listeners));
    let region = counted();
    let dispatcher = runtime.block_on(async {
        let dispatcher = D::start(handled.works()).await;
        for _ in 0..MANY {
            yield_now().await;
        }
        dispatcher
    });
    let change = region.change();
    drop(dispatcher);
    // A realloc counts its growth as allocated and its shrinkage as freed.
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

/// Allocations of one dispatch and its handling, and their bytes, without those of the event itself.
fn dispatches<D: Dispatcher>() -> [f64; 2] {
    let (runtime, handled) = (runtime(), Handled::new(LISTENERS));
    runtime.block_on(async {
        let mut dispatcher = D::start(handled.works()).await;
        let mut total = Stats::default();
        for burst in 0..2 * BURSTS {
            let events: Vec<Booked> = (0..BURST).map(Booked::new).collect();
            let region = counted();
            for event in events {
                dispatcher.dispatch(event).await;
            }
            while handled.slowest() < Some((burst + 1) * BURST) {
                yield_now().await;
            }
            let change = region.change();
            if burst >= BURSTS {
                total.allocations += change.allocations + change.reallocations;
                total.bytes_allocated += change.bytes_allocated;
            }
        }
        let dispatches = (BURSTS * BURST) as f64;
        [
            total.allocations as f64 / dispatches,
            total.bytes_allocated as f64 / dispatches,
        ]
    })
}
