//! The planted bugs. To add one: break a rule in the source, see a test fail, and write down here
//! what you replaced, by what, and the narrowest `cargo test` that runs that test.

use super::{Planted, Tests};

/// All of them, in the order of the crates they are planted in.
pub(super) const CATALOGUE: &[Planted] = &[Planted {
    name: "a_run_without_tests_passes",
    file: "crates/xtask/src/test_run.rs",
    from: "Tally { passed: 0, .. } => Err(TestError::NoneRan),",
    to: "",
    tests: Tests::Cargo(&["--package", "xtask", "--bins", "test_run"]),
}];
