//! A Varnish process of a test's own.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStderr;

use super::soon;

/// Where it may be: not everybody's search path has the folders for servers.
const PROGRAMS: [&str; 4] = [
    "varnishd",
    "/usr/sbin/varnishd",
    "/usr/local/sbin/varnishd",
    "/opt/homebrew/sbin/varnishd",
];

/// How many ports are tried, should others always be faster.
const PORTS: usize = 5;

/// A Varnish on a port of 127.0.0.1 in a temporary folder. Dropping it kills the process, whose worker
/// goes with it.
pub(crate) struct Varnish {
    process: Child,
    address: SocketAddr,
    // It writes there now and then; with nobody at the other end it would be killed by that.
    _log: Lines<BufReader<ChildStderr>>,
    _folder: Arc<TempDir>,
}

impl Varnish {
    /// Runs our VCL before `origin`. Those at `purgers` may purge it.
    pub(crate) async fn before(origin: SocketAddr, purgers: &str) -> Self {
        let folder = Arc::new(TempDir::with_prefix("vacancy-varnish-").expect("a folder"));
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("vcl/vacancy.vcl");
        let vcl = format!(
            r#"vcl 4.1;
            backend default {{ .host = "{}"; .port = "{}"; }}
            acl vacancy_purgers {{ "{purgers}"; }}
            include "{}";"#,
            origin.ip(),
            origin.port(),
            ours.display()
        );
        let file = folder.path().join("test.vcl");
        fs::write(&file, vcl).expect("a file");
        let mut tried = 0;
        loop {
            tried += 1;
            let address = free_address();
            let mut process = start(&folder, &file, address);
            let stderr = process.stderr.take().expect("the log is piped");
            let stderr = ChildStderr::from_std(stderr).expect("a pipe");
            let mut log = BufReader::new(stderr).lines();
            let mut told = String::new();
            let is_ready = soon(is_ready(&mut log, &mut told)).await;
            let varnish = Self {
                process,
                address,
                _log: log,
                _folder: Arc::clone(&folder),
            };
            if is_ready {
                return varnish;
            }
            // Somebody took the port between our look and the server's.
            let is_port_taken = told.contains("in use") || told.contains("Could not get socket");
            assert!(
                is_port_taken && tried < PORTS,
                "varnishd ended at once: {told}"
            );
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        // Fails when it has ended, which is how it should be.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn is_ready(log: &mut Lines<BufReader<ChildStderr>>, told: &mut String) -> bool {
    while let Some(line) = log.next_line().await.expect("the log can be read") {
        told.push_str(&line);
        told.push('\n');
        if line.contains("Child starts") {
            return true;
        }
    }
    false
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn start(folder: &TempDir, vcl: &Path, address: SocketAddr) -> Child {
    for program in PROGRAMS {
        let spawned = Command::new(program)
            // In the foreground, without another user's rights and without a console.
            .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,16m"])
            .arg("-n")
            .arg(folder.path().join("work"))
            .args(["-a", &address.to_string()])
            .arg("-f")
            .arg(vcl)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        match spawned {
            Ok(process) => return process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("varnishd could not be started: {error}"),
        }
    }
    panic!(
        "varnishd was not found; install it (Debian: apt-get install varnish, macOS: brew install \
         varnish) or run cargo xtask test, which does"
    );
}
