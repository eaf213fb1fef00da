//! evno: a typed emitter, which spares it looking up the type, and a ring that never fills.

use std::future::ready;

use evno::{Bus, Guard, ToEmitter, TypedEmit, from_fn};
use vacancy_benches::dispatch::{Booked, Dispatcher, Work};

/// More than are ever on their way: a full ring makes the publisher wait.
const CAPACITY: usize = 1024;

#[derive(Clone)]
pub(crate) struct Evno {
    emitter: <Bus as ToEmitter>::Emitter<Booked>,
    _bus: Bus,
}

impl Dispatcher for Evno {
    const NAME: &'static str = "evno";

    async fn start(works: Vec<Work>) -> Self {
        let bus = Bus::new(CAPACITY);
        for work in works {
            bus.on(from_fn(move |event: Guard<Booked>| {
                work.run(&event);
                ready(())
            }));
        }
        Self {
            emitter: bus.to_emitter::<Booked>(),
            _bus: bus,
        }
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        self.emitter.emit(event)
    }
}
