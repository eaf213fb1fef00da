//! flume: a channel without a bound and a task for each listener.

use std::{future::ready, sync::Arc};

use flume::{Sender, unbounded};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

#[derive(Clone)]
pub(crate) struct Flume(Arc<[Sender<Arc<Booked>>]>);

impl Dispatcher for Flume {
    const NAME: &'static str = "flume + task per listener";

    async fn start(works: Vec<Work>) -> Self {
        let senders = works.into_iter().map(|work| {
            let (sender, receiver) = unbounded::<Arc<Booked>>();
            tokio::spawn(async move {
                while let Ok(event) = receiver.recv_async().await {
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
