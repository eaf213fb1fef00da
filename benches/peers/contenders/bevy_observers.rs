//! bevy's observers, inline. The world is behind a mutex: triggering needs it whole.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use bevy_ecs::prelude::{Event, On, World};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

#[derive(Event)]
struct Fact(Booked);

#[derive(Clone)]
pub(crate) struct Bevy(Arc<Mutex<World>>);

impl Dispatcher for Bevy {
    const NAME: &'static str = "bevy observers (inline)";

    async fn start(works: Vec<Work>) -> Self {
        let mut world = World::new();
        for work in works {
            world.add_observer(move |fact: On<Fact>| work.run(&fact.0));
        }
        world.flush();
        Self(Arc::new(Mutex::new(world)))
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        let mut world = self.0.lock().expect("no observer panics");
        world.trigger(Fact(event));
        ready(())
    }
}
