//! `cargo xtask ci`: the steps a change must pass, in the order in which they fail fastest.

use std::time::Instant;

use clap::Subcommand;

use crate::test_run::TestRun;
use crate::workspace::Workspace;
use crate::{
    command, deny, examples, features, model, msrv, planted, protocol, simulate, test_run,
};

/// One check of CI, which also runs alone: `cargo xtask NAME`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Step {
    /// The code is formatted
    Fmt,
    /// Clippy has no warning
    Clippy,
    /// The public documentation has no warning
    Doc,
    /// Each feature compiles alone
    Features,
    /// One rust-version, which every dependency supports
    Msrv,
    /// Licences, duplicates and sources of dependencies
    Deny,
    /// The loom models of the cache's fences
    Loom,
    /// Every state of the protocol between nodes
    Protocol,
    /// Nodes over a simulated Redis, under faults
    Simulation,
    /// Each planted bug is caught by a test
    Planted {
        /// Only this one
        name: Option<String>,
        /// All but those that only the simulation convicts, each of which builds it anew
        #[arg(long, conflicts_with = "name")]
        quick: bool,
    },
    /// The benchmarks compile
    Benches,
    /// The examples build, and run where they can
    Examples,
}

/// The tests come after these, as their count closes the output.
const BEFORE_TESTS: [Step; 12] = [
    Step::Fmt,
    Step::Clippy,
    Step::Doc,
    Step::Features,
    Step::Msrv,
    Step::Deny,
    Step::Loom,
    Step::Protocol,
    Step::Simulation,
    Step::Planted {
        name: None,
        quick: true,
    },
    Step::Benches,
    Step::Examples,
];

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Features => "features",
            Self::Msrv => "msrv",
            Self::Deny => "deny",
            Self::Loom => "loom",
            Self::Protocol => "protocol",
            Self::Simulation => "simulation",
            Self::Planted { .. } => "planted",
            Self::Benches => "benches",
            Self::Examples => "examples",
        }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let cargo =
            |arguments: &str| command::run(command::cargo(workspace).args(arguments.split(' ')));
        match self {
            Self::Fmt => cargo("fmt --all --check"),
            Self::Clippy => cargo("clippy --workspace --all-targets --all-features -- -D warnings"),
            Self::Doc => command::run(
                command::cargo(workspace)
                    .env("RUSTDOCFLAGS", "-D warnings")
                    .args(["doc", "--workspace", "--no-deps", "--all-features"]),
            ),
            Self::Features => features::check(workspace),
            Self::Msrv => msrv::check(workspace),
            Self::Deny => deny::check(workspace),
            Self::Loom => model::check(workspace),
            Self::Protocol => protocol::check(workspace),
            Self::Simulation => simulate::check(workspace),
            Self::Planted {
                name: Some(name), ..
            } => planted::check_one(workspace, name),
            Self::Planted { name: None, quick } => planted::check_all(workspace, *quick),
            Self::Benches => cargo("check --package vacancy-benches --benches"),
            Self::Examples => examples::check(workspace),
        }
    }
}

/// Runs all steps; the first that fails ends it. The tests are last and hand back their count.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<TestRun> {
    for step in BEFORE_TESTS {
        let timed = Timed::begin(step.name());
        match step.run(workspace) {
            Ok(()) => timed.passed(),
            Err(error) => {
                timed.failed();
                return Err(error);
            }
        }
    }
    let timed = Timed::begin("test");
    let tests = test_run::run(workspace, &[]);
    match &tests {
        Ok(TestRun {
            verdict: Ok(()), ..
        }) => timed.passed(),
        _ => timed.failed(),
    }
    tests
}

/// A step that has begun.
struct Timed {
    name: &'static str,
    begun: Instant,
}

impl Timed {
    fn begin(name: &'static str) -> Self {
        eprintln!("\n==> {name}");
        Self {
            name,
            begun: Instant::now(),
        }
    }

    fn passed(self) {
        eprintln!(
            "==> {} passed in {:.1} s",
            self.name,
            self.begun.elapsed().as_secs_f64()
        );
    }

    fn failed(self) {
        let Self { name, begun } = self;
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!("==> {name} FAILED after {seconds:.1} s; alone: `cargo xtask {name}`");
    }
}
