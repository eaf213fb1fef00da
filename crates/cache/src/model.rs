//! The cache under loom: every interleaving of loaders and an invalidator, up to the preemption
//! bound. Run by `cargo xtask loom`.
//!
//! It is the real `Cache`, with loom's atomics and mutexes under it and plain maps in place of
//! dashmap and moka.

use std::{convert::Infallible, sync::Arc, time::Duration};

use loom::{
    future::block_on,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use crate::{
    cache::{Cache, Nearest},
    cover::{Cover, Scope, Span},
    turn::Turn,
};

/// A cache before an origin that holds one number, and what writers have been told.
struct World {
    cache: Cache<u8, u64, Infallible>,
    scope: Scope,
    origin: AtomicU64,
    acknowledged: AtomicBool,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cache: Cache::builder().build(),
            scope: Scope::new("tenant", "resource", "host"),
            origin: AtomicU64::new(0),
            acknowledged: AtomicBool::new(false),
        })
    }

    fn covers(&self) -> [Cover; 1] {
        [Cover::new(self.scope.clone(), Span::new(0, 10))]
    }

    /// Reads through the cache. What was acknowledged before the read began must be seen.
    fn read(&self) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let load = async || Ok(self.origin.load(Ordering::SeqCst));
        let Ok(value) = block_on(self.cache.get_or_load(&0, || self.covers(), load));
        assert!(!acknowledged || *value == 1, "a stale read: {value:?}");
    }

    /// Changes the origin, then invalidates.
    fn write(&self) {
        self.origin.store(1, Ordering::SeqCst);
        self.cache.invalidate(&self.scope, Span::new(5, 6));
        self.acknowledged.store(true, Ordering::SeqCst);
    }
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

#[test]
fn model_no_read_after_an_invalidation_is_stale() {
    explore(|| {
        let world = World::new();
        let readers = [(); 2].map(|()| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.read())
        });
        world.write();
        world.read();
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
        world.read();
    });
}

#[test]
fn model_no_read_after_a_held_commit_is_stale() {
    explore(|| {
        let world = World::new();
        world.read();
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                world.read();
                world.read();
            }
        });
        let covers = world.covers();
        let hold = block_on(world.cache.hold(&covers, Duration::from_secs(30))).unwrap();
        world.origin.store(1, Ordering::SeqCst);
        // From the commit on, not from the invalidation on.
        world.acknowledged.store(true, Ordering::SeqCst);
        world.cache.release(&hold);
        reader.join().unwrap();
        world.read();
    });
}

#[test]
fn model_a_kept_value_is_not_served_after_an_invalidation() {
    explore(|| {
        let world = World::new();
        world.read();
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                world.read();
                world.read();
            }
        });
        world.write();
        reader.join().unwrap();
        world.read();
    });
}

#[test]
fn model_a_reader_takes_over_from_a_cancelled_one() {
    explore(|| {
        let world = World::new();
        let cancelled = thread::spawn({
            let world = Arc::clone(&world);
            move || drop(world.cache.begin(&0, Nearest::Level1, || world.covers()))
        });
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || world.read()
        });
        world.write();
        cancelled.join().unwrap();
        reader.join().unwrap();
        world.read();
        assert!(matches!(
            world.cache.begin(&0, Nearest::Level1, || world.covers()),
            Turn::Hit(_)
        ));
    });
}

#[test]
fn model_a_fence_that_is_let_go_and_taken_again_is_found() {
    explore(|| {
        let world = World::new();
        let passing = thread::spawn({
            let world = Arc::clone(&world);
            // Takes the scope's fence, and lets go of it with the ticket.
            move || drop(world.cache.begin(&1, Nearest::Level1, || world.covers()))
        });
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || world.read()
        });
        world.write();
        passing.join().unwrap();
        reader.join().unwrap();
        world.read();
    });
}
