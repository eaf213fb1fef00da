//! What a dispatch costs the publisher, beside the floors that one would write by hand.
//!
//! The publisher is a task of the runtime, as a request handler is. It dispatches bursts of 64 events
//! and lets other tasks run after each, until all listeners have handled all of them; only the burst
//! is timed. 'inline' runs the listeners inside the dispatch.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{broadcast, mpsc},
    task::yield_now,
};
use vacancy::dispatch::{BoxError, Bus, Event, Listener};
use vacancy_benches::{Contender, ROUNDS, Table, alternate};

const BURST: u64 = 64;
const LISTENERS: [usize; 5] = [0, 1, 3, 10, 100];
const BASELINE: &str = "mpsc + task per listener";

/// 96 bytes inline and an owned string, like a booking event.
struct Booked {
    numbers: [u64; 9],
    note: String,
}

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

impl Booked {
    fn new(number: u64) -> Self {
        Self {
            numbers: [number; 9],
            note: String::from("an appointment"),
        }
    }

    fn read(&self) -> u64 {
        self.numbers[0] + self.numbers[8] + self.note.len() as u64
    }
}

/// Counts what listeners handled, so that a burst can be awaited.
#[derive(Clone, Default)]
struct Handled(Arc<AtomicU64>);

impl Handled {
    fn note(&self, event: &Booked) {
        black_box(event.read());
        self.0.fetch_add(1, Ordering::Release);
    }
}

struct Count {
    name: String,
    handled: Handled,
}

impl Listener<Booked> for Count {
    async fn handle(&self, event: &Booked) -> Result<(), BoxError> {
        self.handled.note(event);
        Ok(())
    }

    fn name(&self) -> std::borrow::Cow<'static, str> {
        self.name.clone().into()
    }
}

/// A contender whose rounds give the mean time of one `dispatch` in ns, over `bursts` bursts.
fn contender<'a>(
    name: &str,
    runtime: &'a Runtime,
    bursts: u64,
    listeners: usize,
    handled: Handled,
    dispatch: impl FnMut(Booked) + Clone + Send + 'static,
) -> Contender<'a> {
    Contender::new(name, move || {
        let (handled, mut dispatch) = (handled.clone(), dispatch.clone());
        let publisher = runtime.spawn(async move {
            let mut busy = Duration::ZERO;
            for _ in 0..bursts {
                let mut events: Vec<Booked> = (0..BURST).map(Booked::new).collect();
                let due = handled.0.load(Ordering::Acquire) + BURST * listeners as u64;
                let begun = Instant::now();
                for event in events.drain(..) {
                    dispatch(event);
                }
                busy += begun.elapsed();
                while handled.0.load(Ordering::Acquire) < due {
                    yield_now().await;
                }
            }
            busy.as_nanos() as f64 / (bursts * BURST) as f64
        });
        runtime.block_on(publisher).expect("no contender panics")
    })
}

fn vacancy<'a>(runtime: &'a Runtime, bursts: u64, listeners: usize) -> Contender<'a> {
    let handled = Handled::default();
    let bus = runtime.block_on(async {
        let count = |name| Count {
            name: format!("count {name}"),
            handled: handled.clone(),
        };
        (0..listeners)
            .fold(Bus::builder(), |bus, name| bus.listen(count(name)))
            .build()
    });
    let bus = bus.expect("the listeners fit together");
    contender(
        "vacancy",
        runtime,
        bursts,
        listeners,
        handled.clone(),
        move |event| drop(bus.dispatch(event)),
    )
}

fn spawned<'a>(runtime: &'a Runtime, bursts: u64, listeners: usize) -> Contender<'a> {
    let handled = Handled::default();
    contender(
        "spawn a task per listener",
        runtime,
        bursts,
        listeners,
        handled.clone(),
        move |event| {
            let event = Arc::new(event);
            for _ in 0..listeners {
                let (event, handled) = (Arc::clone(&event), handled.clone());
                tokio::spawn(async move { handled.note(&event) });
            }
        },
    )
}

fn channels<'a>(runtime: &'a Runtime, bursts: u64, listeners: usize) -> Contender<'a> {
    let handled = Handled::default();
    let senders: Vec<_> = (0..listeners)
        .map(|_| {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Arc<Booked>>();
            let handled = handled.clone();
            runtime.spawn(async move {
                while let Some(event) = receiver.recv().await {
                    handled.note(&event);
                }
            });
            sender
        })
        .collect();
    contender(
        BASELINE,
        runtime,
        bursts,
        listeners,
        handled.clone(),
        move |event| {
            let event = Arc::new(event);
            for sender in &senders {
                let _ = sender.send(Arc::clone(&event));
            }
        },
    )
}

fn broadcasts<'a>(runtime: &'a Runtime, bursts: u64, listeners: usize) -> Contender<'a> {
    let handled = Handled::default();
    let (sender, _) = broadcast::channel::<Arc<Booked>>(1024);
    for _ in 0..listeners {
        let (handled, mut receiver) = (handled.clone(), sender.subscribe());
        runtime.spawn(async move {
            while let Ok(event) = receiver.recv().await {
                handled.note(&event);
            }
        });
    }
    contender(
        "tokio broadcast",
        runtime,
        bursts,
        listeners,
        handled.clone(),
        move |event| {
            let _ = sender.send(Arc::new(event));
        },
    )
}

type Callback = Arc<dyn Fn(&Booked) + Send + Sync>;

fn inline<'a>(runtime: &'a Runtime, bursts: u64, listeners: usize) -> Contender<'a> {
    let handled = Handled::default();
    let callbacks: Vec<Callback> = (0..listeners)
        .map(|_| {
            let handled = handled.clone();
            Arc::new(move |event: &Booked| handled.note(event)) as Callback
        })
        .collect();
    contender(
        "Arc<dyn Fn>, inline",
        runtime,
        bursts,
        listeners,
        handled.clone(),
        move |event| {
            for callback in &callbacks {
                callback(&event);
            }
        },
    )
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made here");
    let mut table = Table::new("ns a dispatch, bursts of 64", BASELINE);
    for listeners in LISTENERS {
        let bursts = (2000 / (listeners as u64 + 1)).clamp(60, 400);
        let contenders = vec![
            vacancy(&runtime, bursts, listeners),
            spawned(&runtime, bursts, listeners),
            channels(&runtime, bursts, listeners),
            broadcasts(&runtime, bursts, listeners),
            inline(&runtime, bursts, listeners),
        ];
        table.column(
            format!("{listeners} listeners"),
            alternate(contenders, ROUNDS),
        );
    }
    println!("{table}");
}
