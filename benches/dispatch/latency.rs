//! How long after the dispatch the last listener starts.
//!
//! One event at a time: the publisher waits for the last listener of one before it dispatches the next.

use std::{
    fmt,
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use crate::{
    Contender, Sample,
    dispatch::{
        Booked, Dispatcher,
        field::{Field, Traffic},
    },
};

pub(crate) const LISTENERS: [usize; 2] = [1, 10];
pub(crate) const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];

/// How long one round lasts at most.
const ROUND: Duration = Duration::from_millis(200);

/// How many events one round measures at most.
const PROBES: usize = 20_000;

/// One event of the background comes so long after the other.
const BACKGROUND: Duration = Duration::from_micros(20);

const COMPUTING: Duration = Duration::from_micros(50);

/// Long enough for workers without work to fall asleep.
const PAUSE: Duration = Duration::from_micros(100);

/// What else goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Nothing.
    Idle,
    /// Another task dispatches at a steady rate.
    Busy,
    /// Nothing, and the publisher goes on computing before it waits.
    Computing,
    /// Nothing, and the publisher is a thread outside of the runtime, whose workers sleep.
    Parked,
}

pub(crate) const SETTINGS: [Setting; 4] = [
    Setting::Idle,
    Setting::Busy,
    Setting::Computing,
    Setting::Parked,
];

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Busy => "beside an event every 20 µs",
            Self::Computing => "from a task that goes on computing for 50 µs",
            Self::Parked => "from a thread, workers asleep",
        })
    }
}

/// Rounds that give the quantiles of the time in ns.
pub(crate) fn contender<D: Dispatcher>(
    setting: Setting,
    listeners: usize,
) -> Contender<'static, [f64; QUANTILES.len()]> {
    let field = Field::<D>::new(listeners);
    Contender::new(D::NAME, move || {
        let dispatcher = field.dispatcher.clone();
        let traffic = Arc::clone(&field.traffic);
        let latencies = match setting {
            Setting::Idle => {
                let probes = field
                    .runtime
                    .spawn(probe(dispatcher, traffic, || (), || ()));
                field.runtime.block_on(probes)
            }
            Setting::Computing => {
                let probes = field
                    .runtime
                    .spawn(probe(dispatcher, traffic, || (), compute));
                field.runtime.block_on(probes)
            }
            Setting::Busy => {
                let over = Arc::new(AtomicBool::new(false));
                let background = field.runtime.spawn(background(
                    dispatcher.clone(),
                    Arc::clone(&traffic),
                    Arc::clone(&over),
                ));
                let probes = field
                    .runtime
                    .spawn(probe(dispatcher, traffic, || (), || ()));
                let latencies = field.runtime.block_on(probes);
                over.store(true, Ordering::Relaxed);
                field
                    .runtime
                    .block_on(background)
                    .expect("no contender panics");
                latencies
            }
            Setting::Parked => Ok(field.runtime.block_on(probe(
                dispatcher,
                traffic,
                || thread::sleep(PAUSE),
                || (),
            ))),
        };
        let sample = Sample::of(D::NAME, latencies.expect("no contender panics"));
        QUANTILES.map(|(fraction, _)| sample.quantile(fraction))
    })
}

async fn probe<D: Dispatcher>(
    mut dispatcher: D,
    traffic: Arc<Traffic>,
    pause: impl Fn(),
    goes_on: impl Fn(),
) -> Vec<f64> {
    let (listeners, starts) = (traffic.handled.listeners(), traffic.handled.starts());
    let mut latencies = Vec::with_capacity(PROBES);
    let round = Instant::now();
    while latencies.len() < PROBES && round.elapsed() < ROUND {
        pause();
        let event = Booked::probe();
        traffic.admit(1).await;
        starts.expect(listeners);
        let begun = starts.now();
        dispatcher.dispatch(event).await;
        goes_on();
        latencies.push((starts.last().await - begun) as f64);
    }
    latencies
}

/// What a publisher does that does not wait yet.
fn compute() {
    let begun = Instant::now();
    while begun.elapsed() < COMPUTING {
        spin_loop();
    }
}

async fn background<D: Dispatcher>(
    mut dispatcher: D,
    traffic: Arc<Traffic>,
    over: Arc<AtomicBool>,
) {
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        if Instant::now() < due {
            yield_now().await;
            continue;
        }
        due += BACKGROUND;
        traffic.admit(1).await;
        dispatcher.dispatch(Booked::new(0)).await;
    }
    traffic.drained().await;
}
