//! [`Machine`]: what a benchmark ran on.

use std::{fmt, fs, process::Command, thread};

/// What a benchmark ran on: a table says little without it.
#[derive(Debug, Clone)]
pub struct Machine {
    revision: String,
    compiler: String,
    processor: String,
    processors: usize,
    system: String,
}

impl Machine {
    /// The machine that this process runs on.
    ///
    /// What cannot be found out is `unknown`.
    pub fn here() -> Self {
        Self {
            revision: revision(),
            compiler: first_line("rustc", &["--version"]),
            processor: processor().unwrap_or_else(unknown),
            processors: thread::available_parallelism().map_or(1, usize::from),
            system: first_line("uname", &["-srm"]),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            compiler,
            processor,
            processors,
            system,
        } = self;
        write!(
            f,
            "commit {revision}, {compiler}, {processors} processors ({processor}), {system}"
        )
    }
}

/// The commit that was measured, with `-dirty` after it if files differ from it; `unknown` outside a git checkout.
pub fn revision() -> String {
    first_line("git", &["describe", "--always", "--dirty", "--exclude=*"])
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(unknown)
}

fn processor() -> Option<String> {
    let about = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = about.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
