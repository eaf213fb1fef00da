//! What happens in the salon, as it happens, for the page.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// How many messages wait for a reader before it misses the oldest.
const CAPACITY: usize = 1024;

/// What happens, as it happens. Sending never waits: a reader who is too slow misses messages and is
/// told how many. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Gone once the feed is closed.
    sender: Option<Sender<Message>>,
    sent: u64,
}

/// One message of the feed.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its number, from 1.
    pub(crate) id: u64,
    pub(crate) kind: &'static str,
    /// JSON.
    pub(crate) data: Arc<str>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            sender: Some(channel(CAPACITY).0),
            sent: 0,
        })))
    }

    /// Tells every reader.
    pub(crate) fn send(&self, kind: &'static str, data: &impl Serialize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.sent += 1;
        let id = state.sent;
        let Some(sender) = state
            .sender
            .as_ref()
            .filter(|sender| sender.receiver_count() > 0)
        else {
            return;
        };
        let data = serde_json::to_string(data)
            .expect("a message has string keys only")
            .into();
        // No reader is left: nobody is to be told.
        let _ = sender.send(Message { id, kind, data });
    }

    /// What is sent from now on; `None` once the feed is closed.
    pub(crate) fn read(&self) -> Option<Receiver<Message>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.sender.as_ref().map(Sender::subscribe)
    }

    /// Ends the feed for every reader.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sender = None;
    }
}
