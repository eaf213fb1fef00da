//! The planted bugs. To add one: break a rule in the source, see a test fail, and write down here
//! what you replaced, by what, and the narrowest `cargo test` that runs that test.

use super::{Planted, Tests};

/// Tests of the facade in one file of `tests/`.
macro_rules! facade {
    ($file:literal $(, $filter:literal)?) => {
        Tests::Cargo(&["--package", "vacancy", "--test", $file $(, $filter)?])
    };
}

/// All of them, in the order of the crates they are planted in.
pub(super) const CATALOGUE: &[Planted] = &[
    Planted {
        name: "a_run_without_tests_passes",
        file: "crates/xtask/src/test_run.rs",
        from: "Tally { passed: 0, .. } => Err(TestError::NoneRan),",
        to: "",
        tests: Tests::Cargo(&["--package", "xtask", "--bins", "test_run"]),
    },
    Planted {
        name: "a_panic_of_a_listener_is_not_caught",
        file: "crates/event-dispatch/src/guard.rs",
        from: "catch_unwind(AssertUnwindSafe(run)).map_err(Panic::new)",
        to: "Ok(run())",
        tests: facade!("dispatch_isolation"),
    },
    Planted {
        name: "the_fence_is_read_after_the_load",
        file: "crates/cache/src/entry.rs",
        from: "generation: AtomicU64::new(guard.generation.load(Ordering::Relaxed)),",
        to: "generation: AtomicU64::new(guard.fence.generation()),",
        tests: facade!("fenced_invalidation"),
    },
    Planted {
        name: "the_fence_is_read_after_the_load_in_the_model",
        file: "crates/cache/src/entry.rs",
        from: "generation: AtomicU64::new(guard.generation.load(Ordering::Relaxed)),",
        to: "generation: AtomicU64::new(guard.fence.generation()),",
        tests: Tests::Model("model_no_read_after_an_invalidation_is_stale"),
    },
    Planted {
        name: "a_reader_joins_an_old_flight",
        file: "crates/cache/src/cache.rs",
        from: "flight.guards.check(&self.counters).is_ok()",
        to: "flight.guards.check(&self.counters).is_ok() || true",
        tests: facade!("fenced_invalidation"),
    },
    Planted {
        name: "a_reader_joins_an_old_flight_in_the_model",
        file: "crates/cache/src/cache.rs",
        from: "flight.guards.check(&self.counters).is_ok()",
        to: "flight.guards.check(&self.counters).is_ok() || true",
        tests: Tests::Model("model_no_read_after_an_invalidation_is_stale"),
    },
    Planted {
        name: "a_dropped_fence_takes_its_successor_along",
        file: "crates/cache/src/fences.rs",
        from: "|held| held.strong_count() == 0",
        to: "|_| true",
        tests: Tests::Model("model_a_fence_that_is_let_go"),
    },
    Planted {
        name: "a_log_that_wrapped_is_trusted",
        file: "crates/cache/src/fence.rs",
        from: "is_some_and(|(forgotten, _)| generation < forgotten)",
        to: "is_some_and(|(forgotten, _)| generation < forgotten && false)",
        tests: facade!("fenced_invalidation"),
    },
    Planted {
        name: "what_settles_is_kept",
        file: "crates/cache/src/turn.rs",
        from: "let keep = !flight.guards.are_settling(&cache.fences, begun);",
        to: "let keep = !flight.guards.are_settling(&cache.fences, begun) || true;",
        tests: facade!("cache_bounds"),
    },
    Planted {
        name: "a_cancelled_leader_leaves_its_followers",
        file: "crates/cache/src/turn.rs",
        from: "            self.flight.lose();\n",
        to: "",
        tests: facade!("single_flight", "a_cancelled_leader"),
    },
    Planted {
        name: "an_error_is_kept_as_empty",
        file: "crates/slots/src/read.rs",
        from: "load.ticket.fail(error.clone())",
        to: "drop(load.ticket.fill(Vec::new()))",
        tests: facade!("source_truth"),
    },
    Planted {
        name: "three_fixed_hours_only",
        file: "crates/slots/src/affected.rs",
        from: "let to = end.saturating_add(after).max(last_hour + HOUR);",
        to: "let _ = (after, last_hour);\n        let from = from.max(start.div_euclid(HOUR) * \
             HOUR - HOUR);\n        let to = from + 3 * HOUR;",
        tests: facade!("reach", "three_hours"),
    },
    Planted {
        name: "event_type_instead_of_resource",
        file: "crates/slots/src/scopes.rs",
        from: "        scopes.extend(of_resources(tenant, &appointment.resources));\n",
        to: "        scopes.extend(appointment.event_type.iter().map(|id| event_type_scope(tenant, \
             id)));\n",
        tests: facade!("reach", "another_event_type"),
    },
    Planted {
        name: "ids_are_joined_without_escaping",
        file: "crates/slots/src/key.rs",
        from: "            write!(f, \"%{byte:02X}\")?;",
        to: "            write!(f, \"{}\", char::from(*byte))?;",
        tests: facade!("keys"),
    },
];
