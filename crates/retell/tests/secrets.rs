//! Neither the key nor what the caller said is in logs, metrics' labels, errors or `Debug`.

mod phone;

use std::io;
use std::sync::{Arc, Mutex};

use phone::{Agent, BOOK, CANCEL, KEY, Step, headers};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use vacancy_retell::{ApiKey, DeskError};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

const SAID: [&str; 5] = [
    "Lovelace",
    "+44 20 7946",
    "ada@",
    "allergic",
    "Schadenfreude",
];

#[tokio::test]
async fn nothing_that_was_said_is_told() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);

    let agent = Agent::new();
    let person = json!({
        "event_type": "cut", "start": "2026-11-24T14:30", "name": SAID[0], "phone": SAID[1],
        "email": SAID[2], "notes": SAID[3],
    });
    let reason = json!({"appointment_id": 7, "reason": SAID[4]});
    let mut told = String::new();
    agent
        .desk
        .then(Step::Fail(DeskError::unavailable("no database")));
    for _ in 0..2 {
        told += &format!("{:?}", agent.try_ask(BOOK, person.clone()).await);
        told += &format!("{:?}", agent.try_ask(CANCEL, reason.clone()).await);
        told += &format!("{:?}", agent.try_ask(SAID[0], person.clone()).await);
    }
    let signature = ApiKey::new(KEY).sign(b"{}", phone::now());
    let stale = headers(&[&signature]);
    *agent.clock.lock().unwrap() += chrono::TimeDelta::days(1);
    told += &format!("{:?}", agent.retell.answer(&stale, b"{}").await);
    told += &format!(
        "{:?} {:?} {:?}",
        agent.desk.seen(),
        agent.retell,
        ApiKey::new(KEY)
    );

    told += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(told.contains("function call answered"), "{told}");
    assert!(told.contains("no database"), "{told}");
    for secret in SAID.into_iter().chain([KEY, &signature[20..]]) {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}
