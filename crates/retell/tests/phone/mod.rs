//! A phone agent and the desk that it calls.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Europe::Berlin;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use vacancy_retell::{
    Answer, ApiKey, CallError, DeskError, PhoneCall, PhoneDesk, Reply, Request, Retell,
    RetellBuilder, SIGNATURE_HEADER, Visit,
};
use vacancy_slots::Interval;

pub(crate) const KEY: &str = "key_3c1d";

/// A Monday, nine o'clock in Berlin.
pub(crate) fn now() -> DateTime<Utc> {
    utc("2026-11-23T08:00:00Z")
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(600), what)
        .await
        .expect("it should have come by now")
}

/// A desk that does what it is told, and books whatever it is asked to where it is told nothing.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Told>);

#[derive(Default)]
struct Told {
    seen: Mutex<Vec<(PhoneCall, Request)>>,
    steps: Mutex<VecDeque<Step>>,
    gate: Mutex<Option<Gate>>,
}

pub(crate) enum Step {
    Reply(Reply),
    Fail(DeskError),
    Panic,
}

#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub(crate) async fn entered(&self) {
        soon(self.entered.acquire())
            .await
            .expect("it is never closed")
            .forget();
    }

    pub(crate) fn release(&self) {
        self.open.add_permits(1);
    }
}

impl Desk {
    /// What it does next; after all of these, what it always does.
    pub(crate) fn then(&self, step: Step) {
        self.0
            .steps
            .lock()
            .expect("nobody panics with it")
            .push_back(step);
    }

    /// Lets nobody pass from now on who is not released.
    pub(crate) fn gate(&self) -> Gate {
        let gate = Gate {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        };
        *self.0.gate.lock().expect("nobody panics with it") = Some(gate.clone());
        gate
    }

    pub(crate) fn seen(&self) -> Vec<(PhoneCall, Request)> {
        self.0.seen.lock().expect("nobody panics with it").clone()
    }

    pub(crate) fn times(&self) -> usize {
        self.0.seen.lock().expect("nobody panics with it").len()
    }

    /// How many of the things it was told to do it has not done yet.
    pub(crate) fn pending(&self) -> usize {
        self.0.steps.lock().expect("nobody panics with it").len()
    }

    /// The one request that reached it.
    pub(crate) fn only(&self) -> Request {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].1.clone()
    }
}

impl PhoneDesk for Desk {
    async fn serve(&self, call: &PhoneCall, request: Request) -> Result<Reply, DeskError> {
        let number = {
            let mut seen = self.0.seen.lock().expect("nobody panics with it");
            seen.push((call.clone(), request.clone()));
            seen.len() as u64
        };
        let gate = self.0.gate.lock().expect("nobody panics with it").clone();
        if let Some(gate) = gate {
            gate.entered.add_permits(1);
            gate.open
                .acquire()
                .await
                .expect("it is never closed")
                .forget();
        }
        let step = self
            .0
            .steps
            .lock()
            .expect("nobody panics with it")
            .pop_front();
        match step {
            Some(Step::Reply(reply)) => Ok(reply),
            Some(Step::Fail(error)) => Err(error),
            Some(Step::Panic) => panic!("the desk was told to"),
            None => Ok(usual(number, request)),
        }
    }
}

fn usual(number: u64, request: Request) -> Reply {
    let hour = |start: DateTime<Utc>| {
        Interval::new(start, start + chrono::TimeDelta::hours(1)).expect("an hour")
    };
    match request {
        Request::Book(book) => Reply::booked(Visit::new(7000 + number, hour(book.start))),
        Request::Reschedule(to) => Reply::rescheduled(Visit::new(to.appointment, hour(to.start))),
        Request::Cancel(cancel) => Reply::cancelled(cancel.appointment),
        _ => Reply::open([]),
    }
}

/// An agent in one phone call.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) retell: Retell<Desk>,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<Mutex<DateTime<Utc>>>,
    pub(crate) call_id: String,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self::with(|retell| retell)
    }

    pub(crate) fn with(settings: impl FnOnce(RetellBuilder<Desk>) -> RetellBuilder<Desk>) -> Self {
        let (desk, clock) = (Desk::default(), Arc::new(Mutex::new(now())));
        let read = Arc::clone(&clock);
        let retell = Retell::builder(desk.clone(), Berlin)
            .api_key(ApiKey::new(KEY))
            .clock(move || *read.lock().expect("nobody panics with it"));
        Self {
            retell: settings(retell).build(),
            desk,
            clock,
            call_id: "call-1".into(),
        }
    }

    /// The same agent in another call.
    pub(crate) fn calls(&self, call_id: &str) -> Self {
        Self {
            call_id: call_id.into(),
            ..self.clone()
        }
    }

    pub(crate) async fn try_ask(&self, name: &str, args: Value) -> Result<Answer, CallError> {
        let call = json!({"call_id": self.call_id, "agent_id": "agent-1", "call_type": "web_call"});
        let body = json!({"name": name, "call": call, "args": args}).to_string();
        self.send(body.as_bytes()).await
    }

    pub(crate) async fn ask(&self, name: &str, args: Value) -> Value {
        let answer = soon(self.try_ask(name, args)).await;
        answer.expect("it reaches the desk").json().clone()
    }

    /// Sends a body with its signature.
    pub(crate) async fn send(&self, body: &[u8]) -> Result<Answer, CallError> {
        let now = *self.clock.lock().expect("nobody panics with it");
        self.retell.answer(&signed(body, now), body).await
    }
}

pub(crate) fn signed(body: &[u8], at: DateTime<Utc>) -> HeaderMap {
    headers(&[&ApiKey::new(KEY).sign(body, at)])
}

pub(crate) fn headers(signatures: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for signature in signatures {
        headers.append(SIGNATURE_HEADER, signature.parse().expect("a header"));
    }
    headers
}

/// Arguments that book an hour which is there.
pub(crate) fn tuesday() -> Value {
    json!({"event_type": "cut", "start": "2026-11-24T14:30:00+01:00", "name": "Ada"})
}

pub(crate) fn wednesday() -> Value {
    json!({"event_type": "cut", "start": "2026-11-25T14:30:00+01:00", "name": "Ada"})
}

pub(crate) const BOOK: &str = "book_appointment";
pub(crate) const MOVE: &str = "reschedule_appointment";
pub(crate) const CANCEL: &str = "cancel_appointment";
pub(crate) const CHECK: &str = "check_availability";
pub(crate) const NEAR: &str = "find_alternatives";
