//! How many events a second all listeners have handled.
//!
//! Publishers are tasks of the runtime and publish as fast as the window lets them: few enough events are on their way
//! at once that no queue overflows, for those whose queues have no bound as well.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use crate::{
    Contender,
    dispatch::{Booked, Dispatcher, field::Field},
};

/// How many events a publisher publishes before it looks at the window and the clock.
const CHUNK: u64 = 64;

/// How long publishers publish in one round.
const ROUND: Duration = Duration::from_millis(60);

/// Who publishes to how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    listeners: usize,
    publishers: usize,
    /// Whether publishers let other tasks run after each event.
    yields: bool,
}

pub(crate) const SHAPES: [Shape; 7] = [
    Shape::new(1, 1),
    Shape::new(3, 1),
    Shape::new(10, 1),
    Shape::new(1, 2),
    Shape::new(3, 2),
    Shape::new(10, 2),
    Shape {
        yields: true,
        ..Shape::new(3, 2)
    },
];

impl Shape {
    const fn new(listeners: usize, publishers: usize) -> Self {
        Self {
            listeners,
            publishers,
            yields: false,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yields = if self.yields { ", yielding" } else { "" };
        write!(f, "{}L {}P{yields}", self.listeners, self.publishers)
    }
}

/// Rounds that give thousands of events a second.
pub(crate) fn contender<D: Dispatcher>(shape: Shape) -> Contender<'static> {
    let field = Field::<D>::new(shape.listeners);
    Contender::new(D::NAME, move || {
        let begun = Instant::now();
        let publishers: Vec<_> = (0..shape.publishers)
            .map(|_| {
                let mut dispatcher = field.dispatcher.clone();
                let traffic = Arc::clone(&field.traffic);
                field.runtime.spawn(async move {
                    let mut published = 0;
                    while begun.elapsed() < ROUND {
                        traffic.admit(CHUNK).await;
                        for number in 0..CHUNK {
                            dispatcher.dispatch(Booked::new(number)).await;
                            if shape.yields {
                                yield_now().await;
                            }
                        }
                        published += CHUNK;
                    }
                    published
                })
            })
            .collect();
        let traffic = Arc::clone(&field.traffic);
        let published: u64 = field.runtime.block_on(async {
            let mut published = 0;
            for publisher in publishers {
                published += publisher.await.expect("no contender panics");
            }
            // On a worker: the thread that called this would take a core from them.
            let drained = field.runtime.spawn(async move { traffic.drained().await });
            drained.await.expect("no event is lost");
            published
        });
        published as f64 / begun.elapsed().as_secs_f64() / 1000.0
    })
}
