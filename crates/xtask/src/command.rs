//! Child processes: always from the workspace root, never with a standard input.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// What `cargo run` tells the program it starts about that program's package. A cargo below it
/// would hand these on to build scripts, which are about other packages.
const OF_THIS_PACKAGE: [&str; 5] = [
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_",
];

/// The cargo that started this program, with nothing left of this program's own package.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = at_root(workspace, program);
    for (name, _) in env::vars_os() {
        let ours = |name: &str| {
            OF_THIS_PACKAGE
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
}

/// Any other program.
pub(crate) fn at_root(workspace: &Workspace, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace.root()).stdin(Stdio::null());
    command
}

/// Runs `command` with its output on ours; fails when it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = announce(command);
    let status = command
        .status()
        .with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` with its output on ours, and returns its standard output too.
pub(crate) fn run_and_read(command: &mut Command) -> anyhow::Result<(ExitStatus, String)> {
    let line = announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{line}`"))?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut read = Vec::new();
    loop {
        let start = read.len();
        if output.read_until(b'\n', &mut read)? == 0 {
            break;
        }
        io::stdout().write_all(&read[start..])?;
    }
    Ok((child.wait()?, String::from_utf8_lossy(&read).into_owned()))
}

fn announce(command: &Command) -> String {
    let line = line(command);
    eprintln!("$ {line}");
    line
}

/// The command as one would type it, without the path of a cargo that rustup chose.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program())
        .file_stem()
        .unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
