//! How a notice leaves its writer and reaches a node.

use std::fmt;

use futures_util::StreamExt;
use redis::{
    AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Script, Value,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::sync::mpsc;

/// A hash with the number of the last notice.
const STATE: &str = "vacancy:{bench:0}:state";

/// The stream or the channel.
const NOTICES: &str = "vacancy:{bench:0}:notices";

/// Notices that a stream keeps at least, for nodes that were away.
const KEPT: usize = 10_000;

/// What a notice says beside its number: partition, incarnation, writer, whether it wants an
/// acknowledgement, and one scope with a span.
const BODY: &str = "0|9f86d081884c7d65|6b86b273ff34fce1|0|8:tenant-1;8:resource;11:host-000123;1760486400;1760490000";

/// One way to carry notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backplane {
    /// A stream per partition, and a connection per node that waits in XREAD.
    Streams,
    /// A channel, and a connection per node that is subscribed to it.
    PubSub,
    /// A channel, and notices that arrive on the connection which also carries commands (RESP 3).
    Shared,
}

pub(crate) const BACKPLANES: [Backplane; 3] =
    [Backplane::Streams, Backplane::PubSub, Backplane::Shared];

impl fmt::Display for Backplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Streams => "streams",
            Self::PubSub => "numbered pub/sub",
            Self::Shared => "the same, RESP 3",
        })
    }
}

/// What invalidates: raises the number and tells of it, in one script.
#[derive(Clone)]
pub(crate) struct Writer {
    connection: MultiplexedConnection,
    script: Script,
}

impl Writer {
    pub(crate) async fn open(backplane: Backplane, url: &str) -> RedisResult<Self> {
        let tell = match backplane {
            Backplane::Streams => {
                format!(
                    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', {KEPT}, n .. '-0', 'n', ARGV[1])"
                )
            }
            Backplane::PubSub | Backplane::Shared => {
                "redis.call('PUBLISH', KEYS[2], n .. '|' .. ARGV[1])".to_owned()
            }
        };
        let script =
            format!("local n = redis.call('HINCRBY', KEYS[1], 'number', 1)\n{tell}\nreturn n");
        let client = Client::open(url)?;
        Ok(Self {
            connection: client.get_multiplexed_async_connection().await?,
            script: Script::new(&script),
        })
    }

    /// Sends a notice and returns its number.
    pub(crate) async fn send(&mut self) -> RedisResult<u64> {
        let mut invocation = self.script.key(STATE);
        invocation.key(NOTICES).arg(BODY);
        invocation.invoke_async(&mut self.connection).await
    }
}

/// A node's end: its connection for commands, and where its notices arrive.
pub(crate) struct Feed {
    commands: MultiplexedConnection,
    notices: Notices,
}

enum Notices {
    Stream {
        connection: MultiplexedConnection,
        last: u64,
    },
    Subscribed(PubSub),
    Pushed(mpsc::UnboundedReceiver<PushInfo>),
}

/// The reply of XREAD: streams of entries of one field each.
type Entries = Option<Vec<(String, Vec<(String, (String, String))>)>>;

impl Feed {
    /// Connects; from when this returns, every notice arrives, and with a stream every one after
    /// `last` that it still keeps.
    pub(crate) async fn open(backplane: Backplane, url: &str, last: u64) -> RedisResult<Self> {
        let client = Client::open(url)?;
        // XREAD answers when there is something to say.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        if backplane == Backplane::Shared {
            let client = Client::open(format!("{url}/?protocol=resp3"))?;
            let (sender, pushed) = mpsc::unbounded_channel();
            let config = config.set_push_sender(sender);
            let mut commands = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            commands.subscribe(NOTICES).await?;
            return Ok(Self {
                commands,
                notices: Notices::Pushed(pushed),
            });
        }
        let commands = client.get_multiplexed_async_connection().await?;
        let notices = if backplane == Backplane::Streams {
            let connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            Notices::Stream { connection, last }
        } else {
            let mut subscribed = client.get_async_pubsub().await?;
            subscribed.subscribe(NOTICES).await?;
            Notices::Subscribed(subscribed)
        };
        Ok(Self { commands, notices })
    }

    /// The number of the last notice, which a node asks for with every pulse.
    pub(crate) async fn number(&mut self) -> RedisResult<u64> {
        let mut get = redis::cmd("HGET");
        get.arg(STATE).arg("number");
        let number: Option<u64> = get.query_async(&mut self.commands).await?;
        Ok(number.unwrap_or(0))
    }

    /// Waits for notices and puts their numbers into `numbers`; false when the connection is gone.
    pub(crate) async fn next(&mut self, numbers: &mut Vec<u64>) -> bool {
        match &mut self.notices {
            Notices::Stream { connection, last } => {
                let mut read = redis::cmd("XREAD");
                read.arg("BLOCK").arg(0).arg("COUNT").arg(1_000);
                read.arg("STREAMS").arg(NOTICES).arg(format!("{last}-0"));
                let Ok(entries) = read.query_async::<Entries>(connection).await else {
                    return false;
                };
                for (id, (_, body)) in entries.into_iter().flatten().flat_map(|(_, them)| them) {
                    *last = number(&id, '-');
                    assert_eq!(body.len(), BODY.len());
                    numbers.push(*last);
                }
                true
            }
            Notices::Subscribed(subscribed) => {
                let Some(message) = subscribed.on_message().next().await else {
                    return false;
                };
                let notice: String = message.get_payload().expect("a notice is text");
                numbers.push(number(&notice, '|'));
                true
            }
            Notices::Pushed(pushed) => loop {
                match pushed.recv().await {
                    None => return false,
                    Some(push) if push.kind == PushKind::Disconnection => return false,
                    Some(push) if push.kind == PushKind::Message => {
                        let Some(Value::BulkString(notice)) = push.data.get(1) else {
                            unreachable!("a message has a channel and a payload");
                        };
                        let notice = std::str::from_utf8(notice).expect("a notice is text");
                        numbers.push(number(notice, '|'));
                        return true;
                    }
                    Some(_) => {}
                }
            },
        }
    }
}

/// The number that a notice begins with.
fn number(notice: &str, end: char) -> u64 {
    let (number, _) = notice.split_once(end).expect("a notice has parts");
    number.parse().expect("a notice begins with its number")
}
