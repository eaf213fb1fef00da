//! An argument is understood or asked for, and never replaced by a default.

mod phone;

use std::time::Duration;

use phone::{Agent, BOOK, CANCEL, CHECK, MOVE, NEAR, now, utc};
use serde_json::{Value, json};
use vacancy_retell::Request;
use vacancy_slots::Interval;

/// What is asked about arguments that cannot be used: the argument, the problem and the words.
async fn question(function: &str, args: Value) -> (String, String, String) {
    let agent = Agent::new();
    let answer = agent.ask(function, args).await;
    assert_eq!(answer["status"], "unclear", "{answer}");
    assert_eq!(agent.desk.times(), 0);
    let text = |name: &str| answer[name].as_str().expect("text").to_owned();
    (text("argument"), text("problem"), text("say"))
}

async fn asks(function: &str, args: Value, argument: &str, problem: &str) {
    let told = args.to_string();
    let (asked, why, say) = question(function, args).await;
    assert_eq!(
        (asked.as_str(), why.as_str()),
        (argument, problem),
        "{told}"
    );
    assert!(say.ends_with('?'), "{say}");
}

async fn understood(function: &str, args: Value) -> Request {
    let agent = Agent::new();
    let answer = agent.ask(function, args).await;
    assert_ne!(answer["status"], "unclear", "{answer}");
    agent.desk.only()
}

async fn start(args: Value) -> chrono::DateTime<chrono::Utc> {
    let mut args = args;
    args["event_type"] = "cut".into();
    match understood(BOOK, args).await {
        Request::Book(book) => book.start,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_start_is_an_instant_or_a_local_date_and_time() {
    let afternoon = utc("2026-11-24T13:30:00Z");
    for args in [
        json!({"start": "2026-11-24T13:30:00Z"}),
        json!({"start": "2026-11-24T14:30:00+01:00"}),
        json!({"start": "2026-11-24T14:30"}),
        json!({"start": "2026-11-24 14:30:00"}),
        json!({"date": "2026-11-24", "time": "14:30"}),
        json!({"date": "2026-11-24", "time": "2:30 pm"}),
        json!({"date": "2026-11-24", "time": "02:30PM"}),
        json!({"date": "2026-11-24", "time": "08:30", "timezone": "America/New_York"}),
        json!({"start": "2026-11-24T08:30:00", "timezone": "America/New_York"}),
        json!({"start": "2026-11-24T14:30", "date": "2026-11-24", "time": "14:30"}),
        json!({"start": "2026-11-24T14:30", "date": "2026-11-24"}),
    ] {
        assert_eq!(start(args.clone()).await, afternoon, "{args}");
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_for() {
    asks(
        BOOK,
        json!({"start": "2026-11-24T14:30"}),
        "event_type",
        "missing",
    )
    .await;
    asks(
        BOOK,
        json!({"event_type": null, "start": "2026-11-24T14:30"}),
        "event_type",
        "missing",
    )
    .await;
    asks(BOOK, json!({"event_type": "cut"}), "start", "missing").await;
    asks(
        BOOK,
        json!({"event_type": "cut", "date": "2026-11-24"}),
        "time",
        "missing",
    )
    .await;
    asks(
        BOOK,
        json!({"event_type": "cut", "time": "14:30"}),
        "date",
        "missing",
    )
    .await;
    asks(CHECK, json!({"event_type": "cut"}), "date", "missing").await;
    asks(NEAR, json!({"event_type": "cut"}), "start", "missing").await;
    asks(
        MOVE,
        json!({"start": "2026-11-24T14:30"}),
        "appointment_id",
        "missing",
    )
    .await;
    asks(MOVE, json!({"appointment_id": 7}), "start", "missing").await;
    asks(CANCEL, json!({}), "appointment_id", "missing").await;
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_again() {
    for date in [
        json!("tomorrow"),
        json!(""),
        json!("24.11.2026"),
        json!(20261124),
        json!("2026-02-30"),
        json!("2027-02-29"),
        json!("2026-13-01"),
        json!(["2026-11-24"]),
    ] {
        let args = json!({"event_type": "cut", "date": date, "time": "14:30"});
        asks(BOOK, args.clone(), "date", "unreadable").await;
        asks(CHECK, args, "date", "unreadable").await;
    }
    for time in [
        json!("half past two"),
        json!("25:00"),
        json!("24:00"),
        json!("14:60"),
        json!("23:59:60"),
        json!("14"),
        json!(14),
        json!("13:00 pm"),
    ] {
        let args = json!({"event_type": "cut", "date": "2026-11-24", "time": time});
        asks(BOOK, args, "time", "unreadable").await;
    }
    for start in [
        json!("soon"),
        json!("2026-11-24"),
        json!("2026-11-24T25:00Z"),
        json!("2026-11-31T10:00:00Z"),
        json!("2026-11-24T23:59:60Z"),
        json!(1795420800),
        json!({}),
        json!("99999-11-24T10:00:00Z"),
    ] {
        asks(
            BOOK,
            json!({"event_type": "cut", "start": start}),
            "start",
            "unreadable",
        )
        .await;
    }
    for zone in [json!("Berlin"), json!("CEST+2"), json!(""), json!(1)] {
        asks(
            BOOK,
            json!({"event_type": "cut", "start": "2026-11-24T14:30", "timezone": zone}),
            "timezone",
            "unreadable",
        )
        .await;
    }
    for minutes in [
        json!(0),
        json!(-30),
        json!(30.5),
        json!("an hour"),
        json!(1441),
        json!(true),
        json!(1e300),
    ] {
        asks(
            BOOK,
            json!({"event_type": "cut", "start": "2026-11-24T14:30", "duration_minutes": minutes}),
            "duration_minutes",
            "unreadable",
        )
        .await;
    }
    for days in [json!(0), json!(32), json!("all")] {
        asks(
            CHECK,
            json!({"event_type": "cut", "date": "2026-11-24", "days": days}),
            "days",
            "unreadable",
        )
        .await;
    }
    asks(
        BOOK,
        json!({"event_type": "cut", "start": "2026-11-24T14:30", "name": 7}),
        "name",
        "unreadable",
    )
    .await;
}

#[tokio::test]
async fn an_id_is_a_text_or_a_whole_number_and_nothing_is_made_one() {
    for id in [
        json!(-1),
        json!(1.5),
        json!(1.0),
        json!(true),
        json!([7]),
        json!({}),
        json!(""),
        json!("  "),
        json!(1e30),
    ] {
        asks(
            CANCEL,
            json!({"appointment_id": id}),
            "appointment_id",
            "unreadable",
        )
        .await;
        asks(
            BOOK,
            json!({"event_type": "cut", "start": "2026-11-24T14:30", "resource": id}),
            "resource",
            "unreadable",
        )
        .await;
    }
    for (id, text) in [
        (json!(15), "15"),
        (json!("15"), "15"),
        (json!("015"), "015"),
        (json!(u64::MAX), "18446744073709551615"),
        (
            json!("9f4d2b1e-0000-4000-8000-000000000000"),
            "9f4d2b1e-0000-4000-8000-000000000000",
        ),
    ] {
        match understood(CANCEL, json!({"appointment_id": id})).await {
            Request::Cancel(cancel) => assert_eq!(cancel.appointment.as_str(), text),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_time_that_the_clocks_skip_or_repeat_is_asked_about() {
    // On the last Sunday of March 02:30 does not exist in Berlin, on that of October it comes twice.
    let skipped = json!({"event_type": "cut", "date": "2027-03-28", "time": "02:30"});
    asks(BOOK, skipped, "time", "no_such_time").await;
    let twice = json!({"event_type": "cut", "start": "2027-10-31T02:30"});
    asks(BOOK, twice, "start", "two_such_times").await;
    assert_eq!(
        start(json!({"start": "2027-10-31T02:30:00+01:00"})).await,
        utc("2027-10-31T01:30:00Z")
    );
}

#[tokio::test]
async fn what_has_passed_or_is_far_away_is_asked_about() {
    let book = |start: &str| json!({"event_type": "cut", "start": start});
    asks(BOOK, book("2026-11-23T07:59:59Z"), "start", "past").await;
    asks(BOOK, book("2023-11-24T10:00:00Z"), "start", "past").await;
    asks(BOOK, book("2028-11-24T08:00:00Z"), "start", "too_far_ahead").await;
    asks(BOOK, book("9999-12-31T23:59:59Z"), "start", "too_far_ahead").await;
    asks(BOOK, book("0000-01-01T00:00:00Z"), "start", "past").await;
    let check = |date: &str| json!({"event_type": "cut", "date": date, "days": 31});
    asks(CHECK, check("2026-10-01"), "date", "past").await;
    asks(CHECK, check("2030-01-01"), "date", "too_far_ahead").await;
    asks(CHECK, check("+99999-12-31"), "date", "too_far_ahead").await;
    assert_eq!(start(json!({"start": "2026-11-23T08:00:00Z"})).await, now());
}

#[tokio::test]
async fn times_that_contradict_one_another_are_asked_about() {
    for args in [
        json!({"start": "2026-11-24T14:30", "date": "2026-11-25", "time": "14:30"}),
        json!({"start": "2026-11-24T14:30", "date": "2026-11-24", "time": "15:30"}),
        json!({"start": "2026-11-24T14:30", "date": "2026-11-25"}),
        json!({"start": "2026-11-24T14:30", "time": "15:30"}),
    ] {
        let mut args = args;
        args["event_type"] = "cut".into();
        asks(BOOK, args, "start", "contradicted").await;
    }
    let check = json!({"event_type": "cut", "start": "2026-11-24T14:30", "date": "2026-11-25"});
    asks(CHECK, check, "start", "contradicted").await;
}

#[tokio::test]
async fn availability_is_of_whole_local_days_from_now_on() {
    let window = async |args: Value| match understood(CHECK, args).await {
        Request::CheckAvailability(check) => check.window,
        other => panic!("{other:?}"),
    };
    let between = |start, end| Interval::new(utc(start), utc(end)).unwrap();
    assert_eq!(
        window(json!({"event_type": "cut", "date": "2026-11-24"})).await,
        between("2026-11-23T23:00:00Z", "2026-11-24T23:00:00Z")
    );
    assert_eq!(
        window(json!({"event_type": "cut", "date": "2026-11-24", "days": "2", "timezone": "UTC"}))
            .await,
        between("2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z")
    );
    assert_eq!(
        window(json!({"event_type": "cut", "date": "2026-11-23"})).await,
        between("2026-11-23T08:00:00Z", "2026-11-23T23:00:00Z")
    );
    assert_eq!(
        window(json!({"event_type": "cut", "start": "2026-11-24T23:30:00Z"})).await,
        between("2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z")
    );
}

#[tokio::test]
async fn the_wish_and_the_customer_reach_the_desk() {
    let request = understood(
        BOOK,
        json!({
            "event_type": 123, "resource": "ada", "branch": 1, "duration_minutes": 45,
            "start": "2026-11-24T14:30", "name": "Grace", "phone": "+49 30 1234", "email": null,
            "execution_message": "one moment",
        }),
    )
    .await;
    let Request::Book(book) = request else {
        panic!("{request:?}");
    };
    assert_eq!(book.wish.event_type, 123.into());
    assert_eq!(book.wish.resource, Some("ada".parse().unwrap()));
    assert_eq!(book.wish.branch, Some(1.into()));
    assert_eq!(book.wish.duration, Some(Duration::from_secs(45 * 60)));
    assert_eq!(book.customer.name.as_deref(), Some("Grace"));
    assert_eq!(book.customer.phone.as_deref(), Some("+49 30 1234"));
    assert_eq!(book.customer.email, None);
}
