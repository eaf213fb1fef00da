//! A floor: one channel without a bound and one task for each listener.

use std::{future::ready, sync::Arc};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::dispatch::{Booked, Dispatcher, Work};

#[derive(Clone)]
pub(super) struct Channels(Arc<[UnboundedSender<Arc<Booked>>]>);

impl Dispatcher for Channels {
    const NAME: &'static str = "floor: mpsc + task per listener";

    async fn start(works: Vec<Work>) -> Self {
        let senders = works.into_iter().map(|work| {
            let (sender, mut receiver) = unbounded_channel::<Arc<Booked>>();
            tokio::spawn(async move {
                while let Some(event) = receiver.recv().await {
                    work.run(&event);
                }
            });
            sender
        });
        Self(senders.collect())
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let event = Arc::new(event);
        for sender in &*self.0 {
            let _ = sender.send(Arc::clone(&event));
        }
        ready(())
    }
}
