//! The simulated Redis at the other end of streams.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::server::Server;

/// A [`Server`] that serves streams. A handle: clones share the server.
#[derive(Clone)]
pub struct Peer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

struct State {
    server: Server,
    /// The connections that wait for something to send.
    idle: BTreeMap<u64, Waker>,
}

impl Peer {
    /// An empty server by this clock, which says how long ago 1970 was.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let state = State {
            server: Server::new(),
            idle: BTreeMap::new(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            clock: Box::new(clock),
        }))
    }

    /// Does something to the server. Connections are told what comes of it.
    pub fn with<R>(&self, act: impl FnOnce(&mut Server) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state.server);
        let State { server, idle } = &mut *state;
        let mut woken = Vec::new();
        idle.retain(|id, waker| {
            let idles = !server.has_news(*id);
            if !idles {
                woken.push(waker.clone());
            }
            idles
        });
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Serves one stream until either side closes it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the stream, and what is half sent is lost.
    pub async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let id = self.with(Server::connect);
        let mut bytes = vec![0; 4096];
        loop {
            tokio::select! {
                biased;
                read = stream.read(&mut bytes) => match read {
                    Ok(length) if length > 0 => {
                        let now = (self.0.clock)();
                        self.with(|server| server.receive(id, &bytes[..length], now));
                    }
                    _ => break,
                },
                () = self.news(id) => {}
            }
            let output = self.with(|server| server.take_output(id));
            let Some(output) = output else { break };
            if stream.write_all(&output).await.is_err() {
                break;
            }
        }
        self.with(|server| server.disconnect(id));
    }

    async fn news(&self, id: u64) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if state.server.has_news(id) {
                return Poll::Ready(());
            }
            state.idle.insert(id, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("a server that panicked ends the run")
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}
