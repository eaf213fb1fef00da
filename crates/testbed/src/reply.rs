//! One command and its answer, in the Redis protocol (RESP 2).
//!
//! Written out here because the client library is among the things under test.

use std::{io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// What Redis answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status, such as `OK`.
    Text(String),
    /// A number.
    Integer(i64),
    /// A value; `None` when there is none, also in place of an array.
    Bulk(Option<Vec<u8>>),
    /// Several of these.
    Array(Vec<Reply>),
    /// Redis refused, and this is why.
    Error(String),
}

impl Reply {
    /// The text of a status or a value, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bulk(Some(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The reply, with a refusal made an error.
    pub(crate) fn accepted(self) -> io::Result<Self> {
        match self {
            Self::Error(reason) => Err(io::Error::other(reason)),
            reply => Ok(reply),
        }
    }
}

/// A connection that speaks the protocol.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, password: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream: BufReader::new(stream),
        };
        if let Some(password) = password {
            connection.call(&["AUTH", password]).await?.accepted()?;
        }
        Ok(connection)
    }

    pub(crate) async fn call(&mut self, words: &[&str]) -> io::Result<Reply> {
        self.stream.write_all(&command(words)).await?;
        reply(&mut self.stream).await
    }

    pub(crate) fn into_stream(self) -> BufReader<TcpStream> {
        self.stream
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// Boxed, because an array holds replies.
fn reply<'a, R: AsyncBufRead + Unpin + Send>(
    from: &'a mut R,
) -> Pin<Box<dyn Future<Output = io::Result<Reply>> + Send + 'a>> {
    Box::pin(async move {
        let mut line = String::new();
        from.read_line(&mut line).await?;
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| foreign(line))?;
        let number = || rest.parse::<i64>().map_err(|_| foreign(line));
        Ok(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()?),
            "$" => Reply::Bulk(match usize::try_from(number()?) {
                Err(_) => None,
                Ok(length) => {
                    let mut bytes = vec![0; length + "\r\n".len()];
                    from.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Some(bytes)
                }
            }),
            "*" => match usize::try_from(number()?) {
                Err(_) => Reply::Bulk(None),
                Ok(length) => {
                    let mut replies = Vec::new();
                    for _ in 0..length {
                        replies.push(reply(from).await?);
                    }
                    Reply::Array(replies)
                }
            },
            _ => return Err(foreign(line)),
        })
    })
}

fn foreign(line: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not a reply of Redis: {line:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &str) -> io::Result<Reply> {
        reply(&mut bytes.as_bytes()).await
    }

    #[tokio::test]
    async fn every_kind_of_reply_is_read() {
        let value = |text: &str| Reply::Bulk(Some(text.into()));
        for (bytes, expected) in [
            ("+OK\r\n", Reply::Text("OK".into())),
            ("-ERR no\r\n", Reply::Error("ERR no".into())),
            (":-7\r\n", Reply::Integer(-7)),
            ("$3\r\na\r\n\r\n", value("a\r\n")),
            ("$0\r\n\r\n", value("")),
            ("$-1\r\n", Reply::Bulk(None)),
            ("*-1\r\n", Reply::Bulk(None)),
            ("*0\r\n", Reply::Array(vec![])),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![value("a")])]),
            ),
        ] {
            assert_eq!(read(bytes).await.unwrap(), expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_that_is_cut_or_foreign_is_an_error() {
        for (bytes, expected) in [
            ("", io::ErrorKind::UnexpectedEof),
            ("+O", io::ErrorKind::UnexpectedEof),
            ("$3\r\na\r\n", io::ErrorKind::UnexpectedEof),
            ("*2\r\n:1\r\n", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1\r\n", io::ErrorKind::InvalidData),
            (":x\r\n", io::ErrorKind::InvalidData),
            ("\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read(bytes).await.unwrap_err().kind(), expected, "{bytes:?}");
        }
    }
}
