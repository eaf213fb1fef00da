//! The programs that tests start copies of, installed with the system's packages when there are none.
//!
//! A package may start a server of its own when it is installed. Nothing here uses that one, nor its
//! port.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use thiserror::Error;

use crate::command;
use crate::workspace::Workspace;

/// A program that tests start, and the packages that bring it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// What it goes by; one of them is enough.
    names: &'static [&'static str],
    packages: Packages,
}

/// What brings a program on each system, the first that can be installed being enough.
#[derive(Clone, Copy, Debug)]
struct Packages {
    apt_get: &'static [&'static str],
    dnf: &'static [&'static str],
    apk: &'static [&'static str],
    pacman: &'static [&'static str],
    brew: &'static [&'static str],
}

impl Program {
    /// A program whose packages have the same names everywhere.
    const fn new(names: &'static [&'static str], packages: &'static [&'static str]) -> Self {
        let packages = Packages {
            apt_get: packages,
            dnf: packages,
            apk: packages,
            pacman: packages,
            brew: packages,
        };
        Self { names, packages }
    }
}

pub(crate) const REDIS: Program = Program {
    names: &["redis-server", "valkey-server"],
    packages: Packages {
        apt_get: &["redis-server", "valkey-server"],
        dnf: &["valkey", "redis"],
        apk: &["redis", "valkey"],
        pacman: &["valkey", "redis"],
        brew: &["redis"],
    },
};

const POSTGRES: Program = Program {
    names: &["initdb"],
    packages: Packages {
        apt_get: &["postgresql"],
        dnf: &["postgresql-server"],
        apk: &["postgresql"],
        pacman: &["postgresql"],
        brew: &["postgresql"],
    },
};

/// Prometheus's own checker of rules; Fedora names its package after the source.
const PROMTOOL: Program = Program {
    names: &["promtool"],
    packages: Packages {
        apt_get: &["prometheus"],
        dnf: &["prometheus", "golang-github-prometheus"],
        apk: &["prometheus"],
        pacman: &["prometheus"],
        brew: &["prometheus"],
    },
};

/// All that the tests of the workspace need.
pub(crate) const ALL: &[Program] = &[
    REDIS,
    POSTGRES,
    PROMTOOL,
    Program::new(&["varnishd"], &["varnish"]),
    Program::new(&["chromium", "google-chrome"], &["chromium"]),
];

/// Where systems put servers that not everybody's search path has.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"];

/// Where Debian puts PostgreSQL, each version in a folder of its own and none on the search path.
const POSTGRES_FOLDER: &str = "/usr/lib/postgresql";

/// How one system installs packages.
#[derive(Debug)]
struct Installer {
    program: &'static str,
    /// Run first, when there is anything to run.
    update: &'static [&'static str],
    install: &'static [&'static str],
    packages: fn(&Packages) -> &'static [&'static str],
    /// Whether it must be run as root; Homebrew must not.
    as_root: bool,
}

/// Systems with several have them for a reason: Homebrew beside a system's own comes last.
const INSTALLERS: [Installer; 5] = [
    Installer {
        program: "apt-get",
        update: &["update"],
        install: &["install", "--yes", "--no-install-recommends"],
        packages: |packages| packages.apt_get,
        as_root: true,
    },
    Installer {
        program: "dnf",
        update: &[],
        install: &["install", "--assumeyes"],
        packages: |packages| packages.dnf,
        as_root: true,
    },
    Installer {
        program: "apk",
        update: &["update"],
        install: &["add"],
        packages: |packages| packages.apk,
        as_root: true,
    },
    Installer {
        program: "pacman",
        update: &["--sync", "--refresh"],
        install: &["--sync", "--noconfirm", "--needed"],
        packages: |packages| packages.pacman,
        as_root: true,
    },
    Installer {
        program: "brew",
        update: &[],
        install: &["install"],
        packages: |packages| packages.brew,
        as_root: false,
    },
];

/// Why there is still no such program. Install one by hand.
#[derive(Debug, Error, PartialEq, Eq)]
enum MissingProgram {
    #[error(
        "the tests need {wanted}, and none of {} is here to install it",
        list(INSTALLERS.iter().map(|installer| installer.program))
    )]
    NoInstaller { wanted: String },
    #[error("the tests need {wanted}; as root, run: {line}")]
    NotRoot { wanted: String, line: Line },
    #[error(
        "the tests need {wanted}, and it could not be installed by: {}",
        list(tried)
    )]
    NotInstalled { wanted: String, tried: Vec<Line> },
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

/// Makes sure that there are these programs, by installing those that are missing.
pub(crate) fn ensure(workspace: &Workspace, programs: &[Program]) -> anyhow::Result<()> {
    let machine = ThisMachine { workspace };
    for program in programs {
        program.ensure_on(&machine)?;
    }
    Ok(())
}

impl Program {
    fn ensure_on(&self, machine: &impl Machine) -> Result<(), MissingProgram> {
        if self.is_on(machine) {
            return Ok(());
        }
        let wanted = self.names.join(" or ");
        let Some(installer) = INSTALLERS
            .iter()
            .find(|installer| machine.has(installer.program))
        else {
            return Err(MissingProgram::NoInstaller { wanted });
        };
        let packages = (installer.packages)(&self.packages);
        let prefix: &[_] = if !installer.as_root || machine.is_root() {
            &[]
        } else if machine.has("sudo") {
            &["sudo"]
        } else {
            let line = installer.install_line(&[], packages[0]);
            return Err(MissingProgram::NotRoot { wanted, line });
        };
        if !installer.update.is_empty() {
            // Of many sources one may be out of reach, and the package in another.
            machine.run(&installer.line(prefix, installer.update));
        }
        let mut tried = Vec::new();
        for package in packages {
            let line = installer.install_line(prefix, package);
            if machine.run(&line) && self.is_on(machine) {
                return Ok(());
            }
            tried.push(line);
        }
        Err(MissingProgram::NotInstalled { wanted, tried })
    }

    fn is_on(&self, machine: &impl Machine) -> bool {
        self.names.iter().any(|name| machine.has(name))
    }
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
        let runs = |program: &Path| {
            let mut version = command::at_root(self.workspace, program);
            version.arg("--version");
            version.stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok()
        };
        let versions = fs::read_dir(POSTGRES_FOLDER)
            .into_iter()
            .flatten()
            .flatten();
        let versions = versions.map(|version| version.path().join("bin"));
        let mut folders = SERVER_FOLDERS.iter().map(PathBuf::from).chain(versions);
        runs(Path::new(program)) || folders.any(|folder| runs(&folder.join(program)))
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
    fn a_program_that_is_there_is_left_alone() {
        for server in REDIS.names {
            let machine = Pretended::with(&[server, "apt-get"]);
            assert_eq!(REDIS.ensure_on(&machine), Ok(()));
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
        assert_eq!(REDIS.ensure_on(&machine), Ok(()));
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
        assert_eq!(REDIS.ensure_on(&machine), Ok(()));
        assert_eq!(machine.ran(), ["sudo dnf install --assumeyes valkey"]);
    }

    #[test]
    fn without_sudo_the_error_says_what_root_is_to_run() {
        let machine = Pretended::with(&["apk"]);
        let error = REDIS.ensure_on(&machine).unwrap_err();
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
        assert_eq!(REDIS.ensure_on(&machine), Ok(()));
        assert_eq!(machine.ran(), ["brew install redis"]);
    }

    #[test]
    fn the_next_package_is_tried_when_one_is_not_to_be_had() {
        let machine = Pretended {
            is_root: true,
            brings: &[("redis", "redis-server")],
            ..Pretended::with(&["pacman"])
        };
        assert_eq!(REDIS.ensure_on(&machine), Ok(()));
        assert_eq!(
            machine.ran()[1..],
            [
                "pacman --sync --noconfirm --needed valkey",
                "pacman --sync --noconfirm --needed redis"
            ]
        );
    }

    #[test]
    fn a_package_without_the_program_is_not_enough() {
        let machine = Pretended {
            brings: &[("redis", "redis-cli")],
            ..Pretended::with(&["brew"])
        };
        let error = REDIS.ensure_on(&machine).unwrap_err();
        assert!(error.to_string().ends_with("by: brew install redis"));
    }

    #[test]
    fn without_an_installer_the_error_names_those_that_were_looked_for() {
        let error = REDIS.ensure_on(&Pretended::default()).unwrap_err();
        assert!(matches!(error, MissingProgram::NoInstaller { .. }));
        assert!(
            error
                .to_string()
                .contains("none of apt-get, dnf, apk, pacman, brew is here")
        );
    }

    #[test]
    fn a_program_brings_its_own_package() {
        let machine = Pretended {
            is_root: true,
            brings: &[("varnish", "varnishd")],
            ..Pretended::with(&["redis-server", "apt-get"])
        };
        let varnish = ALL.iter().find(|program| program.names == ["varnishd"]);
        assert_eq!(varnish.unwrap().ensure_on(&machine), Ok(()));
        assert_eq!(
            machine.ran()[1..],
            ["apt-get install --yes --no-install-recommends varnish"]
        );
    }

    #[test]
    fn every_program_has_a_package_on_every_system() {
        for program in ALL {
            for installer in INSTALLERS {
                let packages = (installer.packages)(&program.packages);
                assert!(!packages.is_empty(), "{program:?} by {}", installer.program);
            }
        }
    }
}
