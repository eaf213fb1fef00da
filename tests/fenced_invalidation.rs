//! A value is served only while every fence it was loaded under still stands.

mod support;

use std::{convert::Infallible, num::NonZeroUsize};

use support::{Gate, soon, until_idle};
use vacancy::cache::{Cache, Cover, Scope, Source, Span};

type Numbers = Cache<&'static str, u32, Infallible>;

fn host() -> Scope {
    Scope::new("tenant", "resource", "host")
}

fn day() -> [Cover; 1] {
    [Cover::new(host(), Span::new(0, 86_400))]
}

async fn read(cache: &Numbers, value: u32) -> (u32, Source) {
    let answer = soon(cache.get_or_load(&"day", day, async || Ok(value)))
        .await
        .unwrap();
    (*answer, answer.source())
}

async fn read_through(cache: Numbers, gate: Gate, value: u32) -> u32 {
    let load = async || {
        gate.pass().await;
        Ok(value)
    };
    *cache.get_or_load(&"day", day, load).await.unwrap()
}

/// moka does not fence loads: there, the old value stays until the time to live.
#[tokio::test]
async fn a_fill_begun_before_an_invalidation_is_refused() {
    let (cache, gate) = (Numbers::builder().build(), Gate::new());
    let reader = tokio::spawn(read_through(cache.clone(), gate.clone(), 1));
    gate.entered().await;
    assert!(cache.invalidate(&host(), Span::new(50, 60)));
    gate.release();

    assert_eq!(soon(reader).await.unwrap(), 1); // the reader gets what it asked for in time
    assert!(cache.get(&"day").is_none()); // nobody else does
    assert_eq!(read(&cache, 2).await, (2, Source::Loaded));
    assert_eq!(cache.statistics().born_invalid, 1);
}

#[tokio::test]
async fn a_reader_that_begins_after_an_invalidation_never_joins_an_older_flight() {
    let (cache, old, new) = (Numbers::builder().build(), Gate::new(), Gate::new());
    let before = tokio::spawn(read_through(cache.clone(), old.clone(), 1));
    old.entered().await;
    cache.invalidate(&host(), Span::ALL);
    let after = tokio::spawn(read_through(cache.clone(), new.clone(), 2));
    new.entered().await;

    // The old flight ends first, while the new one is in the air: it must not take its place.
    old.release();
    assert_eq!(soon(before).await.unwrap(), 1);
    let third = tokio::spawn(read_through(cache.clone(), Gate::new(), 3));
    until_idle().await;
    new.release();
    assert_eq!(soon(after).await.unwrap(), 2);
    assert_eq!(soon(third).await.unwrap(), 2);
    assert_eq!(read(&cache, 9).await, (2, Source::Level1));
}

#[tokio::test]
async fn several_invalidations_tell_how_many_of_them_anybody_could_notice() {
    let cache = Numbers::builder().build();
    read(&cache, 1).await;
    let all = |id| Cover::new(Scope::new("tenant", "resource", id), Span::ALL);
    let load = async || Ok(2);
    let covers = || [all("room")];
    soon(cache.get_or_load(&"room", covers, load))
        .await
        .unwrap();
    assert_eq!(
        cache.invalidate_all(&[all("host"), all("nobody"), all("room")]),
        2
    );
    assert_eq!(cache.statistics().invalidations, 3);
    assert!(cache.get(&"day").is_none() && cache.get(&"room").is_none());
}

#[tokio::test]
async fn an_invalidation_elsewhere_leaves_the_entry_and_brings_it_forward() {
    let cache = Numbers::builder().build();
    read(&cache, 1).await;
    cache.invalidate(&host(), Span::new(86_400, 90_000)); // touches the span, does not meet it
    cache.invalidate(&Scope::new("tenant", "resource", "other host"), Span::ALL);
    cache.invalidate(&Scope::new("other tenant", "resource", "host"), Span::ALL);

    assert_eq!(read(&cache, 2).await, (1, Source::Level1));
    assert_eq!(read(&cache, 2).await, (1, Source::Level1));
    assert_eq!(cache.statistics().brought_forward, 1); // the second read is the usual, short way again
}

#[tokio::test]
async fn an_entry_falls_when_any_of_its_covers_is_met() {
    let cache = Numbers::builder().build();
    let covers =
        || ["host", "room"].map(|id| Cover::new(Scope::new("t", "resource", id), Span::ALL));
    for fallen in ["host", "room"] {
        cache
            .get_or_load(&"day", covers, async || Ok(1))
            .await
            .unwrap();
        assert!(cache.get(&"day").is_some());
        cache.invalidate(&Scope::new("t", "resource", fallen), Span::new(3, 4));
        assert!(cache.get(&"day").is_none(), "{fallen}");
    }
}

#[tokio::test]
async fn an_empty_span_invalidates_nothing() {
    let cache = Numbers::builder().build();
    read(&cache, 1).await;
    assert!(!cache.invalidate(&host(), Span::new(60, 50)));
    assert_eq!(read(&cache, 2).await, (1, Source::Level1));
}

/// When the log no longer reaches back, nobody can tell whether the entry was met: it is loaded
/// again.
#[tokio::test]
async fn an_entry_that_the_log_has_forgotten_is_loaded_again() {
    let cache = Numbers::builder()
        .span_log(NonZeroUsize::new(4).unwrap())
        .build();
    read(&cache, 1).await;
    for hour in 0..4 {
        cache.invalidate(&host(), Span::new(100_000 + 10 * hour, 100_005 + 10 * hour));
    }
    assert_eq!(read(&cache, 2).await, (1, Source::Level1));
    for hour in 4..9 {
        cache.invalidate(&host(), Span::new(100_000 + 10 * hour, 100_005 + 10 * hour));
    }
    assert_eq!(read(&cache, 2).await, (2, Source::Loaded));
    assert_eq!(cache.statistics().log_overflows, 1);
}

#[tokio::test]
async fn generations_never_go_back_even_when_a_fence_is_made_anew() {
    let cache = Numbers::builder().build();
    let mut last = 0;
    for round in 1..=5 {
        // Overtaken, so nothing is kept: the answer alone holds the fence.
        let load = async || {
            cache.invalidate(&host(), Span::ALL);
            Ok(round)
        };
        let answer = cache.get_or_load(&"day", day, load).await.unwrap();
        assert!(answer.generation() >= last);
        last = answer.generation();
        assert_eq!(cache.statistics().fences, 1);
        drop(answer);
        assert_eq!(cache.statistics().fences, 0);
    }
    assert_eq!(last, 4);
}
