//! The floor of all: the listeners are called in place.

use std::{future::ready, sync::Arc};

use crate::dispatch::{Booked, Dispatcher, Work};

type Callback = Arc<dyn Fn(&Booked) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Callbacks(Arc<[Callback]>);

impl Dispatcher for Callbacks {
    const NAME: &'static str = "floor: Arc<dyn Fn> (inline)";

    async fn start(works: Vec<Work>) -> Self {
        let callbacks = works.into_iter();
        Self(
            callbacks
                .map(|work| Arc::new(move |event: &Booked| work.run(event)) as Callback)
                .collect(),
        )
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        for callback in &*self.0 {
            callback(&event);
        }
        ready(())
    }
}
