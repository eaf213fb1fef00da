//! Nodes: caches as processes have them, each with connections of its own to one Redis.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;
use vacancy::cache::{
    Answer, Cache, Consistency, Cover, Level2Statistics, Redis, Scope, SharedKey, Source, Span,
};
use vacancy_testbed::{RedisServer, Reply};

use super::{Gate, soon, until};

/// What the tests ask for: a day of the one host of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Day {
    pub(crate) tenant: &'static str,
    pub(crate) number: i64,
}

pub(crate) const TENANT: &str = "15";

pub(crate) const DAY: Day = day(1);

pub(crate) const fn day(number: i64) -> Day {
    Day {
        tenant: TENANT,
        number,
    }
}

impl Day {
    pub(crate) fn span(&self) -> Span {
        Span::new(self.number * 100, self.number * 100 + 100)
    }

    pub(crate) fn cover(&self) -> Cover {
        Cover::new(host(self.tenant), self.span())
    }
}

impl SharedKey for Day {
    fn tenant(&self) -> &str {
        self.tenant
    }

    fn name(&self) -> String {
        self.number.to_string()
    }
}

pub(crate) fn host(tenant: &str) -> Scope {
    Scope::new(tenant, "host", "1")
}

/// What all nodes ask: one number, whatever the day.
#[derive(Clone, Debug)]
pub(crate) struct Origin(Arc<AtomicU64>);

impl Origin {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cache: Cache<Day, u64, Infallible>,
    pub(crate) origin: Origin,
}

/// Strict, with a lease that is over soon.
pub(crate) fn strict(url: &str) -> Redis {
    redis(url).consistency(Consistency::Strict)
}

/// Bounded, with a lease that is over soon.
pub(crate) fn redis(url: &str) -> Redis {
    Redis::at(url.parse().expect("the address of a redis"))
        .namespace("test")
        .lease(Duration::from_millis(300))
        .time_out(Duration::from_millis(200))
}

impl Node {
    pub(crate) fn new(redis: Redis, origin: &Origin) -> Self {
        Self {
            cache: Cache::builder().redis(redis).build(),
            origin: origin.clone(),
        }
    }

    pub(crate) async fn answer(&self, day: &Day) -> Answer<u64> {
        let load = async || Ok(self.origin.get());
        let Ok(answer) = soon(self.cache.get_or_load(day, || [day.cover()], load)).await;
        answer
    }

    pub(crate) async fn read(&self, day: &Day) -> (u64, Source) {
        let answer = self.answer(day).await;
        (*answer, answer.source())
    }

    /// A reader in a task of its own, whose load has its answer and waits at the gate.
    pub(crate) fn read_at(&self, day: &Day, gate: &Gate) -> JoinHandle<(u64, Source)> {
        let (node, day, gate) = (self.clone(), day.clone(), gate.clone());
        tokio::spawn(async move {
            let load = async || {
                let value = node.origin.get();
                gate.pass().await;
                Ok(value)
            };
            let Ok(answer) = node.cache.get_or_load(&day, || [day.cover()], load).await;
            (*answer, answer.source())
        })
    }

    /// Loads, and waits until the value is in Redis.
    pub(crate) async fn load(&self, day: &Day) {
        // A look while the connection is being made may take too long, and then nothing is written.
        self.leased().await;
        let written = self.level2().written;
        assert_eq!(self.read(day).await, (self.origin.get(), Source::Loaded));
        until(|| self.level2().written > written).await;
    }

    /// Changes the origin and says so.
    pub(crate) fn change(&self, day: &Day, value: u64) {
        self.origin.set(value);
        self.cache.invalidate(&host(day.tenant), day.span());
    }

    /// Waits until all that was changed is confirmed.
    pub(crate) async fn confirmed(&self) {
        soon(async { while self.cache.confirmed(TENANT, None).await.is_err() {} }).await;
    }

    /// Waits until level 1 may answer.
    pub(crate) async fn leased(&self) {
        until(|| self.cache.is_leased(TENANT)).await;
    }

    pub(crate) fn level2(&self) -> Level2Statistics {
        self.cache.statistics().level2
    }
}

/// The names in Redis that match, asked for by the test alone.
pub(crate) async fn keys(server: &RedisServer, pattern: &str) -> Vec<String> {
    let reply = server.command(&["KEYS", pattern]).await;
    let Reply::Array(names) = reply.expect("the server answers") else {
        panic!("names");
    };
    names
        .iter()
        .map(|name| name.text().expect("names are texts").to_owned())
        .collect()
}

/// The one name in Redis that matches.
pub(crate) async fn key(server: &RedisServer, pattern: &str) -> String {
    let mut names = keys(server, pattern).await;
    assert_eq!(names.len(), 1, "{pattern}: {names:?}");
    names.remove(0)
}

/// What the server answers.
pub(crate) async fn ask(server: &RedisServer, words: &[&str]) -> Reply {
    server.command(words).await.expect("the server answers")
}
