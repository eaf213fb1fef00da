//! A floor: one channel without a bound, and one task that calls all listeners. A slow one delays the others.

use std::future::ready;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::dispatch::{Booked, Dispatcher, Work};

/// How many events the task takes out of the channel at once.
const BATCH: usize = 64;

#[derive(Clone)]
pub(super) struct Channel(UnboundedSender<Booked>);

impl Dispatcher for Channel {
    const NAME: &'static str = "floor: mpsc + one dispatcher task";

    async fn start(works: Vec<Work>) -> Self {
        let (sender, mut receiver) = unbounded_channel::<Booked>();
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                for event in batch.drain(..) {
                    works.iter().for_each(|work| work.run(&event));
                }
            }
        });
        Self(sender)
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let _ = self.0.send(event);
        ready(())
    }
}
