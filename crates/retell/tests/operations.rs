//! What is asked for twice happens once, and two wishes are two.

mod phone;

use std::error::Error;

use http::StatusCode;
use phone::{Agent, BOOK, CANCEL, CHECK, MOVE, Step, now, soon, tuesday, wednesday};
use serde_json::json;
use vacancy_retell::{DeskError, Reply};
use vacancy_slots::{Interval, Slot};

#[tokio::test]
async fn a_retried_booking_returns_the_first_result() {
    let agent = Agent::new();
    let first = agent.ask(BOOK, tuesday()).await;
    assert_eq!(first["status"], "booked");
    for _ in 0..2 {
        assert_eq!(agent.ask(BOOK, tuesday()).await, first);
    }
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_booking_that_runs_waits_for_it() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let ask = || {
        let agent = agent.clone();
        tokio::spawn(async move { agent.ask(BOOK, tuesday()).await })
    };
    let first = ask();
    gate.entered().await;
    let retry = ask();
    tokio::task::yield_now().await;
    gate.release();
    let (first, retry) = (soon(first).await.unwrap(), soon(retry).await.unwrap());
    assert_eq!(first["status"], "booked");
    assert_eq!(first, retry);
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_booking_goes_on_when_its_request_is_dropped() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let request = {
        let agent = agent.clone();
        tokio::spawn(async move { agent.ask(BOOK, tuesday()).await })
    };
    gate.entered().await;
    request.abort();
    assert!(soon(request).await.unwrap_err().is_cancelled());
    gate.release();
    assert_eq!(agent.ask(BOOK, tuesday()).await["appointment_id"], "7001");
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_booking_is_said_to_run_and_a_retry_gets_its_result() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let started = tokio::time::Instant::now();
    let running = agent.ask(BOOK, tuesday()).await;
    assert_eq!(running["status"], "running");
    assert_eq!(started.elapsed().as_secs(), 2);
    let key = agent.desk.seen()[0].0.operation.to_string();
    assert_eq!(running["operation"], key);
    assert_eq!(agent.ask(BOOK, tuesday()).await, running);
    gate.release();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test]
async fn two_bookings_of_one_call_both_happen() {
    let agent = Agent::new();
    let (first, second) = tokio::join!(agent.ask(BOOK, tuesday()), agent.ask(BOOK, wednesday()));
    assert_ne!(first["appointment_id"], second["appointment_id"]);
    assert_eq!(agent.ask(BOOK, tuesday()).await, first);
    assert_eq!(agent.ask(BOOK, wednesday()).await, second);
    assert_eq!(agent.desk.times(), 2);
}

#[tokio::test]
async fn the_same_words_in_two_calls_are_two_bookings() {
    let agent = Agent::new();
    agent.ask(BOOK, tuesday()).await;
    agent.calls("call-2").ask(BOOK, tuesday()).await;
    assert_eq!(agent.desk.times(), 2);
}

#[tokio::test]
async fn how_arguments_are_written_makes_no_other_operation() {
    let agent = Agent::new();
    let start = "2026-11-24T14:30:00+01:00";
    let written = [
        format!(r#"{{"event_type": "cut", "start": "{start}", "duration_minutes": 60}}"#),
        format!(r#"{{"duration_minutes":60.0,"start":"{start}","event_type":"cut"}}"#),
        format!(
            "{{\n\"start\" : \"{start}\",\t\"duration_minutes\": 6e1, \"event_type\": \"\\u0063ut\"}}"
        ),
    ];
    for args in written {
        let body = format!(r#"{{"args": {args}, "name": "{BOOK}", "call": {{"call_id": "c"}}}}"#);
        let answer = agent.send(body.as_bytes()).await.unwrap();
        assert_eq!(answer.json()["appointment_id"], "7001");
    }
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test]
async fn any_other_argument_makes_another_operation() {
    let agent = Agent::new();
    let with = |name: &str, value: serde_json::Value| {
        let mut args = tuesday();
        args[name] = value;
        args
    };
    let wishes = [
        tuesday(),
        wednesday(),
        with("name", json!("Grace")),
        with("resource", json!("ada")),
        with("resource", json!(7)),
        with("resource", json!("7")),
        with("duration_minutes", json!(60)),
        with("notes", json!("\"},\"")),
        with("notes", json!(null)),
    ];
    let mut keys = std::collections::HashSet::new();
    for wish in &wishes {
        agent.ask(BOOK, wish.clone()).await;
    }
    for (call, _) in agent.desk.seen() {
        keys.insert(call.operation);
    }
    assert_eq!(keys.len(), wishes.len());
}

#[tokio::test]
async fn the_desk_knows_the_call_and_a_key_that_another_process_would_give_too() {
    let agent = Agent::new();
    agent.ask(BOOK, tuesday()).await;
    let other_process = Agent::new();
    other_process.ask(BOOK, tuesday()).await;
    let (call, _) = agent.desk.seen().remove(0);
    assert_eq!(call, other_process.desk.seen().remove(0).0);
    assert_eq!(call.id.unwrap().as_str(), "call-1");
    assert_eq!(call.agent.as_deref(), Some("agent-1"));
    assert_eq!(call.operation.to_string().len(), 64);
}

#[tokio::test]
async fn a_retry_after_taken_hears_the_same() {
    let agent = Agent::new();
    let free = Interval::new(now(), now() + chrono::TimeDelta::hours(1)).unwrap();
    let alternatives =
        vec![Slot::new(free).resource("ada".parse::<vacancy_slots::ResourceId>().unwrap())];
    agent
        .desk
        .then(Step::Fail(DeskError::Taken { alternatives }));
    let taken = agent.ask(BOOK, tuesday()).await;
    assert_eq!(taken["status"], "taken");
    assert_eq!(taken["slots"][0]["start"], "2026-11-23T09:00:00+01:00");
    assert_eq!(taken["slots"][0]["resources"], json!(["ada"]));
    assert_eq!(agent.ask(BOOK, tuesday()).await, taken);
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test]
async fn a_retry_after_not_found_or_refused_hears_the_same() {
    let agent = Agent::new();
    agent.desk.then(Step::Fail(DeskError::NotFound));
    agent.desk.then(Step::Fail(DeskError::Refused {
        say: "Only adults.".into(),
    }));
    for (wish, status) in [(tuesday(), "not_found"), (wednesday(), "refused")] {
        let first = agent.ask(BOOK, wish.clone()).await;
        assert_eq!(first["status"], status);
        assert_eq!(agent.ask(BOOK, wish).await, first);
    }
    assert_eq!(agent.desk.times(), 2);
}

#[tokio::test]
async fn a_retry_after_an_outage_asks_the_desk_again_with_the_same_key() {
    let agent = Agent::new();
    agent
        .desk
        .then(Step::Fail(DeskError::unavailable("no database")));
    let answer = agent.try_ask(BOOK, tuesday()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"], "unavailable");
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
    let seen = agent.desk.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].0.operation, seen[1].0.operation);
    let source = DeskError::unavailable("no database");
    assert_eq!(source.source().unwrap().to_string(), "no database");
}

#[tokio::test]
async fn a_booking_whose_desk_panicked_is_not_tried_again() {
    let agent = Agent::new();
    agent.desk.then(Step::Panic);
    for _ in 0..2 {
        let answer = agent.try_ask(BOOK, tuesday()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.json()["error"], "unknown_outcome");
    }
    assert_eq!(agent.desk.times(), 1);
    assert_eq!(agent.ask(BOOK, wednesday()).await["status"], "booked");
}

#[tokio::test]
async fn a_question_whose_desk_panicked_is_asked_again() {
    let agent = Agent::new();
    agent.desk.then(Step::Panic);
    let args = json!({"event_type": "cut", "date": "2026-11-24"});
    assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "failed");
    assert_eq!(agent.ask(CHECK, args).await["status"], "none_free");
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_takes_too_long_is_dropped_and_not_tried_again() {
    let agent = Agent::new();
    let _shut = agent.desk.gate();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    tokio::time::sleep(std::time::Duration::from_secs(119)).await;
    for _ in 0..2 {
        assert_eq!(agent.ask(BOOK, tuesday()).await["error"], "unknown_outcome");
    }
    assert_eq!(agent.desk.times(), 1);
}

/// The caller moves to Tuesday, back to Wednesday, and to Tuesday after all.
#[tokio::test]
async fn what_was_undone_in_the_call_can_be_done_again() {
    let agent = Agent::new();
    let to = |start: &str| json!({"appointment_id": 7, "start": start});
    for day in ["2026-11-24T10:00", "2026-11-25T10:00", "2026-11-24T10:00"] {
        assert_eq!(agent.ask(MOVE, to(day)).await["status"], "rescheduled");
    }
    assert_eq!(agent.desk.times(), 3);
    // Each is an operation of its own for the write path, too.
    let keys: std::collections::HashSet<_> = agent
        .desk
        .seen()
        .into_iter()
        .map(|(call, _)| call.operation)
        .collect();
    assert_eq!(keys.len(), 3);
    // And the last one can be retried.
    agent.ask(MOVE, to("2026-11-24T10:00")).await;
    assert_eq!(agent.desk.times(), 3);
}

#[tokio::test]
async fn a_booking_that_was_cancelled_in_the_call_can_be_booked_again() {
    let agent = Agent::new();
    let first = agent.ask(BOOK, tuesday()).await;
    let other = agent.ask(BOOK, wednesday()).await;
    let cancel = json!({"appointment_id": first["appointment_id"]});
    let cancelled = agent.ask(CANCEL, cancel.clone()).await;
    assert_eq!(agent.ask(CANCEL, cancel).await, cancelled);
    let second = agent.ask(BOOK, tuesday()).await;
    assert_ne!(second["appointment_id"], first["appointment_id"]);
    // The other booking was not undone, so a late retry of it still hears of it.
    assert_eq!(agent.ask(BOOK, wednesday()).await, other);
    assert_eq!(agent.desk.times(), 4);
}

#[tokio::test]
async fn a_question_is_asked_anew_each_time() {
    let agent = Agent::new();
    let args = json!({"event_type": "cut", "date": "2026-11-24"});
    for _ in 0..3 {
        assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "none_free");
    }
    assert_eq!(agent.desk.times(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_slow_question_gets_its_answer_once() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let args = json!({"event_type": "cut", "date": "2026-11-24"});
    assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "running");
    gate.release();
    assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "none_free");
    assert_eq!(agent.desk.times(), 1);
    assert_eq!(agent.ask(CHECK, args).await["status"], "running");
    assert_eq!(agent.desk.times(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_slow_question_is_not_given_after_ten_seconds() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let args = json!({"event_type": "cut", "date": "2026-11-24"});
    assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "running");
    gate.release();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    agent.ask(CHECK, args).await;
    assert_eq!(agent.desk.times(), 2);
}

/// It may offer what the caller has booked meanwhile.
#[tokio::test(start_paused = true)]
async fn the_answer_to_a_slow_question_is_not_given_after_a_booking() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    let args = json!({"event_type": "cut", "date": "2026-11-24"});
    assert_eq!(agent.ask(CHECK, args.clone()).await["status"], "running");
    gate.release();
    gate.release();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
    gate.release();
    assert_eq!(agent.ask(CHECK, args).await["status"], "none_free");
    assert_eq!(agent.desk.times(), 3);
}

/// The time has passed when the retry comes; the booking has not.
#[tokio::test]
async fn a_retry_hears_of_its_booking_when_its_time_has_passed() {
    let agent = Agent::new();
    let first = agent.ask(BOOK, tuesday()).await;
    *agent.clock.lock().unwrap() = phone::utc("2026-11-25T00:00:00Z");
    assert_eq!(agent.ask(BOOK, tuesday()).await, first);
}

#[tokio::test]
async fn the_agent_says_what_the_desk_says() {
    let agent = Agent::new();
    agent
        .desk
        .then(Step::Reply(Reply::cancelled(7).say("Schade!")));
    let answer = agent.ask(CANCEL, json!({"appointment_id": 7})).await;
    assert_eq!(answer["say"], "Schade!");
    let booked = agent.ask(BOOK, tuesday()).await;
    assert_eq!(
        booked["say"],
        "You are booked for Tuesday, 24 November at 14:30."
    );
}
