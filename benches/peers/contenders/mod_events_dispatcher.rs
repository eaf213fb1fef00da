//! mod-events: fire and forget to synchronous listeners, inline.

use std::{any::Any, future::ready, sync::Arc};

use mod_events::{Event, EventDispatcher};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

#[derive(Debug)]
struct Fact(Booked);

impl Event for Fact {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Clone)]
pub(crate) struct ModEvents(Arc<EventDispatcher>);

impl Dispatcher for ModEvents {
    const NAME: &'static str = "mod-events (inline)";

    async fn start(works: Vec<Work>) -> Self {
        let dispatcher = EventDispatcher::new();
        for work in works {
            dispatcher.on(move |fact: &Fact| work.run(&fact.0));
        }
        Self(Arc::new(dispatcher))
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        self.0.emit(Fact(event));
        ready(())
    }
}
