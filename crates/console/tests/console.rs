//! What the commands print, and what they refuse.

use std::{io, num::NonZeroUsize, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use vacancy_console::{Console, ConsoleError, EventsLock, Exit};
use vacancy_dispatch::{Bus, BusBuilder, DeadLetter, Delivery, Event, inline_fn, listen_fn};

#[derive(Serialize)]
struct Booked {
    secret: &'static str,
}

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

struct Confirmed;

impl Event for Confirmed {
    const NAME: &'static str = "confirmation.sent";
    const VERSION: u16 = 3;
}

const BOOKED: Booked = Booked { secret: "4711" };

/// `mail` fails, `report` panics, `relay` dispatches another event, at which `sms` fails.
fn builder() -> BusBuilder {
    Bus::builder()
        .inline(inline_fn("fence", |_: &Booked| ()))
        .listen(listen_fn::<Booked, _, _>("mail", |_| async {
            Err("no mail server\n\u{1b}[2J".into())
        }))
        .listen(listen_fn::<Booked, _, _>("report", |_| async {
            panic!("no printer")
        }))
        .listen(listen_fn::<Booked, _, _>("relay", |_| async {
            let delivery = Delivery::current().expect("inside a listener");
            delivery.dispatch(Confirmed).settled().await;
            Ok(())
        }))
        .listen(listen_fn::<Confirmed, _, _>("sms", |_| async {
            Err("no such number".into())
        }))
}

fn bus() -> Bus {
    builder().build().expect("fits together")
}

/// A bus that has dispatched an event and settled.
async fn failed() -> Bus {
    settled(builder()).await
}

async fn settled(builder: BusBuilder) -> Bus {
    let bus = builder.build().expect("fits together");
    let receipt = bus.dispatch(BOOKED);
    tokio::time::timeout(Duration::from_secs(20), receipt.settled())
        .await
        .expect("every listener has ended");
    bus
}

fn run(console: &Console, line: &str) -> (Exit, String) {
    let mut out = Vec::new();
    let exit = console.run_line(line, &mut out).expect("a good command");
    (exit, String::from_utf8(out).expect("UTF-8"))
}

fn printed(bus: Bus, line: &str) -> String {
    let (exit, text) = run(&Console::new(bus), line);
    assert_eq!(exit, Exit::Success);
    text
}

fn json(bus: Bus, line: &str) -> Value {
    serde_json::from_str(&printed(bus, line)).expect("JSON")
}

fn letter(bus: &Bus, listener: &str) -> Arc<DeadLetter> {
    let mut letters = bus.dead_letters().into_iter();
    let letter = letters.find(|letter| letter.listener() == listener);
    letter.expect("it died")
}

fn usage(line: &str) -> String {
    let bus = Bus::builder().build();
    let console = Console::new(bus.expect("an empty bus is a bus"));
    let error = console.run_line(line, &mut io::sink());
    match error.expect_err("not a good command") {
        ConsoleError::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn list_and_graph_print_the_topology() {
    let bus = bus();
    let topology = bus.topology();
    assert_eq!(printed(bus.clone(), "list"), topology.to_string());
    assert_eq!(printed(bus.clone(), "graph"), topology.to_mermaid());
    let expected = serde_json::to_value(&topology).expect("JSON");
    assert_eq!(json(bus, "list --json"), expected);
}

#[tokio::test]
async fn failed_prints_each_dead_letter_without_its_payload() {
    let bus = failed().await;
    let text = printed(bus.clone(), "failed --listener mail");
    let lines: Vec<_> = text.lines().collect();
    let id = letter(&bus, "mail").id();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], format!("{id}  appointment.booked at mail"));
    // What would move the terminal's cursor does not reach it.
    assert_eq!(
        lines[1],
        "    failed after 1 attempt: no mail server\\n\\u{1b}[2J"
    );
    assert!(lines[2].starts_with("    accepted 2"), "{text}");
    assert!(lines[2].contains("Z, given up "), "{text}");
    assert_eq!(lines[3], "1 dead letter");
    let all = printed(bus, "failed");
    assert!(all.ends_with("\n3 dead letters\n"), "{all}");
    assert!(!all.contains("4711"), "{all}");
}

#[tokio::test]
async fn failed_says_what_led_to_an_event() {
    let text = printed(failed().await, "failed --event confirmation.sent");
    let cause = "    caused by appointment.booked#1 → confirmation.sent#2\n";
    assert!(text.contains(cause), "{text}");
}

#[tokio::test]
async fn filters_are_taken_together() {
    let bus = failed().await;
    for (filters, expected) in [
        ("", &["mail", "report", "sms"][..]),
        ("--event appointment.booked", &["mail", "report"]),
        ("--event appointment.booked --reason panicked", &["report"]),
        ("--listener sms --reason failed", &["sms"]),
        ("--listener sms --reason timed-out", &[]),
        ("--event nobody", &[]),
    ] {
        let letters = json(bus.clone(), &format!("failed --json {filters}"));
        let letters = letters.as_array().expect("a list").iter();
        let mut listeners: Vec<_> = letters.map(|letter| &letter["listener"]).collect();
        listeners.sort_by_key(|listener| listener.to_string());
        assert_eq!(listeners, expected, "{filters}");
    }
}

#[tokio::test]
async fn failed_as_json_has_all_that_is_known_but_the_payload() {
    let bus = failed().await;
    let letters = json(bus.clone(), "failed --json --listener sms");
    let (printed, known) = (&letters[0], letter(&bus, "sms"));
    assert_eq!(printed["id"], known.id().to_string());
    assert_eq!(printed["event"], "confirmation.sent");
    assert_eq!(printed["version"], 3);
    assert_eq!(printed["listener"], "sms");
    assert_eq!(printed["reason"], "failed");
    assert_eq!(printed["attempts"], 1);
    assert_eq!(printed["error"], "no such number");
    assert_eq!(printed["causation"][0]["event"], "appointment.booked");
    assert_eq!(printed["causation"][1]["id"], known.id().to_string());
    for time in ["accepted_at", "died_at"] {
        let time = printed[time].as_str().expect("a time");
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    }
    assert_eq!(printed.as_object().expect("fields").len(), 10, "{printed}");
}

#[tokio::test]
async fn failed_says_how_many_letters_there_are_no_more() {
    let bus = settled(builder().dead_letter_capacity(NonZeroUsize::MIN)).await;
    let text = printed(bus, "failed");
    let end = "\n1 dead letter; 2 older ones of the bus were evicted\n";
    assert!(text.ends_with(end), "{text}");
}

#[tokio::test]
async fn lock_writes_a_file_and_says_whether_the_bus_is_what_it_was() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("events lock");
    let quoted = format!("'{}'", path.display());
    let lock = EventsLock::of(&bus().topology()).sample(&BOOKED);
    let console = Console::new(bus()).lock(lock.expect("JSON is serializable"));

    let missing = console.run_line(&format!("lock {quoted}"), &mut io::sink());
    let missing = missing.expect_err("there is no file");
    assert!(matches!(missing, ConsoleError::Check(_)), "{missing:?}");
    let (exit, text) = run(&console, &format!("lock --write {quoted}"));
    let written = format!("wrote {}\n", path.display());
    assert_eq!((exit, text), (Exit::Success, written));
    for line in ["lock", "lock --check"] {
        let (exit, text) = run(&console, &format!("{line} {quoted}"));
        let same = format!("{} is up to date\n", path.display());
        assert_eq!((exit, text), (Exit::Success, same));
    }

    // Without the samples, and without a listener.
    let fewer = Bus::builder().inline(inline_fn("fence", |_: &Booked| ()));
    let console = Console::new(fewer.build().expect("fits together"));
    let (exit, text) = run(&console, &format!("lock --check {quoted}"));
    assert_eq!(exit, Exit::Failure);
    for part in [
        "event appointment.booked has no sample any more",
        "listener mail of appointment.booked disappeared",
    ] {
        assert!(text.contains(part), "{text}");
    }

    let nowhere = format!("lock --write '{}'", path.join("below").display());
    let nowhere = console.run_line(&nowhere, &mut io::sink());
    let nowhere = nowhere.expect_err("a file is no directory");
    assert!(matches!(nowhere, ConsoleError::Write(_)), "{nowhere:?}");
}

#[tokio::test]
async fn what_is_not_a_command_is_answered_with_the_usage() {
    for (line, complaint) in [
        ("fail", "unrecognized subcommand 'fail'"),
        ("failed --reason bored", "invalid value 'bored'"),
        ("failed --speed", "unexpected argument '--speed'"),
        ("lock --check --write x", "cannot be used with"),
    ] {
        let usage = usage(line);
        assert!(
            usage.starts_with(complaint) || usage.contains(complaint),
            "{usage}"
        );
        assert!(usage.contains("Usage: "), "{usage}");
        assert!(!usage.starts_with("error"), "{usage}");
    }
    let commands = usage("");
    assert!(
        commands.contains("failed") && commands.contains("Usage: "),
        "{commands}"
    );
    assert!(usage("failed --event 'a").contains("quote"));
}

#[tokio::test]
async fn an_answer_is_what_was_asked_for_or_what_is_wrong_with_its_cause() {
    let console = Console::new(bus());
    assert_eq!(console.answer("graph"), bus().topology().to_mermaid());
    assert!(console.answer("graf").contains("Usage: "));
    let missing = console.answer("lock nowhere.lock");
    assert!(
        missing.starts_with("the bus cannot be compared: nowhere.lock does not exist; "),
        "{missing}"
    );
    assert!(missing.ends_with('\n'), "{missing}");
}

#[tokio::test]
async fn help_is_no_error() {
    let help = printed(bus(), "--help");
    for command in ["list", "graph", "failed", "lock"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(printed(bus(), "failed --help").contains("--reason"));
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_an_error() {
    let bus = failed().await;
    let console = Console::new(bus);
    for line in [
        "list",
        "list --json",
        "graph",
        "failed",
        "failed --json",
        "--help",
    ] {
        let mut full: &mut [u8] = &mut [0; 8];
        let error = console.run_line(line, &mut full).expect_err("it is full");
        assert!(
            matches!(error, ConsoleError::Output(_)),
            "{line}: {error:?}"
        );
    }
}

#[test]
fn consoles_locks_and_errors_are_send_sync_and_static() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<(Console, ConsoleError, Exit, EventsLock)>();
    shared::<(vacancy_console::LockError, vacancy_console::SampleError)>();
    shared::<(vacancy_console::WriteError, vacancy_console::Change)>();
}
