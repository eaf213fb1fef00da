//! Several processes, one truth: what one invalidates, no other serves.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vacancy::cache::{Cache, Consistency, Cover, Redis, Scope, SharedKey, Source, Span};
use vacancy_testbed::RedisServer;

mod support;
use support::soon;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(u32);

impl SharedKey for Key {
    fn tenant(&self) -> &str {
        "15"
    }

    fn name(&self) -> String {
        self.0.to_string()
    }
}

/// One node: a cache of its own, before an origin that all share.
struct Node {
    cache: Cache<Key, u64, Infallible>,
    origin: Arc<AtomicU64>,
}

impl Node {
    fn new(server: &RedisServer, consistency: Consistency, origin: &Arc<AtomicU64>) -> Self {
        let redis = Redis::at(server.url().parse().expect("the address of a redis"))
            .namespace("test")
            .consistency(consistency)
            .lease(Duration::from_secs(2));
        Self {
            cache: Cache::builder().redis(redis).build(),
            origin: Arc::clone(origin),
        }
    }

    fn covers() -> [Cover; 1] {
        [Cover::new(Scope::new("15", "host", "1"), Span::new(0, 100))]
    }

    async fn read(&self) -> (u64, Source) {
        let load = async || Ok(self.origin.load(Ordering::SeqCst));
        let Ok(answer) = self.cache.get_or_load(&Key(1), Self::covers, load).await;
        (*answer, answer.source())
    }

    /// Waits until level 1 may answer.
    async fn leased(&self) {
        soon(async {
            while !self.cache.is_leased("15") {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_is_answered_by_redis_and_hears_what_the_first_invalidates() {
    let server = RedisServer::start().await.unwrap();
    let origin = Arc::new(AtomicU64::new(1));
    let [a, b] = [(); 2].map(|()| Node::new(&server, Consistency::Strict, &origin));
    a.leased().await;
    b.leased().await;
    assert_eq!(a.read().await, (1, Source::Loaded));
    soon(async {
        while a.cache.statistics().level2.written == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(b.read().await, (1, Source::Level2));
    assert_eq!(b.read().await, (1, Source::Level1));

    origin.store(2, Ordering::SeqCst);
    a.cache
        .invalidate(&Scope::new("15", "host", "1"), Span::new(10, 20));
    soon(a.cache.confirmed("15", None)).await.unwrap();
    assert_eq!(b.read().await.0, 2);
    println!("{:#?}\n{:#?}", a.cache.statistics(), b.cache.statistics());
}
