//! Ours: the default policy, and the receipt dropped; as it is by default, and prompt.

use std::{borrow::Cow, future::ready};

use vacancy::dispatch::{BoxError, Bus, Event, Listener, Wake};

use crate::dispatch::{Booked, Dispatcher, OURS, Work};

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

struct Count {
    name: String,
    work: Work,
}

impl Listener<Booked> for Count {
    async fn handle(&self, event: &Booked) -> Result<(), BoxError> {
        self.work.run(event);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        self.name.clone().into()
    }
}

#[derive(Clone)]
pub(super) struct Vacancy<const PROMPT: bool>(Bus);

impl<const PROMPT: bool> Dispatcher for Vacancy<PROMPT> {
    const NAME: &'static str = if PROMPT { "vacancy, prompt" } else { OURS };

    async fn start(works: Vec<Work>) -> Self {
        let mut bus = Bus::builder().wake(if PROMPT { Wake::Prompt } else { Wake::Thrifty });
        for (number, work) in works.into_iter().enumerate() {
            let name = format!("count {number}");
            bus = bus.listen(Count { name, work });
        }
        Self(bus.build().expect("the listeners fit together"))
    }

    fn dispatch(&mut self, event: Booked) -> impl Future<Output = ()> + Send {
        drop(self.0.dispatch(event));
        ready(())
    }
}
