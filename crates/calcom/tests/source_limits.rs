//! Cal.com's limit is kept, its pauses are kept by everybody, and a server that does not work is left
//! alone.

mod fake_calcom;

use std::{num::NonZeroU32, time::Duration};

use chrono_tz::Tz;
use fake_calcom::{Bookable, FakeCalcom, days, failure, read, soon};
use tokio::{task::JoinSet, time::advance};
use vacancy_calcom::{CalcomError, CalcomLimit, CalcomSlots};
use vacancy_slots::{SlotsCache, SlotsQuery, SourceError};

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC))
}

async fn salon() -> FakeCalcom {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60));
    calcom
}

/// Seconds until the next turn.
fn limited(error: &SourceError) -> u64 {
    match error.downcast_ref() {
        Some(CalcomError::RateLimited { retry_after }) => retry_after.as_secs(),
        other => panic!("{other:?}"),
    }
}

async fn answers(source: &CalcomSlots) {
    assert_eq!(read(source, &wednesday()).await.expect("slots").len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_asked_too_often_is_left_alone_until_the_time_told() {
    let calcom = salon().await;
    calcom.per_minute(3);
    let limit = CalcomLimit::default();
    let source = calcom.builder().limit(limit.clone()).build().unwrap();
    let other = calcom.builder().limit(limit.clone()).build().unwrap();
    for _ in 0..3 {
        answers(&source).await;
    }
    assert_eq!(limited(&failure(&source, &wednesday()).await), 60);
    assert_eq!(calcom.calls(), 4);
    // Neither a clone, nor another source with the key, nor the application's own calls.
    for paused in [&source.clone(), &other] {
        assert_eq!(limited(&failure(paused, &wednesday()).await), 60);
    }
    let refused = limit.turn(Duration::from_secs(59)).await.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(60));
    assert_eq!(calcom.calls(), 4);

    advance(Duration::from_secs(60)).await;
    answers(&other).await;
    assert_eq!(calcom.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_time_told_as_a_date_counts_from_the_date_of_the_answer() {
    let calcom = salon().await;
    let source = calcom.source();
    let headers = [
        ("date", "Wed, 15 Oct 2025 14:00:00 GMT"),
        ("retry-after", "Wed, 15 Oct 2025 14:00:45 GMT"),
    ];
    calcom.answers(429, &headers, "");
    assert_eq!(limited(&failure(&source, &wednesday()).await), 45);
    advance(Duration::from_secs(45)).await;
    answers(&source).await;
}

/// The limiter keeps the requests below what the server counts.
#[tokio::test(start_paused = true)]
async fn a_crowd_of_requests_never_meets_a_429() {
    let calcom = salon().await;
    calcom.per_minute(12);
    let limit = CalcomLimit::per_minute(NonZeroU32::new(12).unwrap());
    let source = calcom.builder().limit(limit).retries(0).build().unwrap();
    let mut readers = JoinSet::new();
    for _ in 0..12 {
        let source = source.clone();
        readers.spawn(async move { read(&source, &wednesday()).await });
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(read) = soon(readers.join_next()).await {
        match read.unwrap() {
            Ok(_) => answered += 1,
            // Its turn would come after the time-out: said at once, nothing sent.
            Err(error) => refused += usize::from(limited(&error) > 5),
        }
    }
    assert_eq!((answered, refused), (3, 9));
    assert_eq!(calcom.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_asked_again_by_one_call_alone() {
    let calcom = salon().await;
    let source = calcom
        .builder()
        .retries(0)
        .breaker_failures(NonZeroU32::new(2).unwrap())
        .breaker_rest(Duration::from_secs(30))
        .build()
        .unwrap();
    for _ in 0..2 {
        calcom.answers(502, &[("content-type", "text/html")], "<html></html>");
        failure(&source, &wednesday()).await;
    }
    let open =
        |error: &SourceError| matches!(error.downcast_ref(), Some(CalcomError::BreakerOpen { .. }));
    assert!(open(&failure(&source.clone(), &wednesday()).await));
    assert_eq!(calcom.calls(), 2);

    advance(Duration::from_secs(30)).await;
    calcom.holds();
    let prober = source.clone();
    let probe = tokio::spawn(async move { read(&prober, &wednesday()).await });
    calcom.entered().await;
    assert!(open(&failure(&source, &wednesday()).await));
    assert_eq!(calcom.calls(), 3);
    calcom.release();
    soon(probe).await.unwrap().expect("the probe is answered");
    calcom.release();
    answers(&source).await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    let calcom = salon().await;
    calcom.answers(503, &[], "");
    answers(&calcom.source()).await;
    assert_eq!(calcom.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn readers_of_one_day_share_one_call() {
    let calcom = salon().await;
    calcom.holds();
    let cache = SlotsCache::builder(calcom.source()).build();
    let mut readers = JoinSet::new();
    for _ in 0..30 {
        let cache = cache.clone();
        readers.spawn(async move { cache.open(&wednesday()).await.map(|open| open.len()) });
    }
    calcom.entered().await;
    calcom.release();
    while let Some(read) = soon(readers.join_next()).await {
        assert_eq!(read.unwrap().unwrap(), 9);
    }
    assert_eq!(calcom.calls(), 1);
}
