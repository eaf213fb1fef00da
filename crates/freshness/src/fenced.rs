//! Vacancy's cache, with level 2.

use std::{convert::Infallible, time::Duration};

use tokio::time::{Instant, sleep};
use vacancy_cache::{Cache, Consistency, Cover, Redis, Scope, SharedKey, Source as Kept, Span};

use crate::{
    clock::Moment,
    history::{Key, Source, Value, Write},
    origin::Origin,
    settings,
    subject::{Counts, Subject},
};

const TENANTS: [&str; 4] = ["1", "2", "12", "1:2"];

/// How long a node keeps trying to have everything confirmed when no fault is left.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server counts the time of a hold in whole milliseconds.
const GRAIN: Duration = Duration::from_millis(2);

/// The cache under test.
pub(crate) struct Fenced {
    cache: Cache<Place, Value, Infallible>,
    hold: Option<Duration>,
}

/// A key as the cache wants it. Two of them share a scope and differ in their span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place(Key);

impl Place {
    fn scope(self) -> Scope {
        Scope::new(self.tenant(), "place", (self.0 / 2).to_string())
    }

    fn span(self) -> Span {
        let from = i64::from(self.0 % 2) * 100;
        Span::new(from, from + 100)
    }

    fn cover(self) -> Cover {
        Cover::new(self.scope(), self.span())
    }
}

impl SharedKey for Place {
    fn tenant(&self) -> &str {
        TENANTS[usize::from(self.0 / 2) % TENANTS.len()]
    }

    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Fenced {
    /// Invalidates behind the commit.
    pub(crate) fn invalidating(
        url: &str,
        consistency: Consistency,
        lease: Duration,
    ) -> anyhow::Result<Self> {
        let redis = Redis::at(url.parse()?)
            .namespace("freshness")
            .consistency(consistency)
            .lease(lease)
            .confirm_within(settings::hold(lease));
        Ok(Self {
            cache: Cache::builder().redis(redis).build(),
            hold: None,
        })
    }

    /// Takes a hold before the commit and releases it behind.
    pub(crate) fn holding(url: &str, lease: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            hold: Some(settings::hold(lease)),
            ..Self::invalidating(url, Consistency::Strict, lease)?
        })
    }

    /// Without a hold in time there is no commit.
    async fn write_under_hold(&self, lasts: Duration, write: &mut Write, origin: &Origin) {
        let place = Place(write.key);
        let begun = Instant::now();
        let held_until = Moment::now().plus(lasts).minus(GRAIN);
        let Ok(hold) = self.cache.hold(&[place.cover()], lasts).await else {
            return;
        };
        origin.prepare().await;
        // A node that stood still meanwhile may hold nothing any more.
        if begun.elapsed() < lasts / 2 {
            write.held_until = Some(held_until);
            origin.commit(write).await;
        }
        self.cache.release(&hold);
    }
}

impl Subject for Fenced {
    async fn read(&self, key: Key, origin: &Origin) -> (Value, Source) {
        let place = Place(key);
        let load = async || Ok(origin.load(key).await);
        let Ok(answer) = self
            .cache
            .get_or_load(&place, || [place.cover()], load)
            .await;
        let source = match answer.source() {
            Kept::Level1 => Source::Level1,
            Kept::Level2 => Source::Level2,
            Kept::Shared => Source::Shared,
            _ => Source::Loaded,
        };
        (*answer, source)
    }

    async fn write(&self, write: &mut Write, origin: &Origin) {
        let place = Place(write.key);
        match self.hold {
            Some(lasts) => self.write_under_hold(lasts, write, origin).await,
            None => {
                origin.prepare().await;
                origin.commit(write).await;
                self.cache.invalidate(&place.scope(), place.span());
            }
        }
        if write.commit.is_none() {
            return;
        }
        write.dispatched = Some(Moment::now());
        if self.cache.confirmed(place.tenant(), None).await.is_ok() {
            write.confirmed = Some(Moment::now());
        }
    }

    async fn settle(&self) -> bool {
        let begun = Instant::now();
        for tenant in TENANTS {
            while self.cache.confirmed(tenant, None).await.is_err() {
                if begun.elapsed() > PATIENCE {
                    return false;
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        true
    }

    fn counts(&self) -> Counts {
        let statistics = self.cache.statistics();
        let level2 = statistics.level2;
        Counts {
            errors: level2.errors,
            gaps: level2.gaps,
            incarnations: level2.incarnations,
            doubted: statistics.doubted,
            fenced: level2.fenced,
            born_invalid: statistics.born_invalid,
            held: level2.held,
            lost_holds: level2.lost_holds,
        }
    }
}
