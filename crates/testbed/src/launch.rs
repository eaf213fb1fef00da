//! How a server is started: the program, its arguments, and how it says that it is ready.

use std::{
    io,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdout,
    time::timeout,
};

use crate::{PATIENCE, port::Port, process::Process, redis_server::StartError, reply::Connection};

/// The names that the program goes by; the first that is found is used.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// What a server is started with, each time.
#[derive(Debug)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(crate) fn new(options: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(options.iter().map(owned).collect())
    }

    pub(crate) fn password(&self) -> Option<&str> {
        let is_password = |(name, _): &&(String, String)| name == "requirepass";
        self.0
            .iter()
            .rfind(is_password)
            .map(|(_, word)| word.as_str())
    }

    /// Starts a server and waits until it answers.
    pub(crate) async fn launch(
        &self,
        port: &Port,
        folder: &TempDir,
    ) -> Result<Process, StartError> {
        self.launch_one_of(&PROGRAMS, port, folder).await
    }

    /// The first of `programs` that exists.
    async fn launch_one_of(
        &self,
        programs: &[&str],
        port: &Port,
        folder: &TempDir,
    ) -> Result<Process, StartError> {
        let (process, stdout) = self.spawn(programs, port, folder)?;
        let mut log = String::new();
        match timeout(PATIENCE, ready(stdout, &mut log)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(StartError::Ended { log }),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(StartError::NotReady { log }),
        }
        let ping = async {
            let mut connection = Connection::open(port.address(), self.password()).await?;
            connection.call(&["PING"]).await?.accepted()
        };
        match timeout(PATIENCE, ping).await {
            Ok(Ok(_)) => Ok(process),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StartError::NotReady { log }),
        }
    }

    fn spawn(
        &self,
        programs: &[&str],
        port: &Port,
        folder: &TempDir,
    ) -> Result<(Process, ChildStdout), StartError> {
        for program in programs {
            let mut command = Command::new(program);
            command
                .args(["--port", &port.number().to_string()])
                .args(["--bind", "127.0.0.1", "--daemonize", "no"])
                .args(["--save", "", "--appendonly", "no"])
                // A primary waits five seconds for a second replica otherwise.
                .args(["--repl-diskless-sync-delay", "0"])
                .arg("--dir")
                .arg(folder.path());
            for (name, value) in &self.0 {
                command.arg(format!("--{name}"));
                if value.is_empty() {
                    command.arg("");
                }
                command.args(value.split_whitespace());
            }
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            match command.spawn() {
                Ok(mut child) => {
                    let stdout = child.stdout.take().expect("standard output is piped");
                    let process = Process(child);
                    return Ok((process, ChildStdout::from_std(stdout)?));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StartError::Missing)
    }
}

/// Reads until the server says that it is ready; false when it ends without.
///
/// The pipe is closed afterwards: Redis ignores that nobody reads on, and would stand still if
/// somebody held the pipe and did not read.
async fn ready(stdout: ChildStdout, log: &mut String) -> io::Result<bool> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        log.push_str(&line);
        log.push('\n');
        if line.contains("Ready to accept connections") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_says_what_to_do() {
        let (port, folder) = (Port::claim().unwrap(), TempDir::new().unwrap());
        let settings = Settings::new(&[]);
        let launched = settings.launch_one_of(&["no-such-server"], &port, &folder);
        let error = launched.await.unwrap_err();
        assert!(matches!(error, StartError::Missing));
        assert_eq!(
            error.to_string(),
            "redis-server was not found; install it (Debian: apt-get install redis-server, \
             macOS: brew install redis) or run cargo xtask test, which does"
        );
    }

    #[tokio::test]
    async fn the_second_name_is_tried_when_the_first_is_missing() {
        let (port, folder) = (Port::claim().unwrap(), TempDir::new().unwrap());
        let programs = ["no-such-server", PROGRAMS[0]];
        let settings = Settings::new(&[]);
        let launched = settings.launch_one_of(&programs, &port, &folder);
        assert!(launched.await.is_ok());
    }

    #[tokio::test]
    async fn a_taken_port_is_told_apart_from_other_ends() {
        let (port, folder) = (Port::claim().unwrap(), TempDir::new().unwrap());
        let _stranger = std::net::TcpListener::bind(port.address()).unwrap();
        let settings = Settings::new(&[]);
        let launched = settings.launch(&port, &folder);
        let Err(StartError::Ended { log }) = launched.await else {
            panic!("the port was taken");
        };
        assert!(log.contains("in use"), "{log}");
    }
}
