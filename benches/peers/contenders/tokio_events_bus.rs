//! tokio-events, tuned for throughput and without tracing.

use std::{future::ready, sync::Arc};

use tokio_events::{Error, Event, EventBus, EventBusBuilder, Result, SubscriptionHandle};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

/// Cheap to clone, which it is for every listener.
#[derive(Debug, Clone)]
struct Fact(Arc<Booked>);

impl Event for Fact {
    fn event_type() -> &'static str {
        "appointment.booked"
    }

    fn serialize_event(&self) -> Result<Vec<u8>> {
        Err(Error::SerializationError("it stays in memory".to_owned()))
    }

    fn deserialize_event(_: &[u8]) -> Result<Self> {
        Err(Error::SerializationError("it stays in memory".to_owned()))
    }
}

#[derive(Clone)]
pub(crate) struct TokioEvents {
    bus: EventBus,
    // A listener ends with its handle.
    _listeners: Arc<[SubscriptionHandle]>,
}

impl Dispatcher for TokioEvents {
    const NAME: &'static str = "tokio-events";

    async fn start(works: Vec<Work>) -> Self {
        let bus = EventBusBuilder::new()
            .high_throughput()
            .configure(|config| config.enable_tracing(false))
            .build()
            .await
            .expect("the settings fit together");
        let mut listeners = Vec::with_capacity(works.len());
        for work in works {
            let handle = bus
                .subscribe(move |fact: Fact| {
                    work.run(&fact.0);
                    ready(())
                })
                .await;
            listeners.push(handle.expect("the bus is open"));
        }
        Self {
            bus,
            _listeners: listeners.into(),
        }
    }

    async fn dispatch(&mut self, event: Booked) {
        let published = self.bus.publish(Fact(Arc::new(event))).await;
        published.expect("the bus is open");
    }
}
