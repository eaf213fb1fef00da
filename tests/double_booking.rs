//! The example `double_booking` shows what it says, the same on every run, and refuses bad input.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[expect(dead_code, reason = "its `main` reads the arguments of a process")]
#[path = "../examples/double_booking/main.rs"]
mod double_booking;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use double_booking::contender::Kind;
use double_booking::recording::{Recording, What};
use double_booking::report::Report;
use double_booking::tally::Tally;
use double_booking::{Arguments, Failure, RECORDED_DAY, run};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use vacancy::slots::{Appointment, Buffers, Interval, LocalDay};

/// What the example prints without arguments.
static SHOWN: LazyLock<Report> = LazyLock::new(|| replay(&[]));

fn arguments(arguments: &[&str]) -> Arguments {
    Arguments::try_parse_from([&["double_booking"], arguments].concat()).unwrap()
}

fn replay(given: &[&str]) -> Report {
    run(&arguments(given), &ProgressBar::hidden()).unwrap()
}

fn tally(report: &Report, kind: Kind) -> &Tally {
    let row = report.caches.iter().find(|row| row.cache == kind);
    &row.unwrap().tally
}

#[test]
fn vacancy_offers_nothing_stale_and_the_others_do() {
    let vacancy = tally(&SHOWN, Kind::Vacancy);
    assert_eq!(vacancy.stale_offers, 0);
    assert_eq!(vacancy.refused.stale_offer, 0);
    for kind in [Kind::Ttl, Kind::HourlyKeys] {
        let other = tally(&SHOWN, kind);
        assert!(other.stale_offers > 0, "{kind}: {other:?}");
        assert!(other.refused.stale_offer > 0, "{kind}: {other:?}");
    }
}

#[test]
fn the_hit_rate_is_within_five_points_of_that_of_a_ttl() {
    let (vacancy, ttl) = (tally(&SHOWN, Kind::Vacancy), tally(&SHOWN, Kind::Ttl));
    let points = (vacancy.hit_rate() - ttl.hit_rate()).abs() * 100.0;
    assert!(points < 5.0, "{points}");
    assert!(vacancy.hit_rate() > 0.7, "{vacancy:?}");
}

#[test]
fn every_row_tells_of_the_same_day() {
    let none = tally(&SHOWN, Kind::None);
    assert_eq!((none.hits, none.source_loads), (0, 20_000));
    for kind in Kind::ALL {
        let tally = tally(&SHOWN, kind);
        assert_eq!(tally.reads, 20_000, "{kind}");
        assert_eq!(tally.booked, none.booked, "{kind}");
        assert_eq!(tally.refused.lost_race, none.refused.lost_race, "{kind}");
        let callers =
            tally.booked + tally.not_offered + tally.refused.stale_offer + tally.refused.lost_race;
        assert_eq!(callers, SHOWN.callers as u64, "{kind}");
        assert_eq!(tally.double_bookings.stale_offer, 0, "{kind}");
        assert_eq!(tally.double_bookings.lost_race, 0, "{kind}");
    }
}

#[test]
fn two_runs_are_the_same_and_another_seed_is_another_day() {
    let few = |seed| replay(&["--reads", "3000", "--seed", seed]);
    assert_eq!(few("7").json(), few("7").json());
    assert_ne!(few("7").caches[1].tally, few("8").caches[1].tally);
}

#[test]
fn a_calendar_without_lag_is_never_stale_itself() {
    let report = replay(&["--reads", "2000", "--lag", "0"]);
    assert_eq!(tally(&report, Kind::None).stale_offers, 0);
    assert_eq!(tally(&report, Kind::Vacancy).stale_offers, 0);
    assert!(tally(&report, Kind::Ttl).stale_offers > 0);
}

#[test]
fn without_the_guard_stale_offers_become_double_bookings() {
    let report = replay(&["--no-guard", "--reads", "6000"]);
    let stale = |kind| tally(&report, kind).double_bookings.stale_offer;
    assert_eq!((stale(Kind::None), stale(Kind::Vacancy)), (0, 0));
    assert!(stale(Kind::Ttl) > 0 && stale(Kind::HourlyKeys) > 0);
    for kind in Kind::ALL {
        let tally = tally(&report, kind);
        assert_eq!((tally.refused.stale_offer, tally.refused.lost_race), (0, 0));
        assert!(tally.double_bookings.lost_race > 0, "{kind}");
    }
    let columns = |report: &Report| report.text().matches("double booked").count();
    assert_eq!((columns(&report), columns(&SHOWN)), (2, 0));
}

#[test]
fn one_line_stands_under_the_table() {
    let text = SHOWN.text();
    let lines: Vec<_> = text.lines().collect();
    let end = lines.iter().position(|line| line.starts_with('└')).unwrap();
    assert_eq!(lines.len(), end + 2, "{text}");
    assert!(lines[end + 1].contains("Vacancy drops what a booking reaches"));
    let json: Value = serde_json::from_str(&SHOWN.json()).unwrap();
    let caches: Vec<_> = json["caches"].as_array().unwrap().iter().collect();
    assert_eq!(caches[2]["cache"], "hourly_keys");
    assert_eq!(caches[3]["refused"]["stale_offer"], 0);
}

/// Who reads the data has to find what its README names.
#[test]
fn the_recorded_day_holds_what_it_claims() {
    let day = Recording::parse(RECORDED_DAY).unwrap();
    let directory = &day.directory;
    let tenants: BTreeSet<_> = directory.event_types().map(|of| &of.tenant).collect();
    assert_eq!(tenants.len(), 2);
    let hosts: BTreeSet<_> = directory
        .event_types()
        .flat_map(|of| of.hosts.iter().map(|host| (&of.tenant, host)))
        .collect();
    assert_eq!(hosts.len(), 4);
    let lengths: BTreeSet<_> = directory
        .event_types()
        .map(|of| of.length.as_secs() / 60)
        .collect();
    assert_eq!(lengths, BTreeSet::from([30, 45, 90, 120]));
    assert!(
        directory
            .event_types()
            .all(|of| of.buffers != Buffers::NONE)
    );
    let shared = |host: &_| {
        let serves = directory.event_types().filter(|of| of.hosts.contains(host));
        serves.map(|of| &of.branch).collect::<BTreeSet<_>>().len() > 1
    };
    assert!(hosts.iter().any(|(_, host)| shared(host)));

    let mut booked: Vec<&Appointment> = Vec::new();
    let (mut entered, mut rescheduled, mut cancelled, mut repeated) = (0, 0, 0, 0);
    for change in &day.changes {
        match &change.what {
            What::Picked(appointment) => booked.push(appointment),
            What::Entered(appointment) => {
                booked.push(appointment);
                entered += 1;
            }
            What::Rescheduled { .. } => rescheduled += 1,
            What::Cancelled { .. } => cancelled += 1,
            What::Repeated(_) => repeated += 1,
        }
    }
    assert_eq!(booked.len(), 300);
    assert_eq!((entered, repeated), (40, 2));
    assert!(rescheduled >= 10 && cancelled >= 20);

    let zone_of = |appointment: &Appointment| {
        let event_type = appointment.event_type.as_ref().unwrap();
        let event_type = directory.event_type(&appointment.tenant, event_type);
        event_type.unwrap().hours.zone()
    };
    let is = |claim: &dyn Fn(&Appointment) -> bool| booked.iter().any(|booked| claim(booked));
    assert!(is(&|a| a.intervals()[0].duration().as_secs() == 3 * 3600));
    assert!(is(&|a| {
        let (interval, zone) = (a.intervals()[0], zone_of(a));
        LocalDay::containing(interval.start(), zone).end() < interval.end()
    }));
    // The hour from 02:00 in Berlin came twice.
    let back = "2025-10-26T01:00:00Z".parse().unwrap();
    assert!(is(&|a| a.intervals()[0].contains(back)));
    let sunday = "2025-10-26".parse().unwrap();
    let sundays = booked.iter().filter(|a| {
        let zone = zone_of(a);
        zone.name() == "Europe/Berlin"
            && LocalDay::new(sunday, zone)
                .interval()
                .unwrap()
                .contains(a.intervals()[0].start())
    });
    assert!(sundays.count() >= 10);
    assert!(is(&|a| zone_of(a).name() == "Asia/Kolkata"));
}

/// About forty callers want what somebody else took in the last five minutes.
#[test]
fn the_recorded_day_had_no_guard() {
    let day = Recording::parse(RECORDED_DAY).unwrap();
    let mut booked: Vec<(DateTime<Utc>, &Appointment)> = Vec::new();
    let (mut late, mut other_event_type) = (0, 0);
    for (at, wanted) in day.changes.iter().filter_map(|change| match &change.what {
        What::Picked(appointment) | What::Entered(appointment) => Some((change.at, appointment)),
        _ => None,
    }) {
        let first = booked.iter().rev().find(|(before, other)| {
            at - *before < TimeDelta::minutes(5)
                && other.resources == wanted.resources
                && with_buffers(other).overlaps(&with_buffers(wanted))
        });
        late += usize::from(first.is_some());
        other_event_type +=
            usize::from(first.is_some_and(|(_, other)| other.event_type != wanted.event_type));
        booked.push((at, wanted));
    }
    assert!((35..=50).contains(&late), "{late}");
    assert!(other_event_type > 5, "{other_event_type}");
}

fn with_buffers(appointment: &Appointment) -> Interval {
    let buffers = appointment.buffers.unwrap();
    appointment.intervals()[0].widened(buffers.before(), buffers.after())
}

fn branch() -> Value {
    json!({"directory": {
        "tenant": "15",
        "branch": {"id": 1},
        "timeZone": "Europe/Berlin",
        "hours": [{"days": ["mon"], "open": "09:00", "close": "18:00"}],
        "hosts": [{"id": 42, "email": "mara@tonwerk.example"}],
        "eventTypes": [{
            "id": 123, "length": 30, "step": 30,
            "beforeEventBuffer": 0, "afterEventBuffer": 10, "hosts": [42],
        }],
    }})
}

fn webhook(trigger: &str, uid: &str, minute: u32) -> Value {
    json!({
        "triggerEvent": trigger,
        "createdAt": format!("2025-10-25T08:{minute:02}:00Z"),
        "payload": {
            "uid": uid,
            "eventTypeId": 123,
            "startTime": "2025-10-27T09:00:00+01:00",
            "endTime": "2025-10-27T08:30:00.000Z",
            "organizer": {"email": "Mara@Tonwerk.example", "utcOffset": 60},
            "rescheduleUid": "a",
            "rescheduleStartTime": "2025-10-27T08:00:00Z",
            "rescheduleEndTime": "2025-10-27T08:30:00Z",
        },
    })
}

/// The recording of these lines, or what is wrong with it.
fn parse(lines: &[Value]) -> Result<Recording, String> {
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    Recording::parse(lines.join("\n").as_bytes()).map_err(|error| error.to_string())
}

/// Line 3 of a good recording, changed.
fn third(trigger: &str, change: impl Fn(&mut Value)) -> String {
    let mut line = webhook(trigger, "b", 2);
    change(&mut line);
    parse(&[branch(), webhook("BOOKING_CREATED", "a", 1), line]).unwrap_err()
}

#[test]
fn what_webhooks_look_like_is_read() {
    let mut dotted = webhook("BOOKING.CREATED", "b", 2);
    dotted["payload"]["organizer"]["timeFormat"] = json!(24);
    dotted["payload"]["price"] = Value::Null;
    let mut unnamed = webhook("BOOKING_CANCELLED", "b", 4);
    unnamed["payload"]["eventTypeId"] = Value::Null;
    let lines = [
        branch(),
        json!({"triggerEvent": "ping", "createdAt": "now"}),
        webhook("BOOKING_CREATED", "a", 1),
        dotted,
        webhook("BOOKING_CREATED", "a", 2),
        webhook("BOOKING_RESCHEDULED", "c", 3),
        unnamed.clone(),
        unnamed,
    ];
    let day = parse(&lines).unwrap();
    assert!(matches!(
        day.changes
            .iter()
            .map(|change| &change.what)
            .collect::<Vec<_>>()[..],
        [
            What::Picked(_),
            What::Picked(_),
            What::Repeated(_),
            What::Rescheduled { .. },
            What::Cancelled { .. },
        ]
    ));
}

#[test]
fn a_bad_field_is_named_with_what_was_expected() {
    let set = |trigger, pointer: &'static str, value: Value| {
        third(trigger, move |line| {
            *line.pointer_mut(pointer).unwrap() = value.clone()
        })
    };
    let remove = |trigger, field: &'static str| {
        third(trigger, move |line| {
            line["payload"].as_object_mut().unwrap().remove(field);
        })
    };
    let (created, moved, cancelled) = (
        "BOOKING_CREATED",
        "BOOKING_RESCHEDULED",
        "BOOKING_CANCELLED",
    );
    let start = "/payload/startTime";
    for (problem, says) in [
        (
            remove(created, "startTime"),
            "`payload.startTime` is missing; expected an instant",
        ),
        (
            remove(created, "uid"),
            "`payload.uid` is missing; expected an id",
        ),
        (
            remove(created, "organizer"),
            "`payload.organizer.email` is missing; expected a string",
        ),
        (
            remove(moved, "rescheduleUid"),
            "`payload.rescheduleUid` is missing",
        ),
        (
            remove(moved, "rescheduleEndTime"),
            "`payload.rescheduleEndTime` is missing",
        ),
        (
            set(created, "/payload", json!(7)),
            "`payload.uid` is missing",
        ),
        (
            set(created, start, json!(7)),
            "`payload.startTime` is 7; expected an instant",
        ),
        (
            set(created, start, json!("2025-10-27 09:00")),
            "expected an instant",
        ),
        (
            set(created, start, json!("9999-01-01T00:00:00Z")),
            "of the years 1970 to 2100",
        ),
        (
            set(
                created,
                "/payload/endTime",
                json!("2025-10-27T09:00:00+01:00"),
            ),
            "`payload.endTime` is \"2025-10-27T09:00:00+01:00\"; expected an instant after",
        ),
        (
            set(created, "/payload/eventTypeId", json!(124)),
            "`payload.eventTypeId` is 124; expected an event type of the organizer, host 42",
        ),
        (
            set(created, "/payload/organizer/email", json!("x@example.org")),
            "expected the e-mail address of a host of the directory",
        ),
        (
            set(created, "/triggerEvent", json!("BOOKING_MISLAID")),
            "`triggerEvent` is \"BOOKING_MISLAID\"; expected \"BOOKING_CREATED\",",
        ),
        (
            set(created, "/createdAt", json!("2025-10-25T08:00:59Z")),
            "expected no time before that of line 2, 2025-10-25 08:01:00 UTC",
        ),
        (
            set(created, "/createdAt", json!("2025-12-25T08:00:59Z")),
            "expected a time within seven days of the first webhook",
        ),
        (
            third(created, |line| {
                line["payload"]["uid"] = json!("a");
                line["payload"]["endTime"] = json!("2025-10-27T09:30:00Z");
            }),
            "`payload.uid` is \"a\"; expected a uid other than that of line 2",
        ),
        (
            set(moved, "/payload/rescheduleUid", json!("z")),
            "`payload.rescheduleUid` is \"z\"; expected the uid of a booking on an earlier line",
        ),
        (
            set(
                moved,
                "/payload/rescheduleStartTime",
                json!("2025-10-27T08:05:00Z"),
            ),
            "expected 2025-10-27 08:00:00 UTC, as line 2 says",
        ),
        (
            set(moved, "/payload/uid", json!("a")),
            "expected a uid that was not used before",
        ),
        (
            third(cancelled, |_| {}),
            "`payload.uid` is \"b\"; expected the uid of a booking on an earlier line",
        ),
        (
            third(cancelled, |line| {
                line["payload"]["uid"] = json!("a");
                line["payload"]["eventTypeId"] = json!(124);
            }),
            "`payload.eventTypeId` is 124; expected 123, as line 2 says",
        ),
        (
            third(created, |line| *line = branch()),
            "`directory` comes after the webhook of line 2",
        ),
        (
            third(created, |line| *line = json!([1])),
            "is JSON, but no object; expected one object a line",
        ),
    ] {
        assert!(problem.starts_with("line 3 "), "{problem}");
        assert!(problem.contains(says), "{problem:?} does not say {says:?}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
}

#[test]
fn a_bad_directory_is_named_with_what_was_expected() {
    let set = |pointer: &str, value: Value| {
        let mut line = branch();
        *line.pointer_mut(pointer).unwrap() = value;
        parse(&[line, webhook("BOOKING_CREATED", "a", 1)]).unwrap_err()
    };
    for (problem, says) in [
        (
            set("/directory", json!(1)),
            "`directory.tenant` is missing; expected an id",
        ),
        (
            set("/directory/tenant", json!("")),
            "`directory.tenant` is \"\"; expected an id",
        ),
        (
            set("/directory/timeZone", json!("Berlin")),
            "expected a time zone such as",
        ),
        (
            set("/directory/hours", json!([])),
            "`directory.hours` is []; expected an array",
        ),
        (
            set("/directory/hours/0/days/0", json!("someday")),
            "`directory.hours[0].days[0]` is \"someday\"; expected a day of the week",
        ),
        (
            set("/directory/hours/0/open", json!("9 am")),
            "expected a local time such as",
        ),
        (
            set("/directory/eventTypes/0/step", json!(0)),
            "expected minutes from 5 to 1440",
        ),
        (
            set("/directory/eventTypes/0/hosts/0", json!(7)),
            "expected the id of a host of this",
        ),
    ] {
        assert!(problem.starts_with("line 1 "), "{problem}");
        assert!(problem.contains(says), "{problem:?} does not say {says:?}");
    }
}

/// A file with this content, in a place of its own.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("double_booking_{name}"));
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_bad_file_is_named_before_anything_runs() {
    let good = format!("{}\n{}\n", branch(), webhook("BOOKING_CREATED", "a", 1));
    let with = |line: &[u8]| [good.as_bytes(), line, b"\n", good.as_bytes()].concat();
    let absent = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("double_booking_absent");
    for (path, says) in [
        (file("good", good.as_bytes()), None),
        (
            file("marked", &[b"\xef\xbb\xbf\r\n", good.as_bytes()].concat()),
            None,
        ),
        (
            file("json", &with(b"{\"triggerEvent\": ")),
            Some(":3: is not JSON: EOF while parsing"),
        ),
        (
            file("text", &with(b"Monday: Mara, 9 o'clock")),
            Some(":3: is not JSON: expected value"),
        ),
        (
            file("binary", &with(b"{\"a\": \"\xff\"}")),
            Some(":3: byte 8 is not UTF-8"),
        ),
        (
            file("blank", b"\n \r\n\n"),
            Some(":1: the file says nothing; expected {\"directory\""),
        ),
        (
            file("empty", b""),
            Some(":1: the file says nothing; expected {\"directory\""),
        ),
        (
            file(
                "webhook",
                webhook("BOOKING_CREATED", "a", 1).to_string().as_bytes(),
            ),
            Some(":1: no `directory` yet; expected {\"directory\":{…}} lines first"),
        ),
        (
            file("directory", branch().to_string().as_bytes()),
            Some(":1: the file ends without anybody who picked a slot"),
        ),
        (absent, Some(": cannot be read: ")),
        (
            env!("CARGO_TARGET_TMPDIR").into(),
            Some(": cannot be read: "),
        ),
    ] {
        let progress = ProgressBar::hidden();
        let name = path.to_str().unwrap();
        let outcome = run(&arguments(&["--input", name, "--reads", "10"]), &progress);
        let Some(says) = says else {
            assert_eq!(outcome.unwrap().caches[0].tally.reads, 10);
            continue;
        };
        let failure = outcome.unwrap_err();
        let message = failure.message();
        assert!(message.starts_with(&format!("{name}{says}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(failure.exit_code(), ExitCode::from(2));
        assert_eq!(
            (progress.position(), progress.length()),
            (0, None),
            "{name}"
        );
    }
}

#[test]
fn every_recorded_caller_reads_at_least_once() {
    let failure = run(&arguments(&["--reads", "259"]), &ProgressBar::hidden()).unwrap_err();
    assert!(matches!(failure, Failure::TooFewReads { .. }), "{failure}");
    assert_eq!(failure.exit_code(), ExitCode::from(2));
    let row = &replay(&["--reads", "260"]).caches[0];
    assert_eq!(
        (row.tally.reads, row.tally.stale_offers > 300),
        (260, false)
    );
}
