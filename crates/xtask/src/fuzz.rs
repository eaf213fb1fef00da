//! Fuzz targets: what comes from outside, in forms that nobody wrote. They are in `fuzz/`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::command;
use crate::workspace::Workspace;

/// Installed below the target directory when no other is found.
const VERSION: &str = "0.13.2";

/// Runs every target, one after the other, as often as that; stops at the first that fails. What fails is kept
/// in `fuzz/artifacts`.
pub(crate) fn run(workspace: &Workspace, runs: u64) -> anyhow::Result<()> {
    let path = search_path(workspace)?;
    if !is_installed(workspace, &path) {
        let tools = workspace.target().join("tools");
        println!("cargo-fuzz is not installed; building {VERSION} once, in about a minute");
        command::run(
            command::cargo(workspace)
                .args(["install", "cargo-fuzz", "--locked"])
                .args(["--version", VERSION, "--root"])
                .arg(tools),
        )?;
    }
    for target in targets(workspace)? {
        let mut fuzz = cargo_fuzz(workspace, &path);
        // Our code has no unsafe parts for a sanitizer to watch, and is twice as fast without.
        fuzz.args(["run", &target, "--sanitizer", "none", "--"]);
        fuzz.args([
            &format!("-runs={runs}"),
            "-timeout=10",
            "-print_final_stats=1",
        ]);
        let dictionary = format!("fuzz/dictionaries/{target}.dict");
        if workspace.root().join(&dictionary).exists() {
            fuzz.arg(format!("-dict={dictionary}"));
        }
        command::run(&mut fuzz)?;
    }
    Ok(())
}

/// By name, as the files are called.
fn targets(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let folder = workspace.root().join("fuzz").join("fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let mut targets = Vec::new();
    for file in files {
        let path = file?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        targets.extend(name.map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

/// The compiler's coverage counters are for nightly alone.
fn cargo_fuzz(workspace: &Workspace, path: &OsString) -> Command {
    let mut command = command::at_root(workspace, "rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]);
    // Those of the toolchain that runs this program would win over nightly's.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command.env("PATH", path);
    command
}

/// Cargo finds its subcommands by `PATH`, so our own installation goes in front.
fn search_path(workspace: &Workspace) -> anyhow::Result<OsString> {
    let ours = workspace.target().join("tools").join("bin");
    let theirs = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(ours).chain(env::split_paths(&theirs)))
        .context("the target directory cannot be part of PATH")
}

fn is_installed(workspace: &Workspace, path: &OsString) -> bool {
    let mut command = cargo_fuzz(workspace, path);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
