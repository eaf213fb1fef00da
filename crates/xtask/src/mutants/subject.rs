//! What is made wrong, in which configuration, and which tests are to notice.

use std::fmt;

use clap::ValueEnum;

/// A crate in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// The dispatcher, with every feature
    Dispatch,
    /// What the dispatcher has in place of traces without the feature `otel`
    DispatchAlone,
    /// The cache with Redis
    Cache,
    /// What the cache has in place of Redis without the feature `redis`
    CacheAlone,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tests of the dispatcher that any configuration can run. Not among them: that of `events.lock`, which is
/// about the slots, and whatever else takes the dispatcher for granted.
const OF_DISPATCH: &[&str] = &[
    "dispatch_after",
    "dispatch_attempts",
    "dispatch_auto_traits",
    "dispatch_batches",
    "dispatch_causation",
    "dispatch_explain",
    "dispatch_failures",
    "dispatch_inline",
    "dispatch_isolation",
    "dispatch_ledger",
    "dispatch_observers",
    "dispatch_order",
    "dispatch_overflow",
    "dispatch_pause",
    "dispatch_registration",
    "dispatch_replay_race",
    "dispatch_shutdown",
    "dispatch_streams",
    "dispatch_test_kit",
    "dispatch_topology",
];

const OF_TELEMETRY: &[&str] = &[
    "dispatch_metrics",
    "dispatch_shutdown_storm",
    "dispatch_traces",
];

/// Tests of the cache that need no Redis. Not among them: `freshness`, which races for half a minute.
const OF_CACHE: &[&str] = &[
    "cache_auto_traits",
    "cache_bounds",
    "claims",
    "fenced_invalidation",
    "holds",
    "reservations",
    "single_flight",
    "tenant_isolation",
];

const OF_REDIS: &[&str] = &[
    "redis_cluster",
    "redis_commands",
    "redis_outage",
    "redis_recovery",
    "secrets",
    "shared_claims",
    "shared_holds",
    "shared_level",
    "shared_reservations",
    "strict",
    "tokens",
];

/// Tests that take seconds, most of them because a lease must end or a cluster form. Only what the others let
/// pass meets them.
const SLOW: &[&str] = &[
    "a_master_that_is_killed",
    "a_million_invalidations",
    "a_node_that_has_died_is_waited_for_once",
    "a_node_whose_connections_are_half_open",
    "a_subscription_that_hears_nothing",
    "a_thousand_bookings",
    "a_writer_that_dies_after_its_commit",
    "a_writer_that_is_alone_waits_for_nobody",
    "acknowledgements_spare_the_wait",
    "all_of_a_tenant_is_in_one_slot",
    "an_entry_of_level_2_grows_no_older",
    "an_owner_and_a_scope_have_so_many_claims_over_all",
    "dispatch_shutdown_storm",
    "no_command_grows",
    "tenants_on_different_masters",
];

/// Items that no configuration here compiles; in the copy they are marked to be skipped. A mutant there would
/// survive whatever the tests are.
const NOT_COMPILED: &[&str] = &[
    // The models, which are tests themselves, and what they replace.
    "#[cfg(all(test, vacancy_loom))]",
    "#[cfg(fuzzing)]",
    "#[cfg(vacancy_simulation)]",
    // The clock of other systems than that of the tests.
    "#[cfg(all(not(vacancy_simulation), not(unix)))]",
    "    not(any(target_os = \"linux\", target_os = \"android\"))\n))]",
    // Where nobody wants to see what is dispatched, nothing is kept.
    "#[cfg(not(feature = \"testing\"))]",
];

/// Mutants that no test should notice, as patterns of their names.
const EXCLUDED: &[&str] = &[
    // What Debug prints is for people, but that no secret is in it, which is not told by a mutant without output.
    "<impl (fmt::)?Debug for .*>::fmt",
    // Arms for the connections of the simulation are not compiled.
    "delete match arm (Server|Wire|Self)::Dialed",
];

impl Subject {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::DispatchAlone => "dispatch-alone",
            Self::Cache => "cache",
            Self::CacheAlone => "cache-alone",
        }
    }

    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Dispatch | Self::DispatchAlone => "vacancy-dispatch",
            Self::Cache | Self::CacheAlone => "vacancy-cache",
        }
    }

    /// The crates of the copy.
    pub(super) fn crates(self) -> &'static [&'static str] {
        match self {
            Self::Dispatch | Self::DispatchAlone => &["event-dispatch"],
            Self::Cache | Self::CacheAlone => &["cache", "event-dispatch", "slots", "testbed"],
        }
    }

    /// Of these files only: the others are mutated in another configuration.
    pub(super) fn only(self) -> Option<&'static str> {
        match self {
            Self::Dispatch | Self::Cache => None,
            Self::DispatchAlone => Some("trace_context/absent.rs"),
            Self::CacheAlone => Some("no_level2.rs"),
        }
    }

    /// Of these files none.
    pub(super) fn except(self) -> Option<&'static str> {
        match self {
            Self::Dispatch => Self::DispatchAlone.only(),
            Self::Cache => Self::CacheAlone.only(),
            Self::DispatchAlone | Self::CacheAlone => None,
        }
    }

    pub(super) fn tests(self) -> Vec<&'static str> {
        match self {
            Self::Dispatch => [OF_DISPATCH, OF_TELEMETRY].concat(),
            Self::DispatchAlone => OF_DISPATCH.to_vec(),
            Self::Cache => [OF_CACHE, OF_REDIS].concat(),
            Self::CacheAlone => OF_CACHE.to_vec(),
        }
    }

    pub(super) fn slow(self) -> &'static [&'static str] {
        SLOW
    }

    pub(super) fn excluded(self) -> &'static [&'static str] {
        EXCLUDED
    }

    pub(super) fn not_compiled(self) -> &'static [&'static str] {
        NOT_COMPILED
    }

    /// The library of the package that stands in for the facade.
    pub(super) fn library(self) -> &'static str {
        match self {
            Self::Dispatch | Self::DispatchAlone => "pub use vacancy_dispatch as dispatch;\n",
            Self::Cache | Self::CacheAlone => {
                "pub use vacancy_cache as cache;\n\
                 pub use vacancy_dispatch as dispatch;\n\
                 pub use vacancy_slots as slots;\n"
            }
        }
    }

    /// The features of that package, and what it depends on.
    pub(super) fn manifest(self) -> &'static str {
        match self {
            Self::Dispatch => {
                r#"
[features]
default = ["metrics", "otel", "rate-limit", "serde", "testing"]
metrics = ["vacancy-dispatch/metrics"]
otel = ["vacancy-dispatch/otel"]
rate-limit = ["vacancy-dispatch/rate-limit"]
serde = ["vacancy-dispatch/serde"]
testing = ["vacancy-dispatch/testing"]

[dependencies]
vacancy-dispatch.workspace = true
"#
            }
            Self::DispatchAlone => {
                r#"
[features]
default = ["serde", "testing"]
metrics = []
otel = []
rate-limit = []
serde = ["vacancy-dispatch/serde"]
testing = ["vacancy-dispatch/testing"]

[dependencies]
vacancy-dispatch.workspace = true
"#
            }
            Self::Cache => {
                r#"
[features]
default = ["redis"]
redis = ["vacancy-cache/redis", "vacancy-slots/redis"]

[dependencies]
vacancy-cache.workspace = true
vacancy-dispatch = { workspace = true, features = ["testing"] }
vacancy-slots.workspace = true
"#
            }
            Self::CacheAlone => {
                r#"
[features]
redis = []

[dependencies]
vacancy-cache.workspace = true
vacancy-dispatch = { workspace = true, features = ["testing"] }
vacancy-slots.workspace = true
"#
            }
        }
    }
}
