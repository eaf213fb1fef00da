//! The way in for simulations: connections over any stream, and all clocks tokio's.
//!
//! Compiled only with `--cfg vacancy_simulation`.

use std::{fmt, io, pin::Pin, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{link::Server, settings::Redis};

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// A connection that is being made.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes connections to the server.
pub trait Dial: Send + Sync + 'static {
    /// Makes one.
    fn dial(&self) -> Dialing;
}

impl Redis {
    /// A server that is reached over `dial`.
    pub fn over(dial: impl Dial) -> Self {
        Self::new(Server::Dialed(Arc::new(dial)), 1)
    }
}

impl fmt::Debug for dyn Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}
