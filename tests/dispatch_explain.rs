//! A bus with a flight recorder can say why each listener of an event ran, or did not.

mod dispatch;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use dispatch::{Ping, within};
use serde_json::json;
use tokio::{sync::Notify, time::advance};
use vacancy::dispatch::{
    BoxError, Bus, BusBuilder, Delivery, Event, EventId, Explanation, FlightRecorder,
    InvalidEventId, Observer, Outcome, Overflow, Policy, Reason, Receipt, Retry, Skip, Stage,
    Standing, Step, inline_fn, listen_fn,
};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// A bus with a recorder and one listener.
fn recorded(recorder: impl Into<FlightRecorder>) -> BusBuilder {
    Bus::builder().flight_recorder(recorder)
}

fn hangs(name: &'static str) -> impl vacancy::dispatch::Listener<Ping> {
    listen_fn::<Ping, _, _>(name, |_| std::future::pending())
}

fn explain(bus: &Bus, receipt: &Receipt) -> Explanation {
    bus.explain(receipt.id()).expect("it is kept")
}

fn standing(bus: &Bus, receipt: &Receipt, listener: &str) -> Standing {
    let explanation = explain(bus, receipt);
    let explained = explanation.listener(listener).expect("it listens");
    explained.standing.clone()
}

fn outcome(bus: &Bus, receipt: &Receipt, listener: &str) -> Outcome {
    match standing(bus, receipt, listener) {
        Standing::Ended { outcome, .. } => outcome,
        other => panic!("{listener} has not ended: {other:?}"),
    }
}

/// Fails twice, 5 ms each, and is done after a third time.
async fn fails_twice() -> Result<(), BoxError> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    match Delivery::current().map_or(0, |delivery| delivery.attempt()) {
        1 | 2 => Err("the calendar does not answer".into()),
        _ => Ok(()),
    }
}

/// Lets every task that can run do so.
async fn idle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn three_attempts() -> Policy<Ping> {
    let attempts = NonZeroU32::new(3).expect("not zero");
    Policy::new().retry(Retry::new(attempts).first_pause(Duration::from_secs(1)))
}

#[tokio::test(start_paused = true)]
async fn every_listener_is_told_of_with_times() {
    let before = SystemTime::now();
    let bus = recorded(FlightRecorder::default())
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen_with(
            listen_fn::<Ping, _, _>("sync", |_| fails_twice()),
            three_attempts(),
        )
        .listen(listen_fn::<Ping, _, _>("mail", |_| async {
            Err("no such mailbox".into())
        }))
        .listen(hangs("hangs"))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    assert_eq!(within(receipt.reached("sync")).await, Ok(Outcome::Done));
    let explanation = explain(&bus, &receipt);
    assert_eq!((explanation.event, explanation.id), ("ping", receipt.id()));
    assert_eq!((explanation.cause, explanation.replay_of), (None, None));
    assert!((before..=SystemTime::now()).contains(&explanation.accepted_at));

    let listeners = explanation.listeners.iter();
    let listeners: Vec<_> = listeners.map(|one| (&*one.listener, one.inline)).collect();
    let expected = [
        ("fence", true),
        ("sync", false),
        ("mail", false),
        ("hangs", false),
    ];
    assert_eq!(listeners, expected);

    let sync = explanation.listener("sync").expect("it listens");
    let calls: Vec<_> = sync
        .calls
        .iter()
        .map(|call| (call.attempt, call.error.as_deref()))
        .collect();
    let error = Some("the calendar does not answer");
    assert_eq!(calls, [(1, error), (2, error), (3, None)]);
    assert_eq!(sync.calls[0].started, Duration::ZERO);
    assert_eq!(sync.calls[0].ended, Some(Duration::from_millis(5)));
    assert!(sync.calls[1].started >= Duration::from_millis(1005));
    let Standing::Ended {
        outcome,
        attempts,
        ref error,
        at,
    } = sync.standing
    else {
        panic!("{sync:?}");
    };
    assert_eq!((outcome, attempts, &**error), (Outcome::Done, 3, ""));
    assert_eq!(Some(at), sync.calls[2].ended);
    assert_eq!(at, explanation.age);
    let text = explanation.to_string();
    assert!(text.contains("attempt 2 failed after 5 ms: the"), "{text}");

    let dead = Standing::Ended {
        outcome: Outcome::Dead(Reason::Failed),
        attempts: 1,
        error: "no such mailbox".to_owned(),
        at: Duration::ZERO,
    };
    assert_eq!(
        explanation.listener("mail").expect("it listens").standing,
        dead
    );
    let running = Standing::Running {
        attempt: 1,
        since: Duration::ZERO,
    };
    assert_eq!(
        explanation.listener("hangs").expect("it listens").standing,
        running
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_is_told_as_it_stands() {
    let bus = recorded(FlightRecorder::default())
        .listen(hangs("hangs"))
        .listen_with(
            listen_fn::<Ping, _, _>("sync", |_| async { Err("busy".into()) }),
            three_attempts(),
        )
        .build()
        .expect("fits together");
    let (first, second) = (bus.dispatch(Ping(1)), bus.dispatch(Ping(2)));
    idle().await;
    advance(Duration::from_millis(1)).await;
    assert!(matches!(
        standing(&bus, &first, "hangs"),
        Standing::Running { attempt: 1, .. }
    ));
    assert_eq!(standing(&bus, &second, "hangs"), Standing::Waiting);
    assert_eq!(standing(&bus, &second, "sync"), Standing::Waiting);
    let Standing::Retrying {
        attempt,
        due,
        error,
    } = standing(&bus, &first, "sync")
    else {
        panic!("{:?}", standing(&bus, &first, "sync"));
    };
    assert_eq!((attempt, &*error), (2, "busy"));
    assert!(due >= Duration::from_secs(1));
    let text = explain(&bus, &first).to_string();
    assert!(text.contains("attempt 1 failed after 0 ns: busy"), "{text}");
    assert!(text.contains("attempt 2 follows in 1"), "{text}");
    assert!(text.contains("has been running for 1 ms"), "{text}");
    let text = explain(&bus, &second).to_string();
    assert!(text.contains("waits: queued, not called yet"), "{text}");
}

/// Overflow at one lane, a dropped event at another, a coalesced one at a third, abandoned ones.
#[tokio::test]
async fn a_listener_that_was_never_called_is_told_with_the_reason() {
    let entered = Arc::new(Notify::new());
    let enters = Arc::clone(&entered);
    let bus = recorded(FlightRecorder::default())
        .listen_with(hangs("full"), Policy::new().capacity(ONE))
        .listen_with(
            hangs("drops"),
            Policy::new().capacity(ONE).overflow(Overflow::DropOldest),
        )
        .listen_with(hangs("coalesces"), Policy::new().coalesce_by(|_: &Ping| 0))
        .listen(listen_fn::<Ping, _, _>("skips", move |_| {
            enters.notify_one();
            async { Err(Skip.into()) }
        }))
        .build()
        .expect("fits together");
    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(bus.dispatch(Ping(number)));
        within(receipts[number as usize].reached("skips"))
            .await
            .expect("it listens");
    }
    within(entered.notified()).await;
    let full = Outcome::Dead(Reason::Overflowed);
    assert_eq!(outcome(&bus, &receipts[2], "full"), full);
    assert_eq!(outcome(&bus, &receipts[1], "drops"), Outcome::Dropped);
    assert_eq!(outcome(&bus, &receipts[1], "coalesces"), Outcome::Coalesced);
    assert_eq!(outcome(&bus, &receipts[0], "skips"), Outcome::Skipped);
    within(bus.shutdown(Duration::ZERO)).await;
    assert_eq!(outcome(&bus, &receipts[0], "full"), Outcome::Abandoned);
    let texts: Vec<_> = receipts
        .iter()
        .map(|one| explain(&bus, one).to_string())
        .collect();
    for (receipt, text) in [
        (0, "abandoned, took "),
        (0, ": the bus was shut down first"),
        (0, "skipped, took "),
        (0, ": the listener had nothing to do"),
        (1, "dropped: a newer event needed its place in the lane"),
        (
            1,
            "coalesced: a newer event with the same key took its place",
        ),
        (2, "dead (overflowed): the lane was full"),
    ] {
        assert!(texts[receipt].contains(text), "{text}\n{}", texts[receipt]);
    }
}

/// A thread that is blocked cannot be stopped: the listener goes on after its event was abandoned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listener_does_after_the_end_is_not_told() {
    struct Tells(Arc<Notify>);
    impl Observer for Tells {
        fn observe(&self, step: &Step<'_>) {
            if let Stage::Retrying { .. } = step.stage {
                self.0.notify_one();
            }
        }
    }
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let (entered, retried) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let enters = Arc::clone(&entered);
    let blocks = listen_fn::<Ping, _, _>("blocks", move |_| {
        enters.notify_one();
        let blocked = blocked.lock().expect("not poisoned");
        let _ = blocked.recv_timeout(Duration::from_secs(20));
        std::future::ready(Err("too late".into()))
    });
    let bus = recorded(FlightRecorder::default())
        .observe(Tells(Arc::clone(&retried)))
        .listen_with(blocks, three_attempts())
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    within(entered.notified()).await;
    within(bus.shutdown(Duration::ZERO)).await;
    drop(release);
    within(retried.notified()).await;
    assert_eq!(outcome(&bus, &receipt, "blocks"), Outcome::Abandoned);
}

#[tokio::test]
async fn an_event_of_a_closed_bus_was_refused_by_its_lanes_alone() {
    let bus = recorded(FlightRecorder::default())
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen(hangs("lane"))
        .build()
        .expect("fits together");
    within(bus.shutdown(Duration::from_secs(5))).await;
    let receipt = bus.dispatch(Ping(1));
    assert_eq!(outcome(&bus, &receipt, "fence"), Outcome::Done);
    assert_eq!(standing(&bus, &receipt, "lane"), Standing::Refused);
    let text = explain(&bus, &receipt).to_string();
    assert!(text.contains("refused: the bus was closed"), "{text}");
}

#[tokio::test]
async fn an_event_that_nobody_hears_has_an_explanation_too() {
    struct Unheard;
    impl Event for Unheard {
        const NAME: &'static str = "unheard";
    }
    let bus = recorded(ONE).build().expect("fits together");
    let receipt = bus.dispatch(Unheard);
    let explanation = explain(&bus, &receipt);
    assert!(explanation.listeners.is_empty());
    assert!(explanation.to_string().ends_with("nobody listens\n"));
}

#[tokio::test]
async fn the_cause_of_an_event_is_told() {
    let bus = recorded(FlightRecorder::default())
        .listen(listen_fn::<Ping, _, _>("again", |ping: Arc<_>| {
            let ping: Arc<vacancy::dispatch::Envelope<Ping>> = ping;
            async move {
                if ping.0 == 0 {
                    let delivery = Delivery::current().ok_or("no delivery")?;
                    delivery.dispatch(Ping(1)).id();
                }
                Ok(())
            }
        }))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(0));
    within(receipt.settled()).await;
    let second = bus.explain(bus.event_id(receipt.id().sequence() + 1));
    let second = second.expect("it is kept");
    assert_eq!(second.cause, Some(receipt.id()));
    let text = second.to_string();
    assert!(
        text.contains(&format!("caused by {}", receipt.id())),
        "{text}"
    );
}

#[tokio::test]
async fn a_replay_is_explained_at_its_listener_alone() {
    let fails = |name| listen_fn::<Ping, _, _>(name, |_| async { Err("no such mailbox".into()) });
    let bus = recorded(FlightRecorder::default())
        .listen(fails("mail"))
        .listen(fails("other"))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    within(receipt.settled()).await;
    bus.pause("mail").expect("is a listener");
    let replays = bus.replay_where(|letter| letter.listener() == "mail");
    assert_eq!(replays.len(), 1);
    assert_eq!(standing(&bus, &replays[0], "mail"), Standing::Paused);
    bus.resume("mail").expect("is a listener");
    within(replays[0].settled()).await;
    assert_eq!(
        outcome(&bus, &replays[0], "mail"),
        Outcome::Dead(Reason::Failed)
    );
    assert_eq!(standing(&bus, &replays[0], "other"), Standing::NotReplayed);
    let explanation = explain(&bus, &replays[0]);
    assert_eq!(explanation.replay_of, Some(receipt.id()));
    let text = explanation.to_string();
    assert!(
        text.contains(&format!("a replay of {}", receipt.id())),
        "{text}"
    );
    assert!(
        text.contains("not called: a replay for another listener"),
        "{text}"
    );
}

#[tokio::test]
async fn a_listener_that_is_disabled_waits_for_others_or_is_paused_is_told_so() {
    let listener = |name| listen_fn::<Ping, _, _>(name, |_| async { Ok(()) });
    let bus = recorded(FlightRecorder::default())
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen(hangs("hangs"))
        .listen(listener("off"))
        .listen(listener("paused"))
        .listen_with(
            listener("last"),
            Policy::new()
                .after("off")
                .after("fence")
                .after("hangs")
                .after("paused"),
        )
        .disable("off")
        .build()
        .expect("fits together");
    bus.pause("paused").expect("it is a lane");
    let receipt = bus.dispatch(Ping(1));
    assert_eq!(standing(&bus, &receipt, "off"), Standing::Disabled);
    assert_eq!(standing(&bus, &receipt, "paused"), Standing::Paused);
    let listeners = vec!["hangs".into(), "paused".into()];
    assert_eq!(
        standing(&bus, &receipt, "last"),
        Standing::After { listeners }
    );
    let text = explain(&bus, &receipt).to_string();
    for told in [
        "not called: the listener is disabled",
        "waits: the listener is paused",
        "waits for hangs, paused",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
}

#[tokio::test]
async fn a_recorder_forgets_the_oldest_events() {
    let bus = recorded(NonZeroUsize::MIN.saturating_add(1))
        .listen(listen_fn::<Ping, _, _>("lane", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let receipts: Vec<_> = (0..3).map(|number| bus.dispatch(Ping(number))).collect();
    for receipt in &receipts {
        within(receipt.settled()).await;
    }
    assert_eq!(bus.explain(receipts[0].id()), None);
    // What comes late of an event that is forgotten does not bring it back.
    for receipt in &receipts[1..] {
        assert_eq!(outcome(&bus, receipt, "lane"), Outcome::Done);
    }
    let without = Bus::builder().build().expect("an empty bus is a bus");
    assert_eq!(without.explain(without.dispatch(Ping(0)).id()), None);
    // Another bus's event is not this one's.
    assert_eq!(
        bus.explain(without.event_id(receipts[2].id().sequence())),
        None
    );
}

/// The bound is smaller than the number of listeners: each keeps its last step.
#[tokio::test(start_paused = true)]
async fn the_last_step_of_each_listener_is_kept() {
    let sync = || listen_fn::<Ping, _, _>("sync", |_| fails_twice());
    let bus = recorded(FlightRecorder::default().steps_per_event(ONE))
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen_with(sync(), three_attempts())
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    within(receipt.settled()).await;
    let explanation = explain(&bus, &receipt);
    assert_eq!(outcome(&bus, &receipt, "fence"), Outcome::Done);
    assert_eq!(outcome(&bus, &receipt, "sync"), Outcome::Done);
    assert!(explanation.listeners.iter().all(|one| one.calls.is_empty()));
    // Of two steps and six.
    assert_eq!(explanation.forgotten, 1 + 5);
    assert!(explanation.to_string().contains("older steps forgotten: 6"));
}

#[tokio::test]
async fn an_error_is_kept_up_to_a_length() {
    let bus = recorded(ONE)
        .listen(listen_fn::<Ping, _, _>("fails", |_| async {
            Err("ä".repeat(5000).into())
        }))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    within(receipt.settled()).await;
    let Standing::Ended { error, .. } = standing(&bus, &receipt, "fails") else {
        panic!("it has not ended");
    };
    assert_eq!(error, "ä".repeat(1000));
}

#[tokio::test(start_paused = true)]
async fn an_explanation_reads_as_a_table() {
    let bus = recorded(FlightRecorder::default())
        .inline(inline_fn::<Ping, _>("slots.fence", |_| ()))
        .listen_with(
            listen_fn::<Ping, _, _>("calendar.sync", |_| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Err("the calendar does not answer".into())
            }),
            // One pause, which ends with the time-out.
            three_attempts().time_out(Duration::from_millis(250)),
        )
        .listen(listen_fn::<Ping, _, _>("mail", |_| async {
            tokio::time::sleep(Duration::from_millis(21)).await;
            Ok(())
        }))
        .listen(listen_fn::<Ping, _, _>("crm", |_| async {
            Err("no such customer".into())
        }))
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Ping(1));
    within(receipt.settled()).await;
    let text = explain(&bus, &receipt).to_string();
    let (head, table) = text.split_once(" ago\n").expect("it says how long ago");
    assert!(
        head.starts_with(&format!("ping {}\naccepted 20", receipt.id())),
        "{head}"
    );
    let expected = "  \
  slots.fence      +0 ns  done, took 0 ns
  calendar.sync    +0 ns  attempt 1 failed after 5 ms: the calendar does not answer
                 +250 ms  dead (timed out): not done within 250ms; last error: the calendar does not answer
  mail            +21 ms  done, took 21 ms
  crm              +0 ns  dead (failed), took 0 ns: no such customer
";
    assert_eq!(table, expected);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_serializes() {
    let bus = recorded(FlightRecorder::default())
        .listen_with(
            listen_fn::<Ping, _, _>("sync", |_| fails_twice()),
            three_attempts(),
        )
        .listen(hangs("hangs"))
        .build()
        .expect("fits together");
    let (receipt, waits) = (bus.dispatch(Ping(1)), bus.dispatch(Ping(2)));
    idle().await;
    advance(Duration::from_millis(5)).await;
    idle().await;
    let mut json = serde_json::to_value(explain(&bus, &receipt)).unwrap();
    let accepted_at = json["accepted_at"].take();
    let accepted_at = accepted_at
        .as_str()
        .unwrap()
        .parse::<chrono::DateTime<chrono::Utc>>();
    assert!(accepted_at.is_ok(), "{accepted_at:?}");
    let due = json["listeners"][0]["due_us"].take();
    assert!(due.as_u64().unwrap() >= 1_005_000, "{due}");
    let call = json!({
        "attempt": 1, "started_us": 0, "ended_us": 5000, "error": "the calendar does not answer",
    });
    let expected = json!({
        "event": "ping", "id": receipt.id().to_string(), "cause": null, "replay_of": null,
        "accepted_at": null, "age_us": 5000, "forgotten": 0,
        "listeners": [
            {"listener": "sync", "inline": false, "standing": "retrying", "attempt": 2,
             "due_us": null, "error": "the calendar does not answer", "calls": [call]},
            {"listener": "hangs", "inline": false, "standing": "running", "attempt": 1,
             "since_us": 0,
             "calls": [{"attempt": 1, "started_us": 0, "ended_us": null, "error": null}]},
        ],
    });
    assert_eq!(json, expected);
    let waits = serde_json::to_value(explain(&bus, &waits)).unwrap();
    assert_eq!(waits["listeners"][1]["standing"], "waiting");
    within(receipt.reached("sync")).await.expect("it listens");
    let ended = serde_json::to_value(explain(&bus, &receipt)).unwrap();
    assert_eq!(ended["listeners"][0]["standing"], "ended");
    assert_eq!(ended["listeners"][0]["outcome"], "done");
}

#[tokio::test]
async fn an_id_is_read_as_it_is_printed() {
    let bus = Bus::builder().build().expect("an empty bus is a bus");
    let id = bus.dispatch(Ping(1)).id();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(bus.event_id(1), id);
    for text in [
        "",
        "-",
        "1",
        "00000000000000aa",
        "00000000000000aa-",
        "-1",
        "aa-1",
        "00000000000000AA-1",
        "+0000000000000aa-1",
        "00000000000000ag-1",
        "00000000000000aa-01",
        "00000000000000aa-+1",
        "00000000000000aa--1",
        "00000000000000aa-1 ",
        "00000000000000aa-18446744073709551616",
    ] {
        assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text}");
    }
    assert!(
        "00000000000000aa-18446744073709551615"
            .parse::<EventId>()
            .is_ok()
    );
}
