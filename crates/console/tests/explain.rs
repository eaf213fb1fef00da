//! What became of one event, from the command line.

use std::{io, num::NonZeroUsize, time::Duration};

use serde_json::Value;
use vacancy_console::{Console, ConsoleError};
use vacancy_dispatch::{Bus, Event, Permanent, inline_fn, listen_fn};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

/// A console, and the id of an event at which `mail` failed.
async fn explained(recorded: bool) -> (Console, String) {
    let bus = Bus::builder()
        .inline(inline_fn("fence", |_: &Booked| ()))
        .listen(listen_fn::<Booked, _, _>("mail", |_| async {
            Err(Permanent::new("no mail server\u{1b}[2J").into())
        }));
    let bus = match recorded {
        true => bus.flight_recorder(NonZeroUsize::MIN),
        false => bus,
    };
    let bus = bus.build().expect("fits together");
    let receipt = bus.dispatch(Booked);
    tokio::time::timeout(Duration::from_secs(20), receipt.settled())
        .await
        .expect("every listener has ended");
    (Console::new(bus), receipt.id().to_string())
}

#[tokio::test]
async fn an_event_is_explained_by_its_id_or_its_number() {
    let (console, id) = explained(true).await;
    for name in [&*id, "1"] {
        let text = console.answer(&format!("explain {name}"));
        assert!(
            text.starts_with(&format!("appointment.booked {id}\n")),
            "{text}"
        );
        assert!(text.contains("fence") && text.contains("done"), "{text}");
        // What would move the terminal's cursor does not reach it.
        assert!(text.contains("no mail server\\u{1b}[2J"), "{text}");
    }
    let json = console.answer(&format!("explain --json {id}"));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["id"], id);
}

#[tokio::test]
async fn an_event_that_nobody_knows_is_an_error() {
    let (recorded, _) = explained(true).await;
    let (unrecorded, id) = explained(false).await;
    for (console, line) in [
        (&recorded, "explain 2".to_owned()),
        (&recorded, "explain 00c0ffee00c0ffee-1".to_owned()),
        (&unrecorded, format!("explain {id}")),
    ] {
        let unknown = console.run_line(&line, &mut io::sink());
        let unknown = unknown.expect_err("it is not known");
        assert!(
            matches!(unknown, ConsoleError::Unknown { .. }),
            "{unknown:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_an_event_is_answered_with_the_usage() {
    let (console, _) = explained(true).await;
    for line in ["explain", "explain mail"] {
        let refused = console.run_line(line, &mut io::sink());
        let refused = refused.expect_err("it is no event");
        let ConsoleError::Usage(usage) = refused else {
            panic!("{refused:?}");
        };
        assert!(usage.contains("Usage: explain"), "{usage}");
    }
}
