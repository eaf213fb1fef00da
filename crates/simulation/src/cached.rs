//! The cache, as a node of a simulation has it.

use std::{num::NonZeroUsize, time::Duration};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use vacancy_cache::{
    Answer, Cache, Consistency, Cover, Hold, Landing, Look, Nearest, Redis, Scope, SharedKey,
    Source, Span, Token, Turn,
    simulation::{Dial, Dialing, Stream},
};

use crate::{
    network::Network,
    origin::{Origin, Unanswered},
    subject::{Read, Subject, Unconfirmed},
    workload::Settings,
};

/// The cache on one node.
#[derive(Debug)]
pub struct Cached(Cache<Key, Versioned, Unanswered>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(usize);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Versioned {
    key: usize,
    version: u64,
}

/// All keys are of one tenant: what is confirmed, is confirmed tenant by tenant.
const TENANT: &str = "salon";

/// The keys share this many scopes, so that spans decide, too.
const SCOPES: usize = 2;

impl SharedKey for Key {
    fn tenant(&self) -> &str {
        TENANT
    }

    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Key {
    /// Its own span of a scope that others share, and all of a scope that every key has.
    fn covers(self) -> [Cover; 2] {
        [self.cover(), everything()]
    }

    /// What a write says that it changes: more than the key, now and then.
    fn changed(self) -> Cover {
        match fastrand::u8(..16) {
            0 => everything(),
            _ => self.cover(),
        }
    }

    fn cover(self) -> Cover {
        let from = 10 * (self.0 / SCOPES) as i64;
        let scope = Scope::new(TENANT, "resource", (self.0 % SCOPES).to_string());
        Cover::new(scope, Span::new(from, from + 10))
    }
}

/// So few that logs overflow, and that loads wait for each other.
const SPANS: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
const LOADS: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

fn everything() -> Cover {
    Cover::new(Scope::new(TENANT, "everybody", ""), Span::ALL)
}

struct Dialer(Network, usize);

impl Dial for Dialer {
    fn dial(&self) -> Dialing {
        let dialled = self.0.clone().dial(self.1);
        Box::pin(async { Ok(Box::new(dialled.await?) as Box<dyn Stream>) })
    }
}

/// Starts a cache on a node.
#[must_use]
pub fn start_cache(node: usize, network: Network, settings: &Settings) -> Cached {
    let redis = Redis::over(Dialer(network, node))
        .namespace("simulation")
        .consistency(match settings.strict {
            true => Consistency::Strict,
            false => Consistency::Bounded,
        })
        .lease(settings.lease)
        .time_out(settings.time_out)
        .confirm_within(settings.confirm_within);
    // Nothing is to be saved by age.
    let ttl = Duration::from_secs(3600);
    let cache = Cache::builder()
        .ttl(ttl)
        .settle_time(settings.settle)
        .span_log(SPANS)
        .max_loads(LOADS)
        .redis(redis)
        .build();
    Cached(cache)
}

impl Cached {
    /// Reads at level 2, or the origin: what `get_or_load` does for level 1.
    async fn read_afresh(
        &self,
        key: Key,
        load: impl AsyncFnOnce() -> Result<Versioned, Unanswered>,
    ) -> Result<Answer<Versioned>, Unanswered> {
        let cache = &self.0;
        let mut turn = cache.begin(&key, Nearest::Level2, || key.covers());
        loop {
            let follower = match turn {
                Turn::Hit(answer) => return Ok(answer),
                Turn::Follow(follower) => follower,
                Turn::Load(ticket) => {
                    let looks = cache.look(vec![ticket]).await;
                    let look = looks.into_iter().next().expect("one for each ticket");
                    let ticket = match look {
                        Look::Found(answer) => return Ok(answer),
                        Look::Missing(ticket) => ticket,
                    };
                    let _admission = cache.admission().await;
                    let begun = ticket.depart();
                    return match load().await {
                        Ok(value) => Ok(begun.fill(value)),
                        Err(error) => {
                            begun.fail(error);
                            Err(error)
                        }
                    };
                }
            };
            let retry = match follower.await {
                Landing::Answer(answer) => return Ok(answer),
                Landing::Failed(error, _) => return Err(error),
                Landing::Lost(retry) => retry,
            };
            turn = cache.begin_again(&key, Nearest::Level2, || key.covers(), retry);
        }
    }
}

impl Subject for Cached {
    type Token = Token;
    type Hold = Hold;

    async fn read(
        &self,
        key: usize,
        token: Option<&Token>,
        origin: Origin,
        rng: Rng,
    ) -> Result<Read, Unanswered> {
        let own = Key(key);
        let load = || {
            let (origin, mut rng) = (origin.clone(), rng.clone());
            async move {
                let version = origin.load(key, &mut rng).await?;
                Ok(Versioned { key, version })
            }
        };
        let answer = if token.is_none_or(|token| self.0.has_heard(token)) {
            self.0.get_or_load(&own, || own.covers(), load).await?
        } else {
            self.read_afresh(own, load).await?
        };
        Ok(Read {
            key: answer.key,
            version: answer.version,
            source: match answer.source() {
                Source::Level1 => "level 1",
                Source::Level2 => "level 2",
                Source::Loaded => "loaded",
                Source::Shared => "shared",
                _ => "elsewhere",
            },
        })
    }

    fn invalidate(&self, key: usize) {
        let Cover { scope, span } = Key(key).changed();
        self.0.invalidate(&scope, span);
    }

    async fn confirmed(&self) -> Result<Token, Unconfirmed> {
        self.0
            .confirmed(TENANT, None)
            .await
            .map_err(|_| Unconfirmed)
    }

    async fn hold(&self, key: usize, lasts: Duration) -> Result<Hold, Unconfirmed> {
        let held = self.0.hold(&[Key(key).changed()], lasts).await;
        held.map_err(|_| Unconfirmed)
    }

    fn release(&self, hold: Hold) {
        self.0.release(&hold);
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let statistics = self.0.statistics();
        let level2 = statistics.level2;
        vec![
            ("level 1: hits", statistics.hits),
            ("level 1: without a lease", statistics.doubted),
            ("level 1: behind a fence", statistics.fenced),
            ("level 1: refused", statistics.born_invalid),
            ("level 1: not kept", statistics.unkept),
            ("level 2: hits", level2.hits),
            ("level 2: misses", level2.misses),
            ("level 2: behind a fence", level2.fenced),
            ("level 2: held", level2.held),
            ("level 2: bypassed", level2.bypassed),
            ("level 2: errors", level2.errors),
            ("loads", statistics.loads),
            ("loads shared", statistics.coalesced),
            ("leases", level2.leases),
            ("notices applied", level2.notices),
            ("gaps found", level2.gaps),
            ("incarnations met", level2.incarnations),
            ("holds lost", level2.lost_holds),
            ("unconfirmed", level2.unconfirmed),
        ]
    }
}
