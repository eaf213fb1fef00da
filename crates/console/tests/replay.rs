//! What is replayed, to whom, and what is said where nothing can be.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vacancy_console::{Console, ConsoleError, Exit};
use vacancy_dispatch::{
    Bus, Delivery, Event, EventId, Permanent, ReplayError, inline_fn, listen_fn,
};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("waited for too long")
}

/// What reached a listener once it was well again: its name, and what it was a replay of.
type Reached = UnboundedReceiver<(&'static str, Option<EventId>)>;

/// A bus whose listeners `mail` and `sms` have failed for two events, and are well now.
async fn recovered() -> (Bus, Reached) {
    let well = Arc::new(AtomicBool::new(false));
    let (tell, reached) = unbounded_channel();
    let listener = |name: &'static str| {
        let (well, tell) = (Arc::clone(&well), tell.clone());
        listen_fn::<Booked, _, _>(name, move |_| {
            let (well, tell) = (Arc::clone(&well), tell.clone());
            async move {
                if !well.load(Ordering::SeqCst) {
                    return Err(Permanent::new("out of order").into());
                }
                let delivery = Delivery::current().expect("inside a listener");
                tell.send((name, delivery.replay_of()))?;
                Ok(())
            }
        })
    };
    let bus = Bus::builder()
        .listen(listener("mail"))
        .listen(listener("sms"));
    let bus = bus.build().expect("fits together");
    for _ in 0..2 {
        within(bus.dispatch(Booked).settled()).await;
    }
    assert_eq!(bus.dead_letters().len(), 4);
    well.store(true, Ordering::SeqCst);
    (bus, reached)
}

fn run(bus: &Bus, line: &str) -> (Exit, String) {
    let mut out = Vec::new();
    let exit = Console::new(bus.clone()).run_line(line, &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    (exit.expect("a good command"), text)
}

fn refused(bus: &Bus, line: &str) -> ConsoleError {
    let refused = Console::new(bus.clone()).run_line(line, &mut io::sink());
    refused.expect_err("it cannot be done")
}

#[tokio::test]
async fn a_dead_letter_goes_to_its_listener_alone() {
    let (bus, mut reached) = recovered().await;
    let letters = bus.dead_letters();
    let letter = letters.iter().find(|letter| letter.listener() == "sms");
    let id = letter.expect("it died").id();
    let (exit, text) = run(&bus, &format!("replay {id} --listener sms"));
    assert_eq!(exit, Exit::Success);
    let (line, rest) = text.split_once('\n').expect("two lines");
    let said = line.strip_prefix(&format!("{id} at sms: replayed as "));
    assert!(said.is_some_and(|new| new != id.to_string()), "{text}");
    assert_eq!(rest, "replayed 1 of 1\n");
    assert_eq!(within(reached.recv()).await, Some(("sms", Some(id))));
    assert_eq!(bus.dead_letters().len(), 3);
}

#[tokio::test]
async fn an_event_is_replayed_to_all_that_gave_up_on_it_by_its_number() {
    let (bus, mut reached) = recovered().await;
    let (exit, text) = run(&bus, "replay 2");
    assert_eq!(exit, Exit::Success);
    assert!(text.ends_with("\nreplayed 2 of 2\n"), "{text}");
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(within(reached.recv()).await.expect("replayed"));
    }
    names.sort_by_key(|(name, _)| *name);
    let names = names
        .iter()
        .map(|(name, id)| (*name, id.map(EventId::sequence)));
    let names: Vec<_> = names.collect();
    assert_eq!(names, [("mail", Some(2)), ("sms", Some(2))]);
    assert!(
        bus.dead_letters()
            .iter()
            .all(|letter| letter.id().sequence() == 1)
    );
}

#[tokio::test]
async fn all_are_those_that_the_filters_leave() {
    let (bus, _reached) = recovered().await;
    let (_, text) = run(&bus, "replay --all --listener mail --reason failed");
    assert!(text.ends_with("\nreplayed 2 of 2\n"), "{text}");
    assert!(
        bus.dead_letters()
            .iter()
            .all(|letter| letter.listener() == "sms")
    );
    let (exit, text) = run(&bus, "replay --all --reason panicked");
    assert_eq!((exit, &*text), (Exit::Success, "replayed 0 of 0\n"));
    let (_, text) = run(&bus, "replay --all");
    assert!(text.ends_with("\nreplayed 2 of 2\n"), "{text}");
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_replayed() {
    let (bus, _reached) = recovered().await;
    for line in [
        "replay",
        "replay --listener mail",
        "replay 1 --all",
        "replay mail",
    ] {
        let refused = refused(&bus, line);
        let ConsoleError::Usage(usage) = refused else {
            panic!("{refused:?}");
        };
        assert!(usage.contains("Usage: replay"), "{usage}");
    }
    for line in [
        "replay 3",
        "replay 00c0ffee00c0ffee-1",
        "replay 1 --reason panicked",
    ] {
        let refused = refused(&bus, line);
        assert!(
            matches!(refused, ConsoleError::NoDeadLetter { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(bus.dead_letters().len(), 4);
}

#[tokio::test]
async fn a_bus_that_was_closed_replays_nothing() {
    let (bus, _reached) = recovered().await;
    within(bus.clone().shutdown(Duration::from_secs(5))).await;
    let refused = refused(&bus, "replay --all");
    let closed = matches!(refused, ConsoleError::Replay(ReplayError::Closed));
    assert!(closed, "{refused:?}");
    assert_eq!(bus.dead_letters().len(), 4);
}

/// The replay of the first letter, to an inline listener, replays the second one meanwhile.
#[tokio::test]
async fn a_letter_that_somebody_else_replayed_is_named() {
    static BUS: OnceLock<Bus> = OnceLock::new();
    let bus = Bus::builder()
        .inline(inline_fn("greedy", |_: &Booked| match BUS.get() {
            None => panic!("not yet"),
            Some(bus) => assert_eq!(bus.replay_where(|_| true).len(), 1),
        }))
        .listen(listen_fn::<Booked, _, _>("mail", |_| async {
            Err(Permanent::new("out of order").into())
        }))
        .build()
        .expect("fits together");
    within(bus.dispatch(Booked).settled()).await;
    assert!(BUS.set(bus.clone()).is_ok());
    let (exit, text) = run(&bus, "replay --all");
    assert_eq!(exit, Exit::Failure);
    assert!(text.contains(" at greedy: replayed as "), "{text}");
    assert!(
        text.contains(" at mail: the bus no longer has the dead letter"),
        "{text}"
    );
    assert!(text.ends_with("\nreplayed 1 of 2\n"), "{text}");
}
