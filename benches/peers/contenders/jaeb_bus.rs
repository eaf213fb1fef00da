//! jaeb: asynchronous handlers, each call of which is a task.

use jaeb::{EventBus, EventHandler, HandlerResult};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

struct Count(Work);

impl EventHandler<Booked> for Count {
    async fn handle(&self, event: &Booked, _bus: &EventBus) -> HandlerResult {
        self.0.run(event);
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Jaeb(EventBus);

impl Dispatcher for Jaeb {
    const NAME: &'static str = "jaeb (async)";

    async fn start(works: Vec<Work>) -> Self {
        let bus = EventBus::builder().build().await;
        let bus = bus.expect("the defaults fit together");
        for work in works {
            let subscribed = bus.subscribe::<Booked, _, _>(Count(work)).await;
            let _ = subscribed.expect("the bus is open");
        }
        Self(bus)
    }

    async fn dispatch(&mut self, event: Booked) {
        self.0.publish(event).await.expect("the bus is open");
    }
}
