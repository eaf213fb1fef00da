//! What is remembered is bounded in number and in time, and never at the cost of what runs.

mod phone;

use std::num::NonZeroUsize;
use std::time::Duration;

use http::StatusCode;
use phone::{Agent, BOOK, CHECK, soon, tuesday};
use serde_json::json;
use vacancy_retell::CallError;

fn calls(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("not zero")
}

#[tokio::test(start_paused = true)]
async fn a_result_is_forgotten_in_time() {
    let agent = Agent::with(|retell| retell.keep(Duration::from_secs(60)));
    agent.ask(BOOK, tuesday()).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    agent.ask(BOOK, tuesday()).await;
    assert_eq!(agent.desk.times(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    agent.ask(BOOK, tuesday()).await;
    assert_eq!(agent.desk.times(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_call_that_was_silent_longest_is_forgotten_first() {
    let agent = Agent::with(|retell| retell.max_calls(calls(2)));
    let second = Duration::from_secs(1);
    let (one, two, three) = (agent.calls("1"), agent.calls("2"), agent.calls("3"));
    for call in [&one, &two, &one, &three] {
        call.ask(BOOK, tuesday()).await;
        tokio::time::sleep(second).await;
    }
    assert_eq!(agent.desk.times(), 3);
    one.ask(BOOK, tuesday()).await;
    three.ask(BOOK, tuesday()).await;
    assert_eq!(agent.desk.times(), 3);
    two.ask(BOOK, tuesday()).await;
    assert_eq!(agent.desk.times(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_not_forgotten_for_room() {
    let agent = Agent::with(|retell| retell.max_calls(calls(1)));
    let gate = agent.desk.gate();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    let error = agent
        .calls("call-2")
        .try_ask(BOOK, tuesday())
        .await
        .unwrap_err();
    assert_eq!(error, CallError::Busy);
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    gate.release();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_256_operations_run_at_once() {
    let agent = Agent::with(|retell| retell.answer_within(Duration::ZERO));
    let gate = agent.desk.gate();
    for number in 0..256 {
        let call = agent.calls(&number.to_string());
        assert_eq!(call.ask(BOOK, tuesday()).await["status"], "running");
    }
    let further = agent.calls("256");
    assert_eq!(
        further.try_ask(BOOK, tuesday()).await.unwrap_err(),
        CallError::Busy
    );
    gate.release();
    soon(async {
        while further.try_ask(BOOK, tuesday()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_makes_64_changes_and_any_number_of_questions() {
    let agent = Agent::new();
    let wish = |minutes: u32| {
        let mut wish = tuesday();
        wish["duration_minutes"] = minutes.into();
        wish
    };
    for minutes in 1..=64 {
        agent.ask(BOOK, wish(minutes)).await;
        let question = json!({"event_type": minutes, "date": "2026-11-24"});
        assert_eq!(agent.ask(CHECK, question).await["status"], "none_free");
    }
    let error = agent.try_ask(BOOK, wish(65)).await.unwrap_err();
    assert_eq!(error, CallError::TooManyChanges);
    // What was booked is still known.
    let times = agent.desk.times();
    agent.ask(BOOK, wish(1)).await;
    assert_eq!(agent.desk.times(), times);
}
