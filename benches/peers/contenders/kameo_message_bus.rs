//! kameo's message bus: delivery that does not wait, to mailboxes that are never full.

use std::{future::ready, sync::Arc};

use kameo::{
    actor::{ActorRef, Spawn},
    error::Infallible,
    mailbox,
    message::{Context, Message},
};
use kameo_actors::{
    DeliveryStrategy,
    message_bus::{MessageBus, Publish, Register},
};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

struct Count(Work);

impl kameo::Actor for Count {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(count: Self, _this: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(count)
    }
}

impl Message<Arc<Booked>> for Count {
    type Reply = ();

    async fn handle(&mut self, event: Arc<Booked>, _: &mut Context<Self, ()>) {
        self.0.run(&event);
    }
}

#[derive(Clone)]
pub(crate) struct Kameo(ActorRef<MessageBus>);

impl Dispatcher for Kameo {
    const NAME: &'static str = "kameo MessageBus";

    async fn start(works: Vec<Work>) -> Self {
        let bus = MessageBus::new(DeliveryStrategy::BestEffort);
        let bus = MessageBus::spawn_with_mailbox(bus, mailbox::unbounded());
        for work in works {
            let listener = Count::spawn_with_mailbox(Count(work), mailbox::unbounded());
            let registered = bus.ask(Register(listener.recipient::<Arc<Booked>>())).await;
            registered.expect("the bus runs");
        }
        Self(bus)
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let published = self.0.tell(Publish(Arc::new(event))).try_send();
        published.expect("the bus runs");
        ready(())
    }
}
