//! ractor's output port, the second version, which loses nothing.

use std::{future::ready, sync::Arc};

use ractor::{Actor, ActorProcessingErr, ActorRef, OutputPort};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

struct Count;

impl Actor for Count {
    type Msg = Arc<Booked>;
    type State = Work;
    type Arguments = Work;

    async fn pre_start(
        &self,
        _this: ActorRef<Arc<Booked>>,
        work: Work,
    ) -> Result<Work, ActorProcessingErr> {
        Ok(work)
    }

    async fn handle(
        &self,
        _this: ActorRef<Arc<Booked>>,
        event: Arc<Booked>,
        work: &mut Work,
    ) -> Result<(), ActorProcessingErr> {
        work.run(&event);
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Ractor(Arc<OutputPort<Arc<Booked>>>);

impl Dispatcher for Ractor {
    const NAME: &'static str = "ractor OutputPort v2";

    async fn start(works: Vec<Work>) -> Self {
        let port = OutputPort::default();
        for work in works {
            let (listener, _) = Actor::spawn(None, Count, work)
                .await
                .expect("the actor starts");
            port.subscribe(listener, Some);
        }
        Self(Arc::new(port))
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        self.0.send(Arc::new(event));
        ready(())
    }
}
