//! A TCP proxy that breaks what it carries, when told to.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    fault::{Direction, Fault, Way},
    pump::{Over, Pump, Valve},
};

/// Forwards connections from a port of 127.0.0.1 to a server, with the [`Fault`] that is set.
///
/// A clone is another handle on the same proxy. With the last handle all connections end and the
/// port is given back. A connection whose server does not answer is reset.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// The tasks hold receivers only, so they end with the last handle.
    state: Arc<watch::Sender<State>>,
    counts: Arc<Counts>,
}

/// What the connections go by. Read under its lock for each write, so what a fault concerns has
/// ceased to pass when the call that set it returns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) fault: Fault,
    pub(crate) upstream: SocketAddr,
    /// Of faults set so far. The counts below let a connection see what it slept through.
    pub(crate) settings: u64,
    pub(crate) cuts: u64,
    losses_to_server: u64,
    losses_to_client: u64,
}

/// What has passed so far, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicUsize,
    to_server: Passage,
    to_client: Passage,
}

/// Bytes, one way.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    pub(crate) received: AtomicU64,
    pub(crate) delivered: AtomicU64,
}

impl Proxy {
    /// Listens on a free port and forwards to `upstream`, without a fault.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (state, receiver) = watch::channel(State {
            fault: Fault::None,
            upstream,
            settings: 0,
            cuts: 0,
            losses_to_server: 0,
            losses_to_client: 0,
        });
        let counts = Arc::new(Counts::default());
        tokio::spawn(accept(listener, receiver, Arc::clone(&counts)));
        Ok(Self {
            address,
            state: Arc::new(state),
            counts,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as clients of Redis want it, without a password.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Replaces the fault, for existing and new connections.
    ///
    /// When this returns, the proxy hands on nothing that the new fault forbids; what it had handed
    /// on before may still be on its way.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| state.set(fault));
    }

    /// Sends new connections to another server and resets those to the former one, as a failover
    /// does.
    pub fn redirect(&self, upstream: SocketAddr) {
        self.state.send_modify(|state| {
            state.upstream = upstream;
            state.cuts += 1;
        });
    }

    /// Connections that clients have opened so far, including those that were refused.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Bytes taken from senders so far, including those that are held back or lost.
    pub fn received(&self, direction: Direction) -> u64 {
        self.counts.sum(direction, |passage| &passage.received)
    }

    /// Bytes handed to receivers so far.
    pub fn delivered(&self, direction: Direction) -> u64 {
        self.counts.sum(direction, |passage| &passage.delivered)
    }
}

impl State {
    fn set(&mut self, fault: Fault) {
        self.fault = fault;
        self.settings += 1;
        self.cuts += u64::from(fault == Fault::Cut);
        self.losses_to_server += u64::from(fault.loses(Way::ToServer));
        self.losses_to_client += u64::from(fault.loses(Way::ToClient));
    }

    /// How often bytes of existing connections began to be lost.
    pub(crate) fn losses(&self, way: Way) -> u64 {
        match way {
            Way::ToServer => self.losses_to_server,
            Way::ToClient => self.losses_to_client,
        }
    }

    fn refuses(&self) -> bool {
        matches!(self.fault, Fault::Refuse | Fault::Cut)
    }
}

impl Counts {
    pub(crate) fn passage(&self, way: Way) -> &Passage {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    fn sum(&self, direction: Direction, count: impl Fn(&Passage) -> &AtomicU64) -> u64 {
        [Way::ToServer, Way::ToClient]
            .into_iter()
            .filter(|way| direction.covers(*way))
            .map(|way| count(self.passage(way)).load(Ordering::Relaxed))
            .sum()
    }
}

/// Accepts connections and owns the tasks that carry them, until the last handle is gone.
async fn accept(listener: TcpListener, state: watch::Receiver<State>, counts: Arc<Counts>) {
    let mut carried = JoinSet::new();
    let mut watched = state.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // It was gone before it was accepted.
                let Ok((client, _)) = accepted else { continue };
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let birth = *state.borrow();
                if birth.refuses() {
                    reset(&client);
                } else {
                    carried.spawn(carry(client, birth, state.clone(), Arc::clone(&counts)));
                }
            }
            _ = watched.wait_for(|_| false) => return,
            Some(_) = carried.join_next() => {}
        }
    }
}

/// Carries one connection to its end.
async fn carry(
    mut client: TcpStream,
    birth: State,
    mut state: watch::Receiver<State>,
    counts: Arc<Counts>,
) {
    let pump = |way| Pump {
        valve: Valve::new(way, &birth),
        state: state.clone(),
        counts: Arc::clone(&counts),
    };
    let (to_server, to_client) = (pump(Way::ToServer), pump(Way::ToClient));
    let cut = async {
        // Also when the last handle is gone.
        let _ = state.wait_for(|state| state.cuts != birth.cuts).await;
    };
    tokio::pin!(cut);

    let server = tokio::select! {
        // A connection that stands is to be reset as well, not merely closed.
        biased;
        server = TcpStream::connect(birth.upstream) => server,
        () = &mut cut => return reset(&client),
    };
    let Ok(mut server) = server else {
        return reset(&client);
    };
    // Fails on a connection that is gone, which the pumps will find.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));

    let over = {
        let (from_client, into_client) = client.split();
        let (from_server, into_server) = server.split();
        let ended = async {
            tokio::try_join!(
                to_server.run(from_client, into_server),
                to_client.run(from_server, into_client),
            )
        };
        tokio::select! {
            ended = ended => ended.map(drop),
            () = cut => Err(Over::Cut),
        }
    };
    match over {
        Ok(()) => {}
        Err(Over::Cut) => {
            reset(&client);
            reset(&server);
        }
        Err(Over::Truncated) => {
            drop(server);
            // A close with unread bytes would be a reset, which can overtake what was to arrive.
            if client.shutdown().await.is_ok() {
                let _ = copy(&mut client, &mut sink()).await;
            }
        }
    }
}

/// Makes the coming close a reset.
fn reset(stream: &TcpStream) {
    // Fails on a connection that is gone already.
    let _ = stream.set_zero_linger();
}
