//! Concurrent misses share one load, and nobody suffers for another reader's end.

mod support;

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use support::{Gate, soon, until_idle};
use tokio::task::JoinHandle;
use vacancy::cache::{Answer, Cache, Cover, Scope, Source, Span};

#[derive(Debug, Clone, PartialEq)]
struct Down;

type Numbers = Cache<&'static str, u32, Down>;
type Read = Result<Answer<u32>, Down>;

fn covers() -> [Cover; 1] {
    [Cover::new(
        Scope::new("tenant", "resource", "host"),
        Span::ALL,
    )]
}

/// An origin that counts its loads and answers when the gate lets it.
#[derive(Clone)]
struct Origin {
    gate: Gate,
    loads: Arc<AtomicU32>,
    answer: Result<u32, Down>,
}

impl Origin {
    fn new(answer: Result<u32, Down>) -> Self {
        Self {
            gate: Gate::new(),
            loads: Arc::default(),
            answer,
        }
    }

    fn read(&self, cache: &Numbers) -> JoinHandle<Read> {
        let (origin, cache) = (self.clone(), cache.clone());
        tokio::spawn(async move {
            cache
                .get_or_load(&"day", covers, async || {
                    origin.loads.fetch_add(1, Ordering::SeqCst);
                    origin.gate.pass().await;
                    origin.answer.clone()
                })
                .await
        })
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_hundred_misses_make_one_load() {
    let (cache, origin) = (Numbers::builder().build(), Origin::new(Ok(7)));
    let readers: Vec<_> = (0..100).map(|_| origin.read(&cache)).collect();
    until_idle().await;
    origin.gate.release();
    let mut sources = Vec::new();
    for reader in readers {
        let answer = soon(reader).await.unwrap().unwrap();
        assert_eq!(*answer, 7);
        sources.push(answer.source());
    }
    assert_eq!(origin.loads(), 1);
    assert_eq!(
        sources
            .iter()
            .filter(|source| **source == Source::Shared)
            .count(),
        99
    );
    let statistics = cache.statistics();
    assert_eq!(
        (statistics.loads, statistics.coalesced, statistics.misses()),
        (1, 99, 100)
    );
}

#[tokio::test]
async fn a_cancelled_leader_is_replaced_by_one_follower() {
    let (cache, origin) = (Numbers::builder().build(), Origin::new(Ok(7)));
    let leader = origin.read(&cache);
    origin.gate.entered().await;
    let followers: Vec<_> = (0..10).map(|_| origin.read(&cache)).collect();
    until_idle().await;
    leader.abort();
    assert!(soon(leader).await.unwrap_err().is_cancelled());

    origin.gate.entered().await;
    origin.gate.release();
    for follower in followers {
        assert_eq!(*soon(follower).await.unwrap().unwrap(), 7);
    }
    assert_eq!(origin.loads(), 2);
    assert_eq!(cache.statistics().lost, 1);
}

#[tokio::test]
async fn a_loader_that_panics_takes_nobody_with_it() {
    let (cache, origin, gate) = (Numbers::builder().build(), Origin::new(Ok(7)), Gate::new());
    let leader = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            let load = async || {
                gate.pass().await;
                panic::resume_unwind(Box::new("the loader's own fault")) // no message on the terminal
            };
            cache.get_or_load(&"day", covers, load).await
        }
    });
    gate.entered().await;
    let follower = origin.read(&cache);
    until_idle().await;
    gate.release();
    assert!(soon(leader).await.unwrap_err().is_panic());

    origin.gate.release();
    assert_eq!(*soon(follower).await.unwrap().unwrap(), 7);
    assert_eq!(cache.statistics().lost, 1);
}

/// One reader's bad luck is its own: those who waited for it try once more, together.
#[tokio::test]
async fn a_failed_leader_does_not_fail_its_followers() {
    let (cache, down, up) = (
        Numbers::builder().build(),
        Origin::new(Err(Down)),
        Origin::new(Ok(7)),
    );
    let leader = down.read(&cache);
    down.gate.entered().await;
    let followers: Vec<_> = (0..10).map(|_| up.read(&cache)).collect();
    until_idle().await;
    down.gate.release();
    assert_eq!(soon(leader).await.unwrap().unwrap_err(), Down);

    up.gate.release();
    for follower in followers {
        assert_eq!(*soon(follower).await.unwrap().unwrap(), 7);
    }
    assert_eq!(up.loads(), 1);
}

#[tokio::test]
async fn an_outage_costs_two_loads_for_all_who_wait_and_everybody_learns_of_it() {
    let (cache, down) = (Numbers::builder().build(), Origin::new(Err(Down)));
    let readers: Vec<_> = (0..100).map(|_| down.read(&cache)).collect();
    until_idle().await;
    down.gate.release();
    down.gate.release();
    for reader in readers {
        assert_eq!(soon(reader).await.unwrap().unwrap_err(), Down);
    }
    assert_eq!(down.loads(), 2);
}

/// An outage that is cached as 'no slots' empties the calendar.
#[tokio::test]
async fn an_error_is_never_kept() {
    let cache = Numbers::builder().build();
    let failed = cache.get_or_load(&"day", covers, async || Err(Down)).await;
    assert_eq!(failed.unwrap_err(), Down);
    assert!(cache.get(&"day").is_none());
    let answer = cache
        .get_or_load(&"day", covers, async || Ok(7))
        .await
        .unwrap();
    assert_eq!((*answer, answer.source()), (7, Source::Loaded));
    assert_eq!(cache.statistics().entries, 1);
}
