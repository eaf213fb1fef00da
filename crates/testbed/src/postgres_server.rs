//! A PostgreSQL process of one's own.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    time::timeout,
};

use crate::{PATIENCE, port::Port, process::Process};

/// How many ports are tried before giving up, should others always be faster.
const PORTS: usize = 5;

/// Where Debian keeps the programs, a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What a test does not need to survive a power cut, and what it does not need at all.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=16MB",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
];

/// A PostgreSQL server on a port of 127.0.0.1, with an empty cluster in a temporary folder.
///
/// Its superuser is `postgres`, without a password. Owns the process: dropping it ends the process and removes
/// the folder. It does not run as root, so a test that does starts it as the user `postgres`, or `nobody`.
#[derive(Debug)]
pub struct PostgresServer {
    // Before the folder, which is removed when nobody writes there any more.
    process: Process,
    port: Port,
    _folder: TempDir,
}

/// Why a server could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PostgresStartError {
    /// The programs `postgres` and `initdb` are neither on the search path nor where Debian keeps them.
    #[error(
        "postgres and initdb were not found; install them (Debian: apt-get install postgresql, \
         macOS: brew install postgresql) or run cargo xtask test, which does"
    )]
    Missing,
    /// The cluster could not be made.
    #[error("initdb failed: {log}")]
    NoCluster {
        /// All that it wrote.
        log: String,
    },
    /// It ended at once. The log tells why.
    #[error("the server ended at once: {log}")]
    Ended {
        /// All that it wrote.
        log: String,
    },
    /// It runs and did not become ready. The machine is overloaded.
    #[error("the server was not ready within {} s: {log}", PATIENCE.as_secs())]
    NotReady {
        /// All that it wrote until then.
        log: String,
    },
    /// The system refused a process, a folder or a port.
    #[error("the server could not be set up")]
    Io(#[from] io::Error),
}

impl PostgresServer {
    /// Makes an empty cluster and starts a server for it, on a port that was free.
    ///
    /// It answers when this returns, in a second or two.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`PostgresStartError`].
    pub async fn start() -> Result<Self, PostgresStartError> {
        let programs = Programs::find().ok_or(PostgresStartError::Missing)?;
        let folder = TempDir::with_prefix("vacancy-postgres-")?;
        let user = User::current();
        user.give(folder.path())?;
        let data = folder.path().join("data");
        make_cluster(&programs, &user, &data).await?;
        let mut ports = 0;
        loop {
            let port = Port::claim()?;
            ports += 1;
            match launch(&programs, &user, &data, &port).await {
                Ok(process) => {
                    return Ok(Self {
                        process,
                        port,
                        _folder: folder,
                    });
                }
                // Somebody took the port between our look and the server's.
                Err(PostgresStartError::Ended { log })
                    if log.contains("in use") && ports < PORTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // So that its children go with it, and its shared memory.
        let _ = self.process.quit();
    }
}

/// Where the two programs are.
struct Programs {
    initdb: PathBuf,
    postgres: PathBuf,
}

impl Programs {
    fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
        folders.iter().find_map(|folder| Self::within(folder))
    }

    fn within(folder: &Path) -> Option<Self> {
        let programs = Self {
            initdb: folder.join("initdb"),
            postgres: folder.join("postgres"),
        };
        let both = programs.initdb.is_file() && programs.postgres.is_file();
        both.then_some(programs)
    }
}

async fn make_cluster(
    programs: &Programs,
    user: &User,
    data: &Path,
) -> Result<(), PostgresStartError> {
    let mut command = Command::new(&programs.initdb);
    command
        .args(["--username=postgres", "--auth=trust", "--no-sync"])
        .args(["--encoding=UTF8", "--locale=C", "--no-instructions"])
        .arg("--pgdata")
        .arg(data)
        .stdin(Stdio::null());
    user.take_on(&mut command);
    let mut command = tokio::process::Command::from(command);
    let made = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let Ok(made) = made else {
        let log = format!("it took longer than {} s", PATIENCE.as_secs());
        return Err(PostgresStartError::NoCluster { log });
    };
    let made = made?;
    match made.status.success() {
        true => Ok(()),
        false => {
            let log = String::from_utf8_lossy(&made.stderr).into_owned();
            Err(PostgresStartError::NoCluster { log })
        }
    }
}

async fn launch(
    programs: &Programs,
    user: &User,
    data: &Path,
    port: &Port,
) -> Result<Process, PostgresStartError> {
    let mut command = Command::new(&programs.postgres);
    command.arg("-D").arg(data);
    command.args(["-p", &port.number().to_string()]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    user.take_on(&mut command);
    let mut child = command.spawn()?;
    let stderr = child.stderr.take().expect("standard error is piped");
    let mut process = Process(child);
    let mut log = String::new();
    let error = match timeout(PATIENCE, ready(ChildStderr::from_std(stderr)?, &mut log)).await {
        Ok(Ok(true)) => return Ok(process),
        Ok(Ok(false)) => PostgresStartError::Ended { log },
        Ok(Err(error)) => error.into(),
        Err(_) => PostgresStartError::NotReady { log },
    };
    let _ = process.quit();
    Err(error)
}

/// Reads until the server says that it is ready; false when it ends without.
///
/// The pipe is closed afterwards: PostgreSQL goes on when nobody reads its log.
async fn ready(stderr: ChildStderr, log: &mut String) -> io::Result<bool> {
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await? {
        log.push_str(&line);
        log.push('\n');
        if line.contains("ready to accept connections") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whom the server runs as, when that is not whoever runs the test.
struct User(Option<(u32, u32)>);

#[cfg(unix)]
impl User {
    fn current() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                let is_user = fields.next() == Some(name);
                // Behind the name the password, which is elsewhere.
                let mut ids = fields.skip(1).map(str::parse);
                match (is_user, ids.next(), ids.next()) {
                    (true, Some(Ok(user)), Some(Ok(group))) => Some((user, group)),
                    _ => None,
                }
            })
        };
        Self(find("postgres").or_else(|| find("nobody")))
    }

    fn give(&self, folder: &Path) -> io::Result<()> {
        match self.0 {
            Some((user, group)) => std::os::unix::fs::chown(folder, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn take_on(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        if let Some((user, group)) = self.0 {
            // The working folder may not be open to that user.
            command.uid(user).gid(group).current_dir("/");
        }
    }
}

#[cfg(not(unix))]
impl User {
    fn current() -> Self {
        Self(None)
    }

    fn give(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn take_on(&self, _command: &mut Command) {}
}
