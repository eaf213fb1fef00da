//! What an observer is told, when, and what it can break: nothing.

mod dispatch;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use dispatch::{Ping, within};
use vacancy::dispatch::{
    BoxError, Bus, Delivery, Observer, Outcome, Policy, Reason, Retry, Stage, Step, inline_fn,
    listen_fn,
};

/// Writes every step down as a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Observer for Lines {
    fn observe(&self, step: &Step<'_>) {
        let stage = match step.stage {
            Stage::Dispatched => "dispatched".to_owned(),
            Stage::Refused => "refused".to_owned(),
            Stage::Started { attempt } => format!("started {attempt}"),
            Stage::Retrying { attempt, error, .. } => format!("retrying {attempt}: {error}"),
            Stage::Ended {
                outcome, attempts, ..
            } => format!("{outcome} after {attempts}"),
            _ => "?".to_owned(),
        };
        let line = format!("{} {}: {stage}", step.event, step.listener.unwrap_or("-"));
        self.0.lock().expect("no test panics in here").push(line);
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no test panics in here"))
    }
}

fn twice() -> Policy<Ping> {
    Policy::new().retry(Retry::new(NonZeroU32::MIN.saturating_add(1)))
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_every_step_before_the_receipt_settles() {
    let lines = Lines::default();
    let bus = Bus::builder()
        .observe(lines.clone())
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen_with(
            listen_fn::<Ping, _, _>("mail", |_| async {
                let attempt = Delivery::current().map_or(0, |delivery| delivery.attempt());
                let answer: Result<(), BoxError> = match attempt {
                    1 => Err("busy".into()),
                    _ => Ok(()),
                };
                answer
            }),
            twice(),
        )
        .build()
        .expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert!(report.all_done());
    assert_eq!(
        lines.take(),
        [
            "ping -: dispatched",
            "ping fence: started 1",
            "ping fence: done after 1",
            "ping mail: started 1",
            "ping mail: retrying 1: busy",
            "ping mail: started 2",
            "ping mail: done after 2",
        ]
    );
}

#[tokio::test]
async fn an_observer_is_told_what_nobody_heard_and_what_was_refused() {
    let lines = Lines::default();
    let bus = Bus::builder()
        .observe(lines.clone())
        .build()
        .expect("fits together");
    drop(bus.dispatch(Ping(1)));
    within(bus.shutdown(Duration::ZERO)).await;
    drop(bus.dispatch(Ping(2)));
    assert_eq!(lines.take(), ["ping -: dispatched", "ping -: refused"]);
}

#[tokio::test]
async fn an_observer_that_panics_changes_nothing() {
    struct Broken;
    impl Observer for Broken {
        fn observe(&self, _: &Step<'_>) {
            panic!("an observer's mistake");
        }
    }
    let lines = Lines::default();
    let bus = Bus::builder()
        .observe(Broken)
        .observe(lines.clone())
        .listen(listen_fn::<Ping, _, _>("mail", |_| async {
            Err("no".into())
        }))
        .build()
        .expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert_eq!(report.outcome("mail"), Some(Outcome::Dead(Reason::Failed)));
    assert_eq!(bus.dead_letters().len(), 1);
    assert_eq!(
        lines.take(),
        [
            "ping -: dispatched",
            "ping mail: started 1",
            "ping mail: dead (failed) after 1"
        ]
    );
}
