//! The calendar that both processes share: kept by A, asked by B over a loopback connection.
//!
//! A question is a line with the number of a host. The answer is a line with the half hours that are
//! open with him, in hexadecimal.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
};
use vacancy::slots::{Slot, SlotSource, SlotsRequest, SourceError};

use super::agenda::{ALL, HOSTS, HalfHours, host_of, slots_of};

/// What is still open. A clone is another handle.
#[derive(Clone, Debug)]
pub(crate) struct Calendar(Arc<Mutex<[HalfHours; HOSTS]>>);

impl Calendar {
    /// Nothing is booked.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new([ALL; HOSTS])))
    }

    /// Books a half hour; false if it was taken. This is the write path's own check.
    pub(crate) fn book(&self, host: usize, nth: usize) -> bool {
        let mut open = self.open();
        let free = open[host] & 1 << nth != 0;
        open[host] &= !(1 << nth);
        free
    }

    /// Frees everything.
    pub(crate) fn clear(&self) {
        *self.open() = [ALL; HOSTS];
    }

    /// The truth.
    pub(crate) fn open(&self) -> MutexGuard<'_, [HalfHours; HOSTS]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers other processes until the runtime ends.
    pub(crate) async fn serve(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let calendar = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let calendar = calendar.clone();
                // Ends when who asks is gone.
                tokio::spawn(async move { calendar.answer(stream).await });
            }
        });
        Ok(address)
    }

    async fn answer(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufStream::new(stream);
        let mut question = String::new();
        while stream.read_line(&mut question).await? > 0 {
            let host = question.trim_end().parse().ok();
            let open = host.and_then(|host: usize| self.open().get(host).copied());
            let open = open.ok_or(io::ErrorKind::InvalidData)?;
            stream.write_all(format!("{open:x}\n").as_bytes()).await?;
            stream.flush().await?;
            question.clear();
        }
        Ok(())
    }
}

#[async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(slots_of(self.open()[host_of(request)?]))
    }
}

/// The calendar, from another process.
#[derive(Debug)]
pub(crate) struct RemoteCalendar {
    address: SocketAddr,
    /// Taken out while it is in use, so that a call that is dropped halfway leaves none that is out
    /// of step.
    idle: Mutex<Option<BufStream<TcpStream>>>,
}

impl RemoteCalendar {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    async fn ask(&self, host: usize) -> io::Result<HalfHours> {
        let idle = self.idle().take();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                BufStream::new(stream)
            }
        };
        stream.write_all(format!("{host}\n").as_bytes()).await?;
        stream.flush().await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        let open = HalfHours::from_str_radix(answer.trim_end(), 16);
        *self.idle() = Some(stream);
        open.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn idle(&self) -> MutexGuard<'_, Option<BufStream<TcpStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SlotSource for RemoteCalendar {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let open = self.ask(host_of(request)?).await;
        Ok(slots_of(open.map_err(SourceError::new)?))
    }
}
