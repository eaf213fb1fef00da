//! A replay that meets a shutdown (D7).

mod dispatch;

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use vacancy::dispatch::{Bus, Observer, Stage, Step, listen_fn};

/// Holds a replay up between its begin and its lane.
struct Holds {
    entered: Sender<()>,
    release: Mutex<Receiver<()>>,
}

impl Observer for Holds {
    fn observe(&self, step: &Step<'_>) {
        if step.replay_of.is_some() && matches!(step.stage, Stage::Dispatched) {
            let _ = self.entered.send(());
            let release = self.release.lock().expect("not poisoned");
            let _ = release.recv_timeout(Duration::from_secs(20));
        }
    }
}

/// D7: what is abandoned is named by the shutdown, or was not accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_a_shutdown_overtakes_is_named_or_refused() {
    let (enters, entered) = channel();
    let (release, waits) = channel();
    let bus = Bus::builder()
        .observe(Holds {
            entered: enters,
            release: Mutex::new(waits),
        })
        .listen(listen_fn::<Ping, _, _>("fails", |_| async {
            Err("always".into())
        }))
        .build()
        .expect("fits together");
    within(bus.dispatch(Ping(1)).settled()).await;
    let letter = bus.dead_letters().remove(0);
    let replaying = bus.clone();
    let replay = tokio::task::spawn_blocking(move || replaying.replay(&letter));
    entered
        .recv_timeout(Duration::from_secs(20))
        .expect("the replay begins");
    let report = within(bus.shutdown(Duration::from_millis(1))).await;
    drop(release);
    let replayed = within(replay).await.expect("does not panic");
    if let Ok(receipt) = &replayed {
        within(receipt.settled()).await;
    }
    let again = within(bus.shutdown(Duration::ZERO)).await;
    assert_eq!(report, again, "the second report differs");
    assert!(bus.ledger().balanced());
}
