//! What a cache holds is bounded: in time, in number, in weight, and in fences.

mod support;

use std::{
    convert::Infallible,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use support::soon;
use tokio::time::advance;
use vacancy::cache::{Builder, Cache, Cover, Scope, Source, Span};

type Numbers = Cache<u64, Vec<u8>, Infallible>;

fn builder() -> Builder<u64, Vec<u8>, Infallible> {
    Cache::builder()
}

fn scope(id: u64) -> Scope {
    Scope::new("tenant", "resource", id.to_string())
}

async fn read(cache: &Numbers, key: u64, bytes: usize) -> Source {
    let covers = || [Cover::new(scope(key), Span::new(0, 100))];
    let load = async || Ok(vec![0; bytes]);
    soon(cache.get_or_load(&key, covers, load))
        .await
        .unwrap()
        .source()
}

#[tokio::test(start_paused = true)]
async fn a_value_is_not_served_when_it_is_as_old_as_the_time_to_live() {
    let cache = builder().ttl(Duration::from_secs(300)).build();
    read(&cache, 1, 1).await;
    advance(Duration::from_millis(299_999)).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Level1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Loaded);
    assert_eq!(cache.statistics().expired, 1);
}

/// Age counts from the beginning of the load: what the origin said, it said no later than that.
#[tokio::test(start_paused = true)]
async fn the_time_a_load_takes_counts_as_age() {
    let cache = builder().ttl(Duration::from_secs(10)).build();
    let covers = || [Cover::new(scope(1), Span::ALL)];
    let slow = async || {
        advance(Duration::from_secs(8)).await;
        Ok(vec![])
    };
    let answer = cache.get_or_load(&1, covers, slow).await.unwrap();
    assert_eq!(answer.age(), Duration::from_secs(8));
    advance(Duration::from_secs(2)).await;
    assert!(cache.get(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_load_inside_the_settle_time_is_served_and_not_kept() {
    let cache = builder().settle_time(Duration::from_secs(5)).build();
    cache.invalidate(&scope(1), Span::new(10, 20)); // nothing is cached yet, and still it counts
    assert_eq!(read(&cache, 1, 1).await, Source::Loaded);
    advance(Duration::from_millis(4_999)).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Loaded);
    assert_eq!(cache.statistics().unkept, 2);
    advance(Duration::from_millis(1)).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Loaded);
    assert_eq!(read(&cache, 1, 1).await, Source::Level1);
}

#[tokio::test(start_paused = true)]
async fn other_spans_and_scopes_do_not_settle() {
    let cache = builder().settle_time(Duration::from_secs(5)).build();
    cache.invalidate(&scope(1), Span::new(100, 200));
    cache.invalidate(&scope(2), Span::ALL);
    read(&cache, 1, 1).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Level1);
}

#[tokio::test(start_paused = true)]
async fn a_scope_settles_after_its_latest_invalidation() {
    let cache = builder().settle_time(Duration::from_secs(5)).build();
    for _ in 0..3 {
        cache.invalidate(&scope(1), Span::ALL);
        advance(Duration::from_secs(4)).await;
    }
    assert_eq!(cache.statistics().fences, 1);
    read(&cache, 1, 1).await;
    assert_eq!(cache.statistics().unkept, 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(cache.statistics().fences, 0);
}

#[test]
fn a_million_invalidations_over_ten_thousand_scopes_leave_no_fence() {
    let cache = builder().build();
    for n in 0..1_000_000 {
        cache.invalidate(&scope(n % 10_000), Span::new(n as i64, n as i64 + 10));
    }
    let statistics = cache.statistics();
    assert_eq!(
        (statistics.fences, statistics.invalidations),
        (0, 1_000_000)
    );
}

#[tokio::test(start_paused = true)]
async fn fences_that_were_kept_to_settle_are_freed_when_they_have() {
    let cache = builder().settle_time(Duration::from_secs(5)).build();
    for n in 0..100_000 {
        cache.invalidate(&scope(n % 10_000), Span::new(0, 1));
    }
    assert_eq!(cache.statistics().fences, 10_000);
    advance(Duration::from_secs(5)).await;
    assert_eq!(cache.statistics().fences, 0);
}

#[tokio::test]
async fn fences_go_with_the_entries_that_hold_them() {
    let cache = builder().max_entries(NonZeroU64::new(100).unwrap()).build();
    for key in 0..10_000 {
        read(&cache, key, 1).await;
    }
    let statistics = cache.statistics();
    assert!(statistics.entries <= 100, "{statistics:?}");
    // Level 1 frees what it has evicted a little later, in batches.
    assert!(
        (statistics.entries..1_000).contains(&statistics.fences),
        "{statistics:?}"
    );
}

#[tokio::test]
async fn the_weight_of_all_values_stays_within_its_bound() {
    let weigh = |_: &u64, value: &Vec<u8>| value.len() as u32;
    let cache = builder()
        .max_weight(NonZeroU64::new(10_000).unwrap(), weigh)
        .build();
    for key in 0..1_000 {
        read(&cache, key, 100).await;
    }
    let statistics = cache.statistics();
    assert!(
        statistics.weight <= 10_000 && statistics.entries > 0,
        "{statistics:?}"
    );
    read(&cache, 5_000, 20_000).await; // heavier than all the room there is
    assert!(cache.statistics().weight <= 10_000 && cache.get(&5_000).is_none());
}

#[tokio::test]
async fn the_longest_settings_are_taken_without_a_panic() {
    let cache = builder()
        .ttl(Duration::MAX)
        .settle_time(Duration::MAX)
        .span_log(NonZeroUsize::MIN)
        .build();
    read(&cache, 1, 1).await;
    assert_eq!(read(&cache, 1, 1).await, Source::Level1);
    cache.invalidate(&scope(1), Span::ALL);
    assert_eq!(read(&cache, 1, 1).await, Source::Loaded);
}
