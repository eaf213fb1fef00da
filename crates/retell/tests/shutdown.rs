//! Closing waits for what runs, and loses nothing.

mod phone;

use http::StatusCode;
use phone::{Agent, BOOK, soon, tuesday, wednesday};
use vacancy_retell::CallError;

#[tokio::test(start_paused = true)]
async fn closing_waits_for_operations_whose_requests_are_gone() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    let mut closing = {
        let retell = agent.retell.clone();
        tokio::spawn(async move { retell.close().await })
    };
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    assert!(!closing.is_finished());
    gate.release();
    soon(&mut closing).await.unwrap();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test]
async fn a_closed_one_takes_nothing_new_and_still_answers_retries() {
    let agent = Agent::new();
    let first = agent.ask(BOOK, tuesday()).await;
    soon(agent.retell.close()).await;
    assert_eq!(agent.ask(BOOK, tuesday()).await, first);
    let error = agent.try_ask(BOOK, wednesday()).await.unwrap_err();
    assert_eq!(error, CallError::Closed);
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(agent.desk.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_may_be_given_up_and_be_waited_for_by_several() {
    let agent = Agent::new();
    let gate = agent.desk.gate();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    let given_up = tokio::time::timeout(std::time::Duration::from_secs(1), agent.retell.close());
    assert!(given_up.await.is_err());
    let closers: Vec<_> = (0..2)
        .map(|_| {
            let retell = agent.retell.clone();
            tokio::spawn(async move { retell.close().await })
        })
        .collect();
    tokio::task::yield_now().await;
    gate.release();
    for closer in closers {
        soon(closer).await.unwrap();
    }
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "booked");
}

#[tokio::test(start_paused = true)]
async fn an_operation_outlives_the_last_handle() {
    let agent = Agent::new();
    let (desk, gate) = (agent.desk.clone(), agent.desk.gate());
    desk.then(phone::Step::Reply(vacancy_retell::Reply::open([])));
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    drop(agent);
    gate.release();
    // The desk is let go of when the operation has ended.
    soon(async {
        while desk.pending() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closing_ends_when_a_desk_does_not() {
    let agent = Agent::new();
    let _shut = agent.desk.gate();
    assert_eq!(agent.ask(BOOK, tuesday()).await["status"], "running");
    soon(agent.retell.close()).await;
    assert_eq!(agent.ask(BOOK, tuesday()).await["error"], "unknown_outcome");
}
