//! A floor: one task for each listener of each event.

use std::{future::ready, sync::Arc};

use crate::dispatch::{Booked, Dispatcher, Work};

#[derive(Clone)]
pub(super) struct Tasks(Arc<[Work]>);

impl Dispatcher for Tasks {
    const NAME: &'static str = "floor: spawn a task per listener";

    async fn start(works: Vec<Work>) -> Self {
        Self(works.into())
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let event = Arc::new(event);
        for work in &*self.0 {
            let (event, work) = (Arc::clone(&event), work.clone());
            tokio::spawn(async move { work.run(&event) });
        }
        ready(())
    }
}
