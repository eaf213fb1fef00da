//! The network between nodes and their Redis: streams that deliver late, or never.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One link per node, all of them to the same server.
///
/// Time passes by [`advance`](Self::advance) alone, so that a host that is paused receives what has
/// arrived meanwhile when it goes on.
///
/// # Invariants
///
/// A stream delivers bytes in the order in which they were sent, or not at all from some byte on.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    now: Duration,
    rng: Rng,
    links: Vec<Link>,
    pipes: Vec<Pipe>,
    accept: Option<Accept>,
    listening: bool,
}

type Accept = Arc<dyn Fn(Stream) + Send + Sync>;

/// The way between one node and the server.
#[derive(Debug, Default)]
struct Link {
    held: [bool; 2],
    parted: bool,
    slow: Duration,
    dialling: Vec<Waker>,
}

/// One direction of a stream.
#[derive(Debug)]
struct Pipe {
    link: usize,
    direction: Direction,
    /// Whether both ends are there.
    open: bool,
    held: bool,
    sent: Vec<Sent>,
    last: Duration,
    /// Whether what is sent from now on arrives nowhere.
    lost: bool,
    reset: bool,
    reader: Option<Waker>,
}

/// Bytes, or the end of the stream, and when they arrive.
#[derive(Debug)]
struct Sent {
    at: Duration,
    bytes: Option<Vec<u8>>,
}

/// To the server or from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a node to the server.
    Up,
    /// From the server to a node.
    Down,
}

/// Which streams of a node something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// Those there are, and those there would be.
    All,
    /// The one that was opened first.
    Oldest,
    /// The one that was opened last.
    Newest,
}

/// The longest that bytes take when nothing is wrong.
const LATENCY: Duration = Duration::from_millis(6);

impl Network {
    /// A network of this many nodes.
    #[must_use]
    pub fn new(nodes: usize, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: Duration::ZERO,
            rng,
            links: (0..nodes).map(|_| Link::default()).collect(),
            pipes: Vec::new(),
            accept: None,
            listening: true,
        })))
    }

    /// Hands the server's end of each new stream to `accept`.
    pub fn listen(&self, accept: impl Fn(Stream) + Send + Sync + 'static) {
        self.lock().accept = Some(Arc::new(accept));
    }

    /// Lets time pass: what has arrived by now can be read.
    pub fn advance(&self, now: Duration) {
        let mut state = self.lock();
        state.now = now;
        let mut wakers = Vec::new();
        let State { links, pipes, .. } = &mut *state;
        for link in links.iter_mut().filter(|link| !link.is_blocked()) {
            wakers.append(&mut link.dialling);
        }
        for pipe in pipes {
            if pipe.reader.is_some() && pipe.can_deliver(links, now) {
                wakers.extend(pipe.reader.take());
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The server's time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.lock().now
    }

    /// Holds what goes one way, to be delivered late.
    pub fn hold(&self, node: usize, direction: Direction, streams: Streams) {
        let mut state = self.lock();
        if streams == Streams::All {
            state.links[node].held[direction as usize] = true;
        }
        for pipe in state.choose(node, streams) {
            pipe.held |= pipe.direction == direction;
        }
    }

    /// Delivers what was held, at once and in order.
    pub fn release(&self, node: usize) {
        let mut state = self.lock();
        state.links[node].held = [false, false];
        for pipe in state.choose(node, Streams::All) {
            pipe.held = false;
        }
    }

    /// Parts a node from the server: streams lose, for ever, what is sent from now on, and neither
    /// end is told. When all do, dialling waits until [`join`](Self::join).
    pub fn part(&self, node: usize, streams: Streams) {
        let mut state = self.lock();
        state.links[node].parted |= streams == Streams::All;
        for pipe in state.choose(node, streams) {
            pipe.lost = true;
        }
    }

    /// Lets a node dial again that was parted.
    pub fn join(&self, node: usize) {
        self.lock().links[node].parted = false;
    }

    /// Makes everything on a link take this much longer.
    pub fn slow(&self, node: usize, by: Duration) {
        self.lock().links[node].slow = by;
    }

    /// Resets the streams of a node: both ends are told, and what was under way is lost.
    pub fn reset(&self, node: usize) {
        self.reset_where(|pipe| pipe.link == node);
    }

    /// Resets all streams, as the death of the server does, and refuses new ones until told otherwise.
    pub fn set_listening(&self, listening: bool) {
        if !listening {
            self.reset_where(|_| true);
        }
        self.lock().listening = listening;
    }

    fn reset_where(&self, mut which: impl FnMut(&Pipe) -> bool) {
        let mut state = self.lock();
        let mut wakers = Vec::new();
        for pipe in state.pipes.iter_mut().filter(|pipe| which(pipe)) {
            pipe.reset = true;
            pipe.open = false;
            pipe.sent.clear();
            wakers.extend(pipe.reader.take());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Dials the server from a node.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the stream is there when this returns, and not before.
    ///
    /// # Errors
    ///
    /// The server is down.
    pub async fn dial(self, node: usize) -> io::Result<Stream> {
        let latency = self.lock().latency(node);
        tokio::time::sleep(latency).await;
        std::future::poll_fn(|cx| {
            let link = &mut self.lock().links[node];
            if link.is_blocked() {
                link.dialling.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        let mut state = self.lock();
        let Some(accept) = state.accept.clone().filter(|_| state.listening) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let up = state.open(node, Direction::Up);
        let down = state.open(node, Direction::Down);
        drop(state);
        let stream = |reads, writes| Stream {
            network: self.clone(),
            reads,
            writes,
        };
        accept(stream(up, down));
        Ok(stream(down, up))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

impl State {
    fn latency(&mut self, node: usize) -> Duration {
        let usual = self.rng.u64(1..=LATENCY.as_millis() as u64);
        let late = if self.rng.u8(..) < 3 { 40 } else { 0 };
        Duration::from_millis(usual + late) + self.links[node].slow
    }

    fn open(&mut self, link: usize, direction: Direction) -> usize {
        self.pipes.push(Pipe {
            link,
            direction,
            open: true,
            held: false,
            sent: Vec::new(),
            last: Duration::ZERO,
            lost: false,
            reset: false,
            reader: None,
        });
        self.pipes.len() - 1
    }

    /// Both directions of the streams of a node that are open.
    fn choose(&mut self, node: usize, streams: Streams) -> impl Iterator<Item = &mut Pipe> {
        let open = move |pipe: &&mut Pipe| pipe.link == node && pipe.open;
        let count = self.pipes.iter_mut().filter(open).count();
        let (skipped, taken) = match streams {
            Streams::All => (0, count),
            Streams::Oldest => (0, 2),
            Streams::Newest => (count.saturating_sub(2), 2),
        };
        let pipes = self.pipes.iter_mut().filter(open);
        pipes.skip(skipped).take(taken)
    }

    fn send(&mut self, pipe: usize, bytes: Option<&[u8]>) {
        let latency = self.latency(self.pipes[pipe].link);
        let pipe = &mut self.pipes[pipe];
        if pipe.lost || pipe.reset {
            return;
        }
        pipe.last = pipe.last.max(self.now + latency);
        pipe.sent.push(Sent {
            at: pipe.last,
            bytes: bytes.map(<[u8]>::to_vec),
        });
    }
}

impl Link {
    fn is_blocked(&self) -> bool {
        self.parted || self.held.contains(&true)
    }
}

impl Pipe {
    fn can_deliver(&self, links: &[Link], now: Duration) -> bool {
        let held = self.held || links[self.link].held[self.direction as usize];
        self.reset || (!held && self.sent.first().is_some_and(|sent| sent.at <= now))
    }
}

/// One end of a stream.
pub struct Stream {
    network: Network,
    reads: usize,
    writes: usize,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.network.lock();
        let State {
            links, pipes, now, ..
        } = &mut *state;
        let pipe = &mut pipes[self.reads];
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !pipe.can_deliver(links, *now) {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let sent = &mut pipe.sent[0];
        if let Some(bytes) = &mut sent.bytes {
            let length = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..length]);
            bytes.drain(..length);
            if bytes.is_empty() {
                pipe.sent.remove(0);
            }
        }
        // The end of the stream stays, and is read as nothing each time.
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.lock();
        if state.pipes[self.writes].reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.send(self.writes, Some(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.lock().send(self.writes, None);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        state.send(self.writes, None);
        state.pipes[self.writes].open = false;
        // The other end may go on sending and is not told; nobody reads it.
        state.pipes[self.reads].open = false;
        state.pipes[self.reads].lost = true;
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
