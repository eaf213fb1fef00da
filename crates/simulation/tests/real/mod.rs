//! A real Redis, for as long as a test needs it, and a connection to it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use vacancy_testbed::RedisServer;

/// A server of this test's own, which the tests ask without being asynchronous.
pub(crate) struct RealServer {
    server: RedisServer,
    /// What the server was started in; it goes after it.
    _runtime: Runtime,
}

impl RealServer {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the operating system allows a runtime");
        let server = runtime.block_on(RedisServer::start());
        Self {
            server: server.expect("redis-server is installed"),
            _runtime: runtime,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.server.address()).expect("it listens");
        let patience = Some(Duration::from_secs(5));
        stream.set_read_timeout(patience).expect("a socket has one");
        stream
            .set_nodelay(true)
            .expect("a socket can do without delay");
        Client {
            stream,
            inbox: Vec::new(),
        }
    }
}

/// A connection to it.
pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it listens");
    }

    /// The next replies, this many.
    pub(crate) fn read(&mut self, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            match reply(&self.inbox) {
                Some((reply, length)) => {
                    self.inbox.drain(..length);
                    found.push(reply);
                }
                None => {
                    let mut bytes = [0; 4096];
                    match self.stream.read(&mut bytes) {
                        Ok(length) if length > 0 => self.inbox.extend(&bytes[..length]),
                        _ => {
                            found.push("nothing".to_owned());
                            break;
                        }
                    }
                }
            }
        }
        found
    }
}

/// All the replies in `bytes`.
pub(crate) fn replies(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((reply, length)) = reply(bytes) {
        found.push(reply);
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "half a reply: {bytes:?}");
    found
}

/// The first reply, its kind in front of each part, and its length on the wire.
fn reply(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut at = end + 2;
    let (kind, rest) = line.split_at(1);
    let parts = match kind {
        "*" | ">" => rest.parse().unwrap_or(0),
        "%" => rest.parse::<usize>().expect("a count") * 2,
        "$" | "=" if rest != "-1" => {
            let length: usize = rest.parse().expect("a length");
            let blob = bytes.get(at..at + length)?;
            bytes.get(at + length + 1)?;
            let text = String::from_utf8_lossy(blob);
            return Some((format!("{kind}{text}"), at + length + 2));
        }
        _ => return Some((line, at)),
    };
    let mut whole = format!("{line}(");
    for _ in 0..parts {
        let (part, length) = reply(&bytes[at..])?;
        whole.push_str(&part);
        whole.push(' ');
        at += length;
    }
    whole.push(')');
    Some((whole, at))
}
