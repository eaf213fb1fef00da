//! Child processes: always from the workspace root, never with a standard input.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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

/// What a command left that ran out of sight.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` when it was killed because its time was up.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` out of sight for at most `limit`, then kills it and all it started.
///
/// On Unix it gets a process group of its own, so an interrupt from the terminal ends this program
/// but lets the command run on to its own end.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> anyhow::Result<Ended> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", line(command)))?;
    let stdout = read_aside(child.stdout.take().expect("standard output is piped"));
    let stderr = read_aside(child.stderr.take().expect("standard error is piped"));

    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    // Also after an ordinary end: a server that a crashed test left behind holds the pipes open.
    kill_group(&mut child);
    if status.is_none() {
        child.wait()?;
    }
    Ok(Ended {
        status,
        stdout: stdout.join(),
        stderr: stderr.join(),
    })
}

/// A thread that reads a pipe to its end, so that the writer never waits for us.
struct Reading(thread::JoinHandle<Vec<u8>>);

impl Reading {
    fn join(self) -> String {
        let bytes = self.0.join().expect("reading a pipe does not panic");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> Reading {
    Reading(thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends the output; the exit status tells what became of the writer.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    }))
}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    // Fails when nobody is left in the group, which is how it should be.
    let _ = rustix::process::kill_process_group(
        rustix::process::Pid::from_child(child),
        rustix::process::Signal::KILL,
    );
}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // Fails when the child has ended, which is how it should be.
    let _ = child.kill();
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_time_returns_its_status_and_both_outputs() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let ended = run_within(Duration::from_secs(60), &mut command).unwrap();
        assert_eq!(ended.status.unwrap().code(), Some(3));
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.as_str()),
            ("out\n", "err\n")
        );
    }

    #[test]
    fn a_command_past_its_limit_is_killed_with_its_children() {
        let started = Instant::now();
        // The shell waits for a child that holds the pipes: killing the shell alone would not end
        // the reading.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600; true"]);
        let ended = run_within(Duration::from_millis(50), &mut command).unwrap();
        assert!(ended.status.is_none());
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_child_left_behind_does_not_hold_up_the_end() {
        let started = Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & exit 0"]);
        let ended = run_within(Duration::from_secs(60), &mut command).unwrap();
        assert!(ended.status.unwrap().success());
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
