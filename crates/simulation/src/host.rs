//! A machine: tasks and a clock of its own, which may be paused.

use std::{fmt, time::Duration};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::Instant,
};

/// A machine: tasks and a clock of its own. Dropping it kills what runs there.
///
/// The clock runs at a rate of its own, as clocks do. It goes on while the machine is paused: the
/// tasks then find that time has passed in which they did not run.
pub struct Host {
    runtime: Runtime,
    /// The reading of its clock when it started, and when that was.
    origin: Instant,
    started: Duration,
    rate: f64,
    paused_until: Duration,
    /// Whether time has passed in which it did not run.
    missed: bool,
}

impl Host {
    /// A machine that starts at `now`, whose clock counts `rate` seconds a second.
    ///
    /// # Panics
    ///
    /// When the operating system refuses what a runtime needs.
    #[must_use]
    pub fn start(now: Duration, rate: f64) -> Self {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        #[cfg(vacancy_simulation)]
        builder
            // What `select!` picks at random.
            .rng_seed(tokio::runtime::RngSeed::from_bytes(
                &fastrand::u64(..).to_le_bytes(),
            ))
            .unhandled_panic(tokio::runtime::UnhandledPanic::ShutdownRuntime);
        let runtime = builder
            .build()
            .expect("a runtime without threads and sockets can be built");
        let origin = runtime.block_on(async { Instant::now() });
        Self {
            runtime,
            origin,
            started: now,
            rate,
            paused_until: Duration::ZERO,
            missed: false,
        }
    }

    /// Where to spawn what is to run here.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Does nothing until then, while the clock goes on.
    pub fn pause_until(&mut self, moment: Duration) {
        self.paused_until = self.paused_until.max(moment);
    }

    /// Whether it does nothing at `now`.
    #[must_use]
    pub fn is_paused(&self, now: Duration) -> bool {
        now < self.paused_until
    }

    /// Runs what there is to run until `now`, unless it is paused.
    pub fn run_until(&mut self, now: Duration) {
        if self.is_paused(now) {
            self.missed = true;
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        let target = self.origin + (now - self.started).mul_f64(self.rate);
        self.runtime.block_on(async {
            if missed {
                // At a stroke: nothing ran meanwhile, not even timers.
                let behind = target.saturating_duration_since(Instant::now());
                tokio::time::advance(behind).await;
            }
            tokio::time::sleep_until(target).await;
        });
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("rate", &self.rate)
            .field("paused_until", &self.paused_until)
            .finish_non_exhaustive()
    }
}
