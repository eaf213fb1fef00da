//! tokio's broadcast channel, of `Arc`s: every receiver gets a clone.

use std::{future::ready, sync::Arc};

use tokio::sync::broadcast::{Sender, channel};

use crate::dispatch::{Booked, Dispatcher, Work};

/// More than are ever on their way: a receiver that lags loses events.
const CAPACITY: usize = 1024;

#[derive(Clone)]
pub(super) struct Broadcast(Sender<Arc<Booked>>);

impl Dispatcher for Broadcast {
    const NAME: &'static str = "tokio broadcast";

    async fn start(works: Vec<Work>) -> Self {
        let (sender, _) = channel::<Arc<Booked>>(CAPACITY);
        for work in works {
            let mut receiver = sender.subscribe();
            tokio::spawn(async move {
                while let Ok(event) = receiver.recv().await {
                    work.run(&event);
                }
            });
        }
        Self(sender)
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let _ = self.0.send(Arc::new(event));
        ready(())
    }
}
