//! What a server is asked, as it is asked.

use std::io;

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
};

use crate::reply::Connection;

/// The commands that a server runs, its scripts' included, from the moment this was made.
///
/// Dropping it ends the watch.
#[derive(Debug)]
pub struct Monitor {
    lines: Lines<BufReader<TcpStream>>,
}

impl Monitor {
    pub(crate) async fn on(mut connection: Connection) -> io::Result<Self> {
        connection.call(&["MONITOR"]).await?.accepted()?;
        Ok(Self {
            lines: connection.into_stream().lines(),
        })
    }

    /// The next command, such as `1700000000.123456 [0 127.0.0.1:40000] "GET" "key"`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no command is lost.
    ///
    /// # Errors
    ///
    /// When the server is gone.
    pub async fn next(&mut self) -> io::Result<String> {
        let line = self.lines.next_line().await?;
        let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(line.strip_prefix('+').unwrap_or(&line).to_owned())
    }
}
