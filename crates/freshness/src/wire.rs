//! What the coordinator and its nodes tell each other, over a node's standard input and output.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    history::{Key, NodeId, Read, Write},
    subject::{Column, Counts},
};

/// From the coordinator to a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first one: be this node and go.
    Begin(Assignment),
    /// End as by a power cut, right behind the next commit.
    DieAfterCommit,
    /// Finish the reads and writes under way and begin no others.
    Rest,
    /// Repeat what was not confirmed until it is.
    Settle,
    /// Read each key once.
    ReadAll,
    /// Say what was counted, and end.
    End,
}

/// What a node is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) node: NodeId,
    pub(crate) column: Column,
    /// Where Redis is for this node: its proxy.
    pub(crate) redis: String,
    pub(crate) database: String,
    pub(crate) keys: Key,
    pub(crate) readers: u32,
    pub(crate) writers: u32,
    /// What all its readers together aim at.
    pub(crate) reads_per_second: u32,
    pub(crate) lease: Duration,
    pub(crate) seed: u64,
}

/// From a node to the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It reads and writes.
    Begun,
    Reads(Vec<Read>),
    Writes(Vec<Write>),
    /// All that was under way has ended and been reported.
    Resting,
    /// Whether everything is confirmed now.
    Settled(bool),
    LastReads(Vec<Read>),
    /// The last one.
    Counts(Counts),
}

/// Writes one message, whole, and blocks until the reader has room for it.
pub(crate) fn send<T: Serialize>(mut to: impl io::Write, message: &T) -> io::Result<()> {
    to.write_all(&frame(message)?)?;
    to.flush()
}

/// Reads one message; `None` at the end.
pub(crate) fn receive<T: DeserializeOwned>(mut from: impl io::Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut body)?;
    parse(&body).map(Some)
}

/// [`send`] for the coordinator.
pub(crate) async fn send_async<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    to.write_all(&frame(message)?).await?;
    to.flush().await
}

/// [`receive`] for the coordinator. What a killed node had only half written is the end.
pub(crate) async fn receive_async<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let whole = async {
        let length = from.read_u32_le().await?;
        let mut body = vec![0; length as usize];
        from.read_exact(&mut body).await?;
        io::Result::Ok(body)
    };
    match whole.await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
        Ok(body) => parse(&body).map(Some),
    }
}

fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_and_a_torn_one_is_the_end() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Report::Settled(true)).unwrap();
        let whole = bytes.len();
        send(&mut bytes, &Report::Writes(vec![Write::begin(3)])).unwrap();
        let torn = &bytes[..bytes.len() - 1];

        let mut from = torn;
        let first: Option<Report> = receive(&mut from).unwrap();
        assert!(matches!(first, Some(Report::Settled(true))));

        let mut from = &torn[whole..];
        assert!(receive_async::<Report>(&mut from).await.unwrap().is_none());
        let mut from = &bytes[whole..];
        let second: Option<Report> = receive_async(&mut from).await.unwrap();
        assert!(matches!(second, Some(Report::Writes(writes)) if writes[0].key == 3));
    }
}
