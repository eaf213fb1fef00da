//! The Redis of the story, which can be pulled away.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use vacancy::cache::{InvalidUrl, RedisUrl};
use vacancy_testbed::{Fault, Proxy, RedisServer, StartError};

/// How long a Redis that is there takes to accept a connection at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Redis that both nodes use.
#[derive(Debug)]
pub(crate) enum Server {
    /// Started here: it is killed, and comes back empty.
    Own(RedisServer),
    /// Somebody's: the way to it is cut, and it comes back as it was.
    Shared(Proxy, Url),
}

/// The address of a Redis, of which another host and port can be made. Not for printing: it may have a
/// password in it.
#[derive(Clone)]
pub(crate) struct Url {
    text: String,
    /// Where in the text host and port are.
    place: std::ops::Range<usize>,
}

/// Why there is no Redis to tell the story with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("--redis: {0}")]
    Url(#[from] InvalidUrl),
    #[error("--redis: only redis:// will do here, since a proxy has to cut the connections")]
    Scheme,
    #[error("--redis: nobody answers at {place}: {source}")]
    Unreachable { place: String, source: io::Error },
    #[error("{0}\nor name one that runs: -- --redis redis://127.0.0.1:6379")]
    Missing(StartError),
    #[error("redis-server could not be started: {0}")]
    Start(StartError),
    #[error("the proxy before redis could not be started")]
    Proxy(#[source] io::Error),
}

impl Server {
    /// A server of its own, on a free port.
    pub(crate) async fn start() -> Result<Self, ServerError> {
        match RedisServer::start().await {
            Ok(server) => Ok(Self::Own(server)),
            Err(missing @ StartError::Missing) => Err(ServerError::Missing(missing)),
            Err(error) => Err(ServerError::Start(error)),
        }
    }

    /// One that runs.
    pub(crate) async fn at(url: Url) -> Result<Self, ServerError> {
        let unreachable = |source| ServerError::Unreachable {
            place: url.place().to_owned(),
            source,
        };
        let address = timeout(PATIENCE, url.find())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let proxy = Proxy::start(address).await.map_err(ServerError::Proxy)?;
        Ok(Self::Shared(proxy, url))
    }

    /// Where the nodes connect. Not for printing.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Own(server) => server.url(),
            Self::Shared(proxy, url) => url.at(proxy.address()),
        }
    }

    /// Takes it away from both nodes at once.
    pub(crate) async fn pull_away(&mut self) -> io::Result<()> {
        match self {
            Self::Own(server) => server.kill().await?,
            Self::Shared(proxy, _) => proxy.set(Fault::Cut),
        }
        Ok(())
    }

    /// Brings it back.
    pub(crate) async fn bring_back(&mut self) -> Result<(), ServerError> {
        match self {
            Self::Own(server) => server.restart().await.map_err(ServerError::Start)?,
            Self::Shared(proxy, _) => proxy.set(Fault::None),
        }
        Ok(())
    }

    /// Whether it forgets all when it is pulled away.
    pub(crate) fn forgets(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// What it is, for printing.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Own(server) => {
                format!("a redis-server started for it (port {})", server.port())
            }
            Self::Shared(_, url) => format!("the Redis at {}, behind a proxy", url.place()),
        }
    }
}

impl Url {
    /// Host and port.
    pub(crate) fn place(&self) -> &str {
        &self.text[self.place.clone()]
    }

    /// The same with another host and port.
    fn at(&self, address: SocketAddr) -> String {
        let mut text = self.text.clone();
        text.replace_range(self.place.clone(), &address.to_string());
        text
    }

    /// Finds the address at which somebody accepts connections.
    async fn find(&self) -> io::Result<SocketAddr> {
        let place = self.place();
        // A colon behind the bracket of an IPv6 address, if there is one.
        let has_port = place
            .rsplit(']')
            .next()
            .is_some_and(|end| end.contains(':'));
        let place = match has_port {
            true => place.to_owned(),
            false => format!("{place}:6379"),
        };
        let mut last = io::ErrorKind::NotFound.into();
        for address in lookup_host(place).await? {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl std::str::FromStr for Url {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        text.parse::<RedisUrl>()?;
        let rest = text.strip_prefix("redis://").ok_or(ServerError::Scheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let end = text.len() - rest.len() + authority.len();
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let place = end - host.len()..end;
        if host.is_empty() {
            return Err(InvalidUrl::Form.into());
        }
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Url").field(&self.place()).finish()
    }
}
