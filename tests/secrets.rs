//! Neither the user nor the password of a Redis is told to anybody: by no `Debug`, no error, no log line.

mod support;

use std::{
    convert::Infallible,
    fmt::Debug,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use support::{
    nodes::{DAY, Day, Node, Origin, TENANT},
    salon::{Salon, alone, booking, diary, wednesday},
    soon, until,
};
use tracing::Level;
use vacancy::{
    cache::{Cache, InvalidUrl, Redis, RedisUrl},
    dispatch::Outcome,
};
use vacancy_testbed::RedisServer;

const USER: &str = "marie";
/// As it is, and as it is written in an address.
const PASSWORD: [&str; 2] = ["swordf!sh", "swordf%21sh"];

/// All that was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn debug(&self, value: &impl Debug) {
        self.text(&format!("{value:?} {value:#?}\n"));
    }

    fn error(&self, error: &dyn std::error::Error) {
        self.text(&format!("{error} {error:?}\n"));
        if let Some(source) = error.source() {
            self.error(source);
        }
    }

    fn text(&self, text: &str) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.extend_from_slice(text.as_bytes());
    }

    fn all(&self) -> String {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(shown.clone()).expect("text")
    }

    /// Fails if there is a secret in it. It has to contain `expected`, or nothing is shown.
    fn is_clean(&self, expected: &[&str]) {
        let all = self.all();
        for secret in [USER, PASSWORD[0], PASSWORD[1], "redis://"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        for text in expected {
            assert!(all.contains(text), "no {text} in {all}");
        }
    }
}

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text(std::str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn url(server: &RedisServer) -> String {
    let address = server.address();
    format!("redis://{USER}:{}@{address}/0", PASSWORD[1])
}

fn settings(url: &str) -> Redis {
    let url: RedisUrl = url.parse().expect("an address");
    Redis::at(url)
        .lease(Duration::from_millis(100))
        .confirm_within(Duration::from_millis(200))
}

const UNUSABLE: &str = "this redis cannot be used";

/// Uses a Redis that cannot be used, and gives all that was said of it.
async fn said_of(server: &RedisServer) -> Shown {
    let shown = Shown::default();
    let writer = shown.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);

    let url = url(server);
    let node = Node::new(settings(&url), &Origin::new());
    node.change(&DAY, 2);
    assert_eq!(node.read(&DAY).await.0, 2);
    let confirmed = soon(node.cache.confirmed(TENANT, None)).await;
    shown.error(&confirmed.expect_err(UNUSABLE));
    let covers = [DAY.cover()];
    let hold = node.cache.hold(&covers, Duration::from_secs(1));
    shown.error(&soon(hold).await.expect_err(UNUSABLE));
    shown.debug(&node.cache);
    shown.debug(&node.cache.statistics());

    let diary = diary();
    let salon = Salon::new(&diary, alone(&diary).redis(settings(&url)));
    let booked = booking(1, &salon.open(&wednesday()).await[0]);
    let receipt = salon.dispatch(&booked);
    let outcome = soon(receipt.reached("slots.invalidate")).await;
    assert!(matches!(outcome, Ok(Outcome::Dead(_))));
    let held = soon(salon.slots.hold(&booked)).await;
    shown.error(&held.expect_err(UNUSABLE));
    for letter in salon.bus.dead_letters() {
        shown.debug(&letter);
        shown.text(letter.error());
    }
    shown.debug(&salon.slots);
    shown.debug(&salon.bus);
    // Each task has had its errors by then.
    let errors = node.level2().errors;
    until(|| node.level2().errors > errors + 10).await;
    shown
}

#[tokio::test]
async fn nothing_is_told_of_a_redis_that_cannot_be_reached() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().await.unwrap();
    let shown = said_of(&server).await;
    shown.is_clean(&["no pulse", "no subscription", "did not confirm"]);
}

#[tokio::test]
async fn nothing_is_told_of_a_redis_that_refuses_the_password() {
    let server = RedisServer::start_with(&[("requirepass", "sesame")])
        .await
        .unwrap();
    let shown = said_of(&server).await;
    shown.is_clean(&["no pulse", "no subscription", "did not confirm"]);
}

#[tokio::test]
async fn nothing_is_told_by_settings_handles_and_builders() {
    let server = RedisServer::start().await.unwrap();
    let (shown, text) = (Shown::default(), url(&server));
    let url: RedisUrl = text.parse().unwrap();
    shown.debug(&url);
    shown.debug(&settings(&text));
    shown.debug(&Redis::cluster([url.clone(), url]).unwrap());
    let builder = Cache::<Day, u64, Infallible>::builder().redis(settings(&text));
    shown.debug(&builder);
    shown.debug(&builder.build());
    let builder = alone(&diary()).redis(settings(&text));
    shown.debug(&builder);
    shown.debug(&builder.build());
    shown.is_clean(&["RedisUrl", "SlotsCacheBuilder"]);
}

#[test]
fn nothing_is_told_of_what_is_not_an_address() {
    let shown = Shown::default();
    let refused = |text: &str| {
        let error = text.parse::<RedisUrl>().unwrap_err();
        // What is told of the form is no secret.
        let told = error.to_string().replace("redis://[user:password@]", "");
        shown.text(&format!("{told} {error:?}"));
        error
    };
    for rest in ["host:port", "host:6379/database", "", ":70000", "a b"] {
        refused(&format!("redis://{USER}:{}@{rest}", PASSWORD[0]));
    }
    for scheme in ["http://", "", "redis+unknown://", "redis:/"] {
        let error = refused(&format!("{scheme}{USER}:{}@host", PASSWORD[1]));
        assert_eq!(error, InvalidUrl::Form);
    }
    let differ = [format!("{USER}:{}@", PASSWORD[1]), String::new()].map(|secret| {
        format!("redis://{secret}127.0.0.1:1")
            .parse::<RedisUrl>()
            .unwrap()
    });
    shown.error(&Redis::cluster(differ).unwrap_err());
    shown.error(&Redis::cluster([]).unwrap_err());
    shown.is_clean(&["not the address of a redis", "a cluster needs"]);
}
