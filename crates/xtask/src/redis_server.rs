//! The Redis server that tests start their own copies of; installed when there is none.
//!
//! A package may start a server of its own when it is installed. Nothing here uses that one, nor its
//! port.

use std::fmt;
use std::io;
use std::process::Stdio;

use thiserror::Error;

use crate::command;
use crate::workspace::Workspace;

/// The programs that the tests take.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];

/// How one system installs packages.
#[derive(Debug, PartialEq, Eq)]
struct Installer {
    program: &'static str,
    /// Run first, when there is anything to run.
    update: &'static [&'static str],
    install: &'static [&'static str],
    /// Packages that bring a server, the first that can be installed being enough.
    packages: &'static [&'static str],
    /// Whether it must be run as root; Homebrew must not.
    as_root: bool,
}

/// Systems with several have them for a reason: Homebrew beside a system's own comes last.
const INSTALLERS: [Installer; 5] = [
    Installer {
        program: "apt-get",
        update: &["update"],
        install: &["install", "--yes", "--no-install-recommends"],
        packages: &["redis-server", "valkey-server"],
        as_root: true,
    },
    Installer {
        program: "dnf",
        update: &[],
        install: &["install", "--assumeyes"],
        packages: &["valkey", "redis"],
        as_root: true,
    },
    Installer {
        program: "apk",
        update: &["update"],
        install: &["add"],
        packages: &["redis", "valkey"],
        as_root: true,
    },
    Installer {
        program: "pacman",
        update: &["--sync", "--refresh"],
        install: &["--sync", "--noconfirm", "--needed"],
        packages: &["valkey", "redis"],
        as_root: true,
    },
    Installer {
        program: "brew",
        update: &[],
        install: &["install"],
        packages: &["redis"],
        as_root: false,
    },
];

/// Why there is still no server. Install one by hand.
#[derive(Debug, Error, PartialEq, Eq)]
enum ServerError {
    #[error(
        "the tests need redis-server or valkey-server, and none of {} is here to install it",
        list(INSTALLERS.iter().map(|installer| installer.program))
    )]
    NoInstaller,
    #[error("the tests need redis-server or valkey-server; as root, run: {line}")]
    NotRoot { line: Line },
    #[error(
        "the tests need redis-server or valkey-server, and it could not be installed by: {}",
        list(tried)
    )]
    NotInstalled { tried: Vec<Line> },
}

/// A command as it is run and typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line(Vec<&'static str>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

fn list(things: impl IntoIterator<Item = impl ToString>) -> String {
    let things: Vec<_> = things.into_iter().map(|thing| thing.to_string()).collect();
    things.join(", ")
}

/// What the machine has.
trait Machine {
    /// Whether there is a program of this name.
    fn has(&self, program: &str) -> bool;
    fn is_root(&self) -> bool;
    /// Runs a command; whether it succeeded.
    fn run(&self, line: &Line) -> bool;
}

/// Makes sure that there is a server, by installing one where there is none.
pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<()> {
    Ok(ensure_on(&ThisMachine { workspace })?)
}

fn ensure_on(machine: &impl Machine) -> Result<(), ServerError> {
    if has_server(machine) {
        return Ok(());
    }
    let installer = INSTALLERS
        .iter()
        .find(|installer| machine.has(installer.program))
        .ok_or(ServerError::NoInstaller)?;
    let prefix: &[_] = if !installer.as_root || machine.is_root() {
        &[]
    } else if machine.has("sudo") {
        &["sudo"]
    } else {
        let line = installer.install_line(&[], installer.packages[0]);
        return Err(ServerError::NotRoot { line });
    };
    if !installer.update.is_empty() {
        // Of many sources one may be out of reach, and the package in another.
        machine.run(&installer.line(prefix, installer.update));
    }
    let mut tried = Vec::new();
    for package in installer.packages {
        let line = installer.install_line(prefix, package);
        if machine.run(&line) && has_server(machine) {
            return Ok(());
        }
        tried.push(line);
    }
    Err(ServerError::NotInstalled { tried })
}

fn has_server(machine: &impl Machine) -> bool {
    SERVERS.iter().any(|server| machine.has(server))
}

impl Installer {
    fn line(&self, prefix: &[&'static str], arguments: &[&'static str]) -> Line {
        Line([prefix, &[self.program], arguments].concat())
    }

    fn install_line(&self, prefix: &[&'static str], package: &'static str) -> Line {
        self.line(prefix, &[self.install, &[package]].concat())
    }
}

struct ThisMachine<'a> {
    workspace: &'a Workspace,
}

impl Machine for ThisMachine<'_> {
    fn has(&self, program: &str) -> bool {
        let mut version = command::at_root(self.workspace, program);
        version.arg("--version");
        version.stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok()
    }

    #[cfg(unix)]
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    #[cfg(not(unix))]
    fn is_root(&self) -> bool {
        false
    }

    fn run(&self, line: &Line) -> bool {
        let (program, arguments) = line.0.split_first().expect("a line names a program");
        let mut command = command::at_root(self.workspace, program);
        // The standard output is for what the tests say.
        command.args(arguments).stdout(io::stderr());
        command::run(&mut command).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A machine on which `install PACKAGE` brings a program where `brings` says so.
    #[derive(Default)]
    struct Pretended {
        programs: RefCell<Vec<&'static str>>,
        is_root: bool,
        brings: &'static [(&'static str, &'static str)],
        ran: RefCell<Vec<String>>,
    }

    impl Pretended {
        fn with(programs: &[&'static str]) -> Self {
            Self {
                programs: RefCell::new(programs.to_vec()),
                ..Self::default()
            }
        }

        fn ran(&self) -> Vec<String> {
            self.ran.borrow().clone()
        }
    }

    impl Machine for Pretended {
        fn has(&self, program: &str) -> bool {
            self.programs.borrow().contains(&program)
        }

        fn is_root(&self) -> bool {
            self.is_root
        }

        fn run(&self, line: &Line) -> bool {
            self.ran.borrow_mut().push(line.to_string());
            let brought = |(package, _): &&(_, _)| line.0.last() == Some(package);
            let Some((_, program)) = self.brings.iter().find(brought) else {
                return false;
            };
            self.programs.borrow_mut().push(program);
            true
        }
    }

    #[test]
    fn a_server_that_is_there_is_left_alone() {
        for server in SERVERS {
            let machine = Pretended::with(&[server, "apt-get"]);
            assert_eq!(ensure_on(&machine), Ok(()));
            assert!(machine.ran().is_empty());
        }
    }

    #[test]
    fn root_installs_after_an_update() {
        let machine = Pretended {
            is_root: true,
            brings: &[("redis-server", "redis-server")],
            ..Pretended::with(&["apt-get", "sudo", "brew"])
        };
        assert_eq!(ensure_on(&machine), Ok(()));
        assert_eq!(
            machine.ran(),
            [
                "apt-get update",
                "apt-get install --yes --no-install-recommends redis-server"
            ]
        );
    }

    #[test]
    fn others_ask_sudo() {
        let machine = Pretended {
            brings: &[("valkey", "valkey-server")],
            ..Pretended::with(&["dnf", "sudo"])
        };
        assert_eq!(ensure_on(&machine), Ok(()));
        assert_eq!(machine.ran(), ["sudo dnf install --assumeyes valkey"]);
    }

    #[test]
    fn without_sudo_the_error_says_what_root_is_to_run() {
        let machine = Pretended::with(&["apk"]);
        let error = ensure_on(&machine).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tests need redis-server or valkey-server; as root, run: apk add redis"
        );
        assert!(machine.ran().is_empty());
    }

    #[test]
    fn homebrew_needs_no_root() {
        let machine = Pretended {
            brings: &[("redis", "redis-server")],
            ..Pretended::with(&["brew", "sudo"])
        };
        assert_eq!(ensure_on(&machine), Ok(()));
        assert_eq!(machine.ran(), ["brew install redis"]);
    }

    #[test]
    fn the_next_package_is_tried_when_one_is_not_to_be_had() {
        let machine = Pretended {
            is_root: true,
            brings: &[("redis", "redis-server")],
            ..Pretended::with(&["pacman"])
        };
        assert_eq!(ensure_on(&machine), Ok(()));
        assert_eq!(
            machine.ran()[1..],
            [
                "pacman --sync --noconfirm --needed valkey",
                "pacman --sync --noconfirm --needed redis"
            ]
        );
    }

    #[test]
    fn a_package_without_a_server_is_not_enough() {
        let machine = Pretended {
            brings: &[("redis", "redis-cli")],
            ..Pretended::with(&["brew"])
        };
        let error = ensure_on(&machine).unwrap_err();
        assert!(error.to_string().ends_with("by: brew install redis"));
    }

    #[test]
    fn without_an_installer_the_error_names_those_that_were_looked_for() {
        let error = ensure_on(&Pretended::default()).unwrap_err();
        assert_eq!(error, ServerError::NoInstaller);
        assert!(
            error
                .to_string()
                .contains("none of apt-get, dnf, apk, pacman, brew is here")
        );
    }
}
