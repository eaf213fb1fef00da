//! The planted bugs. To add one: break a rule in the source, see a test fail, and write down here
//! what you replaced, by what, and the narrowest `cargo test` that runs that test.

use super::{Planted, Tests};

/// Tests of the facade in one file of `tests/`.
macro_rules! facade {
    ($file:literal $(, $filter:literal)?) => {
        Tests::Cargo(&["--package", "vacancy", "--test", $file $(, $filter)?])
    };
}

/// Several nodes over one Redis, in simulated time.
const SIMULATED: Tests = Tests::Simulation("no_read_is_stale");

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
        name: "a_lane_sees_an_event_before_the_inline_listeners",
        file: "crates/event-dispatch/src/route.rs",
        from: "                self.run_inline(core, &envelope);\n            }\n        }\n        match self.admit(&envelope, too_deep) {",
        to: "            }\n        }\n        let admission = self.admit(&envelope, too_deep);\n        self.run_inline(core, &envelope);\n        match admission {",
        tests: facade!("dispatch_inline"),
    },
    Planted {
        name: "listeners_wait_for_each_other",
        file: "crates/event-dispatch/src/worker.rs",
        from: "        handle(&lane, &*listener, &core, &envelope).await;\n",
        to: "        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());\n        let one = ONE.lock().await;\n        handle(&lane, &*listener, &core, &envelope).await;\n        drop(one);\n",
        tests: facade!("bad_listeners", "a_listener_that_is_slow"),
    },
    Planted {
        name: "a_skipped_event_has_no_outcome",
        file: "crates/event-dispatch/src/worker.rs",
        from: "                lane.settle(envelope, Outcome::Skipped);\n",
        to: "",
        tests: facade!("dispatch_ledger"),
    },
    Planted {
        name: "events_of_one_key_overtake_each_other",
        file: "crates/event-dispatch/src/lane.rs",
        from: "next.keys.order.is_none_or(|key| !busy(key))",
        to: "next.keys.order.is_none_or(|key| !busy(key)) || true",
        tests: facade!("dispatch_order"),
    },
    Planted {
        name: "a_lane_has_no_bound",
        file: "crates/event-dispatch/src/lane.rs",
        from: "if queue.waiting.len() >= self.policy.capacity.get() {",
        to: "if queue.waiting.len() >= self.policy.capacity.get() && false {",
        tests: facade!("dispatch_overflow"),
    },
    Planted {
        name: "a_shutdown_forgets_what_is_being_handled",
        file: "crates/event-dispatch/src/lane.rs",
        from: "            .iter()\n            .flatten()\n            .map(|flight| Arc::clone(&flight.envelope))",
        to: "            .iter()\n            .flatten()\n            .take(0)\n            .map(|flight| Arc::clone(&flight.envelope))",
        tests: facade!("dispatch_shutdown", "shutdown_names"),
    },
    Planted {
        name: "two_listeners_have_one_name",
        file: "crates/event-dispatch/src/builder.rs",
        from: "            draft.check()?;\n",
        to: "            let _ = draft.check();\n",
        tests: facade!("dispatch_registration"),
    },
    Planted {
        name: "a_chain_of_causes_has_no_end",
        file: "crates/event-dispatch/src/delivery.rs",
        from: "depth: header.depth.saturating_add(1),",
        to: "depth: header.depth,",
        tests: facade!("dispatch_causation", "a_loop_of"),
    },
    Planted {
        name: "a_listener_may_take_for_ever",
        file: "crates/event-dispatch/src/worker.rs",
        from: "Ok(Poll::Pending) => time_out.poll(context).map(|()| Answer::TimedOut),",
        to: "Ok(Poll::Pending) => Poll::Pending,",
        tests: facade!("dispatch_attempts"),
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
        from: "keep: kept && calm == Calm::Settled,",
        to: "keep: kept && calm < Calm::Held,",
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
        name: "a_snapshot_is_taken_for_the_present",
        file: "crates/cache/src/level2/scripts/prelude.lua",
        from: "if not life or state[1] ~= life or not state[2]",
        to: "if not state[2]",
        tests: SIMULATED,
    },
    Planted {
        name: "an_incarnation_repeats",
        file: "crates/cache/src/level2/redis_store.rs",
        from: ".arg(format!(\"{:x}.{proposed:x}\", self.node));",
        to: ".arg(\"0.0\");\n        let _ = proposed;",
        tests: SIMULATED,
    },
    Planted {
        name: "level_1_needs_no_lease",
        file: "crates/cache/src/level2/partition.rs",
        from: "self.partition.lease.load(Ordering::Acquire) > now && self.is_current()",
        to: "(self.partition.lease.load(Ordering::Acquire) > now || true) && self.is_current()",
        tests: SIMULATED,
    },
    Planted {
        name: "a_lease_counts_from_the_answer",
        file: "crates/cache/src/level2/backplane.rs",
        from: "let until = sent + u64",
        to: "let until = clock::now() + u64",
        tests: SIMULATED,
    },
    Planted {
        name: "a_lease_is_granted_before_its_notices",
        file: "crates/cache/src/level2/partition.rs",
        from: "if upto.number >= at.number {",
        to: "if upto.number >= at.number || !fresh_ears {",
        tests: SIMULATED,
    },
    Planted {
        name: "a_missing_notice_goes_unnoticed",
        file: "crates/cache/src/level2/partition.rs",
        from: "let follows = notice.at.number == upto.number + 1;",
        to: "let follows = true;",
        tests: SIMULATED,
    },
    Planted {
        name: "an_epoch_never_ends",
        file: "crates/cache/src/level2/partition.rs",
        from: "        self.epoch.fetch_add(1, Ordering::AcqRel);\n",
        to: "",
        tests: SIMULATED,
    },
    Planted {
        name: "the_fence_is_read_after_the_load_on_several_nodes",
        file: "crates/cache/src/entry.rs",
        from: "generation: AtomicU64::new(guard.generation.load(Ordering::Relaxed)),",
        to: "generation: AtomicU64::new(guard.fence.generation()),",
        tests: SIMULATED,
    },
    Planted {
        name: "a_missing_fence_stands",
        file: "crates/cache/src/level2/scripts/look.lua",
        from: "fence = incarnation .. '|' .. text(number) .. '||'",
        to: "fence = incarnation .. '|0||'",
        tests: SIMULATED,
    },
    Planted {
        name: "an_entry_claims_a_later_number",
        file: "crates/cache/src/level2/scripts/look.lua",
        from: "return { incarnation, text(number), text(now), entry, fences }",
        to: "return { incarnation, text(number + 1), text(now), entry, fences }",
        tests: SIMULATED,
    },
    Planted {
        name: "nodes_are_not_waited_for",
        file: "crates/cache/src/level2/courier.rs",
        from: "if node.consistency == Consistency::Strict && !raise.covered {",
        to: "if node.consistency == Consistency::Strict && !raise.covered && false {",
        tests: SIMULATED,
    },
    Planted {
        name: "leases_of_a_former_life_are_not_waited_for",
        file: "crates/cache/src/level2/courier.rs",
        from: "if met < patience {",
        to: "if met < patience && false {",
        tests: SIMULATED,
    },
    Planted {
        name: "a_number_of_another_life_acknowledges",
        file: "crates/cache/src/level2/acknowledgements.rs",
        from: "!same_life || upto < position.number",
        to: "let _ = same_life;\n                upto < position.number",
        tests: SIMULATED,
    },
    Planted {
        name: "a_node_that_pulses_is_retired",
        file: "crates/cache/src/level2/scripts/retire.lua",
        from: "if incarnation == ARGV[4] and redis.call('HGET', KEYS[1], 'n:' .. ARGV[2]) == ARGV[3] then",
        to: "if true then",
        tests: SIMULATED,
    },
    Planted {
        name: "what_is_not_confirmed_is_not_met",
        file: "crates/cache/src/level2.rs",
        from: "if !unconfirmed && let",
        to: "if (!unconfirmed || true) && let",
        tests: SIMULATED,
    },
    Planted {
        name: "a_load_without_level_2_is_kept",
        file: "crates/cache/src/turn.rs",
        from: "(Some(_), None) => (false, false),",
        to: "(Some(_), None) => (true, true),",
        tests: SIMULATED,
    },
    Planted {
        name: "a_load_is_shared_across_a_hold",
        file: "crates/cache/src/turn.rs",
        from: "flight.enter(if shared && calm < Calm::Held {",
        to: "flight.enter(if shared || calm <= Calm::Held {",
        tests: SIMULATED,
    },
    Planted {
        name: "what_is_held_is_kept",
        file: "crates/cache/src/turn.rs",
        from: "keep: kept && calm == Calm::Settled,",
        to: "keep: (kept && calm == Calm::Settled) || proof.is_some(),",
        tests: SIMULATED,
    },
    Planted {
        name: "a_lost_hold_counts_as_found",
        file: "crates/cache/src/level2/scripts/raise.lua",
        from: "elseif deed == 'release' and not found then",
        to: "elseif deed == 'release' and not found and false then",
        tests: SIMULATED,
    },
    Planted {
        name: "an_error_is_kept_as_empty",
        file: "crates/slots/src/read.rs",
        from: "load.fail(error.clone())",
        to: "drop(load.fill(DaySlots::default()))",
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
