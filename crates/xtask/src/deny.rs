//! Licences, duplicates and sources of the dependencies, as `deny.toml` allows them.

use std::env;
use std::ffi::OsString;
use std::process::Stdio;

use anyhow::Context;

use crate::command;
use crate::workspace::Workspace;

/// Installed below the target directory when no other is found.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny. Without the advisories, whose database changes while the code does not: a
/// commit that passed must pass again.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let path = search_path(workspace)?;
    if !is_installed(workspace, &path) {
        let tools = workspace.target().join("tools");
        println!("cargo-deny is not installed; building {VERSION} once, in about a minute");
        command::run(
            command::cargo(workspace)
                .args([
                    "install",
                    "cargo-deny",
                    "--locked",
                    // It runs for a second or two: what optimising it costs is never won back.
                    "--debug",
                    "--version",
                    VERSION,
                    "--root",
                ])
                .arg(tools),
        )?;
    }
    let check = "deny --workspace --all-features check bans licenses sources";
    command::run(
        command::cargo(workspace)
            .env("PATH", &path)
            .args(check.split(' ')),
    )
}

/// Cargo finds its subcommands by `PATH`, so our own installation goes in front.
fn search_path(workspace: &Workspace) -> anyhow::Result<OsString> {
    let ours = workspace.target().join("tools").join("bin");
    let theirs = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(ours).chain(env::split_paths(&theirs)))
        .context("the target directory cannot be part of PATH")
}

fn is_installed(workspace: &Workspace, path: &OsString) -> bool {
    command::cargo(workspace)
        .env("PATH", path)
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
