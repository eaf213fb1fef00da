//! What the bus reports to the `metrics` facade. The names stand at [`Bus::record_metrics`].
//!
//! # Invariants
//!
//! 1. What the ledger counts is read from it when it is asked for, and costs a dispatch nothing.
//! 2. What only each step tells, the times and the retries, comes from an observer. Its instruments are
//!    fixed when the bus is built: one for every listener, so no label grows with use.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tokio::time::Instant;

use crate::{Bus, BusBuilder, Entry, EventId, Observer, Reason, Row, Stage, Step};

const ACCEPTED: &str = "dispatch_accepted_total";
const REPLAYED: &str = "dispatch_replayed_total";
const OUTCOMES: &str = "dispatch_outcomes_total";
const WAITING: &str = "dispatch_waiting_events";
const RUNNING: &str = "dispatch_running_events";
const PAUSED: &str = "dispatch_paused_lanes";
const CAPACITY: &str = "dispatch_capacity_events";
const DEAD_LETTERS: &str = "dispatch_dead_letters";
const EVICTED: &str = "dispatch_dead_letters_evicted_total";
const REFUSED: &str = "dispatch_refused_total";
const UNHEARD: &str = "dispatch_unheard_total";
const UNTOLD: &str = "dispatch_untold_total";
const LAG: &str = "dispatch_lag_seconds";
const HANDLING: &str = "dispatch_handling_seconds";
const RETRIES: &str = "dispatch_retries_total";

impl BusBuilder {
    /// Times every step of every event, for the recorder of the `metrics` crate. Default: off.
    ///
    /// Adds the histograms and the counter that [`Bus::record_metrics`] lists as told by each step. The
    /// recorder must be installed before [`build`](Self::build). Each step costs two look-ups by name
    /// and a short lock.
    pub fn metrics(mut self) -> Self {
        self.stopwatches = Some(|rows| Box::new(Stopwatches::new(rows)));
        self
    }
}

impl Bus {
    /// Reports what the bus has counted to the recorder of the `metrics` crate.
    ///
    /// Call it before each scrape. It costs a dispatch nothing, and itself about as much as
    /// [`ledger`](Self::ledger). A series is there from the first report on, at 0 if nothing has
    /// happened, so that a rate sees the first event of its kind.
    ///
    /// | Name | Kind | Labels | Meaning |
    /// | --- | --- | --- | --- |
    /// | `dispatch_accepted_total` | counter | `event`, `listener` | events that the listener was to handle |
    /// | `dispatch_replayed_total` | counter | `event`, `listener` | dead letters that were replayed to it, accepted once more |
    /// | `dispatch_outcomes_total` | counter | `event`, `listener`, `outcome`, `reason` | events by [`Outcome`](crate::Outcome); `reason` says why one is `dead`, and is `none` for the others |
    /// | `dispatch_waiting_events` | gauge | `event`, `listener` | events without an outcome, those being handled among them |
    /// | `dispatch_running_events` | gauge | `event`, `listener` | events that are being handled in the lane |
    /// | `dispatch_capacity_events` | gauge | `event`, `listener` | how many may wait in the lane |
    /// | `dispatch_paused_lanes` | gauge | `event`, `listener` | 1 while the lane is [paused](Self::pause), otherwise 0 |
    /// | `dispatch_dead_letters` | gauge | | dead letters that are kept |
    /// | `dispatch_dead_letters_evicted_total` | counter | | dead letters that made room for newer ones |
    /// | `dispatch_refused_total` | counter | | events dispatched after the bus was closed |
    /// | `dispatch_unheard_total` | counter | | events dispatched that nobody is registered for |
    /// | `dispatch_untold_total` | counter | | dead letters that [`Failed`](crate::Failed) did not tell of |
    ///
    /// Each step tells these, if [`BusBuilder::metrics`] asked for them:
    ///
    /// | Name | Kind | Labels | Meaning |
    /// | --- | --- | --- | --- |
    /// | `dispatch_lag_seconds` | histogram | `event`, `listener` | from acceptance to the first call of a listener in a lane |
    /// | `dispatch_handling_seconds` | histogram | `event`, `listener` | one call of a listener, each attempt by itself; of a batch, once for each of its events |
    /// | `dispatch_retries_total` | counter | `event`, `listener` | attempts that failed and were followed by another |
    ///
    /// The outcomes are `done`, `dead`, `dropped`, `skipped`, `coalesced` and `abandoned`; the reasons
    /// `failed`, `panicked`, `timed_out`, `overflowed` and `causation_too_deep`.
    ///
    /// The counters are absolute: two buses that report one listener of one event to one recorder hide
    /// each other. Give each a recorder of its own, or their listeners different names.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vacancy_dispatch::{BoxError, Bus, Event, listen_fn};
    /// # struct Booked;
    /// # impl Event for Booked {
    /// #     const NAME: &'static str = "appointment.booked";
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let mail = listen_fn::<Booked, _, _>("mail", |_| async { Ok(()) });
    /// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    ///
    /// // Without buckets, times are summaries, which cannot be added up over processes.
    /// let seconds = Matcher::Suffix("_seconds".into());
    /// let exporter = PrometheusBuilder::new()
    ///     .set_buckets_for_metric(seconds, &[0.001, 0.01, 0.1, 1.0, 10.0])?
    ///     .install_recorder()?;
    /// let bus = Bus::builder().listen(mail).metrics().build()?;
    /// bus.dispatch(Booked).settled().await;
    ///
    /// bus.record_metrics(); // at GET /metrics
    /// let text = exporter.render();
    /// assert!(text.contains("dispatch_lag_seconds_count"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_metrics(&self) {
        describe_counts();
        let ledger = self.ledger();
        ledger.entries.iter().for_each(record);
        for lane in self.lanes() {
            let listener = || lane.listener.clone();
            let set = |name, value| {
                gauge!(name, "event" => lane.event, "listener" => listener()).set(value);
            };
            set(RUNNING, lane.running as f64);
            set(PAUSED, f64::from(u8::from(lane.paused)));
        }
        for row in self.topology().rows().iter().filter(|row| row.enabled) {
            if let (Some(listener), Some(lane)) = (&row.listener, &row.lane) {
                gauge!(CAPACITY, "event" => row.event, "listener" => listener.clone())
                    .set(lane.capacity.get() as f64);
            }
        }
        gauge!(DEAD_LETTERS).set(self.dead_letters().len() as f64);
        counter!(EVICTED).absolute(ledger.dead_letters_evicted);
        counter!(REFUSED).absolute(ledger.refused);
        counter!(UNHEARD).absolute(ledger.unheard);
        counter!(UNTOLD).absolute(ledger.untold);
    }
}

fn record(entry: &Entry) {
    let outcomes = [
        ("done", entry.done),
        ("dropped", entry.dropped),
        ("skipped", entry.skipped),
        ("coalesced", entry.coalesced),
        ("abandoned", entry.abandoned),
    ];
    let outcomes = outcomes.map(|(outcome, count)| (outcome, "none", count));
    let dead = entry
        .reasons()
        .map(|(reason, count)| ("dead", label(reason), count));
    let listener = || entry.listener.clone();
    for (outcome, reason, count) in outcomes.into_iter().chain(dead) {
        counter!(
            OUTCOMES,
            "event" => entry.event,
            "listener" => listener(),
            "outcome" => outcome,
            "reason" => reason,
        )
        .absolute(count);
    }
    counter!(ACCEPTED, "event" => entry.event, "listener" => listener()).absolute(entry.accepted);
    counter!(REPLAYED, "event" => entry.event, "listener" => listener()).absolute(entry.replayed);
    gauge!(WAITING, "event" => entry.event, "listener" => listener()).set(entry.waiting() as f64);
}

fn label(reason: Reason) -> &'static str {
    match reason {
        Reason::Failed => "failed",
        Reason::Panicked => "panicked",
        Reason::TimedOut => "timed_out",
        Reason::Overflowed => "overflowed",
        Reason::CausationTooDeep => "causation_too_deep",
    }
}

fn describe_counts() {
    let counters = [
        (ACCEPTED, "Events that the listener was to handle"),
        (REPLAYED, "Dead letters that were replayed to the listener"),
        (OUTCOMES, "Events by how they ended at the listener"),
        (EVICTED, "Dead letters that made room for newer ones"),
        (REFUSED, "Events dispatched after the bus was closed"),
        (UNHEARD, "Events dispatched that nobody is registered for"),
        (UNTOLD, "Dead letters that Failed did not tell of"),
    ];
    for (name, meaning) in counters {
        describe_counter!(name, Unit::Count, meaning);
    }
    let gauges = [
        (WAITING, "Events that have no outcome at the listener yet"),
        (RUNNING, "Events that are being handled in the lane"),
        (PAUSED, "1 while the lane is paused"),
        (CAPACITY, "How many events may wait in the lane"),
        (DEAD_LETTERS, "Dead letters that are kept"),
    ];
    for (name, meaning) in gauges {
        describe_gauge!(name, Unit::Count, meaning);
    }
}

/// Times the calls of each listener.
pub(crate) struct Stopwatches(HashMap<&'static str, HashMap<Cow<'static, str>, Stopwatch>>);

/// Times the calls of one listener of one event.
struct Stopwatch {
    /// None for an inline listener, which does not wait.
    lag: Option<Histogram>,
    handling: Histogram,
    retries: Counter,
    /// When the calls under way began: at most as many as the listener may handle at once.
    begun: Mutex<HashMap<EventId, Instant>>,
}

impl Stopwatches {
    /// One for every listener of these rows, reporting to the present recorder.
    pub(crate) fn new(rows: &[Row]) -> Self {
        let times = [
            (LAG, "From acceptance to the first call of the listener"),
            (HANDLING, "One call of the listener"),
        ];
        for (name, meaning) in times {
            describe_histogram!(name, Unit::Seconds, meaning);
        }
        let retries = "Attempts that failed and were followed by another";
        describe_counter!(RETRIES, Unit::Count, retries);
        let mut stopwatches: HashMap<_, HashMap<_, _>> = HashMap::new();
        for row in rows.iter().filter(|row| row.enabled) {
            if let Some(listener) = &row.listener {
                let of_event = stopwatches.entry(row.event).or_default();
                of_event.insert(listener.clone(), Stopwatch::new(row, listener.clone()));
            }
        }
        Self(stopwatches)
    }
}

impl Stopwatch {
    fn new(row: &Row, listener: Cow<'static, str>) -> Self {
        let lane = row.lane.is_some();
        let (event, listener) = (row.event, || listener.clone());
        let lag = || histogram!(LAG, "event" => event, "listener" => listener());
        Self {
            lag: lane.then(lag),
            handling: histogram!(HANDLING, "event" => event, "listener" => listener()),
            retries: counter!(RETRIES, "event" => event, "listener" => listener()),
            begun: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EventId, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, id: EventId) {
        let begun = self.lock().remove(&id);
        // An event that never reached its listener took no time there.
        if let Some(begun) = begun {
            self.handling.record(begun.elapsed());
        }
    }
}

impl Observer for Stopwatches {
    fn observe(&self, step: &Step<'_>) {
        let listeners = self.0.get(step.event);
        let stopwatch = step.listener.and_then(|listener| listeners?.get(listener));
        let Some(stopwatch) = stopwatch else {
            return;
        };
        match step.stage {
            Stage::Started { attempt } => {
                if let Some(lag) = &stopwatch.lag
                    && attempt == 1
                {
                    // A clock that was set back makes it 0.
                    let waited = SystemTime::now().duration_since(step.accepted_at);
                    lag.record(waited.unwrap_or_default());
                }
                stopwatch.lock().insert(step.id, Instant::now());
            }
            Stage::Retrying { .. } => {
                stopwatch.retries.increment(1);
                stopwatch.ended(step.id);
            }
            Stage::Ended { .. } => stopwatch.ended(step.id),
            Stage::Dispatched | Stage::Refused => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;
    use crate::{Event, inline_fn, listen_fn};

    struct Ping;

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    /// The lags that are recorded when an event is accepted in 1970, on its second attempt, and when
    /// one is accepted in the future.
    fn lags(bus: BusBuilder) -> Vec<f64> {
        let bus = bus.build().expect("one listener fits together");
        let recorder = DebuggingRecorder::new();
        let rows = bus.topology();
        let stopwatches = metrics::with_local_recorder(&recorder, || Stopwatches::new(rows.rows()));
        let step = Step {
            event: "ping",
            id: EventId::new(1, 1),
            cause: None,
            replay_of: None,
            accepted_at: SystemTime::UNIX_EPOCH,
            listener: Some("mail"),
            stage: Stage::Started { attempt: 1 },
        };
        stopwatches.observe(&step);
        stopwatches.observe(&Step {
            stage: Stage::Started { attempt: 2 },
            ..step.clone()
        });
        stopwatches.observe(&Step {
            accepted_at: SystemTime::now() + Duration::from_secs(3600),
            ..step
        });
        let mut lags = Vec::new();
        for (key, _, _, value) in recorder.snapshotter().snapshot().into_vec() {
            if let (LAG, DebugValue::Histogram(values)) = (key.key().name(), value) {
                lags.extend(values.into_iter().map(f64::from));
            }
        }
        lags
    }

    #[tokio::test]
    async fn the_lag_counts_from_acceptance_once_and_is_never_negative() {
        let mail = listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) });
        let lags = lags(Bus::builder().listen(mail));
        let [since_1970, before_its_time] = lags[..] else {
            panic!("two first attempts have two lags: {lags:?}");
        };
        assert!(since_1970 > 1e9);
        assert!(before_its_time <= 0.0);
    }

    #[tokio::test]
    async fn an_inline_listener_has_no_lag() {
        let mail = inline_fn("mail", |_: &Ping| ());
        assert!(lags(Bus::builder().inline(mail)).is_empty());
    }
}
