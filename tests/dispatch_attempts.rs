//! Time-outs, retries, and the errors that end them (D10).

mod dispatch;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::{sync::Notify, time::Instant};
use vacancy::dispatch::{
    BoxError, Bus, Delivery, Outcome, Permanent, Policy, Reason, Retry, Skip, listen_fn,
};

/// A bus whose only listener asks `answer` at each attempt.
fn bus(
    policy: Policy<Ping>,
    answer: impl Fn(u32) -> Result<(), BoxError> + Send + Sync + 'static,
) -> (Bus, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&calls);
    let listener = listen_fn::<Ping, _, _>("listener", move |_| {
        counts.fetch_add(1, Ordering::Relaxed);
        let attempt = Delivery::current().map_or(0, |delivery| delivery.attempt());
        std::future::ready(answer(attempt))
    });
    (
        Bus::builder()
            .listen_with(listener, policy)
            .build()
            .expect("fits together"),
        calls,
    )
}

fn attempts(attempts: u32) -> Retry {
    Retry::new(NonZeroU32::new(attempts).expect("not zero"))
}

async fn outcome(bus: &Bus) -> Outcome {
    within(bus.dispatch(Ping(1)).reached("listener"))
        .await
        .expect("is a listener")
}

/// D10: the future is dropped, and the next event is handled.
#[tokio::test(start_paused = true)]
async fn a_time_out_drops_the_listeners_future() {
    struct Ends(Arc<Notify>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let ended = Arc::new(Notify::new());
    let ends = Arc::clone(&ended);
    let listener = listen_fn::<Ping, _, _>("listener", move |_| {
        let ends = Ends(Arc::clone(&ends));
        async move {
            let _ends = ends;
            std::future::pending().await
        }
    });
    let policy = Policy::new().time_out(Duration::from_secs(5));
    let bus = Bus::builder()
        .listen_with(listener, policy)
        .build()
        .expect("fits together");
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::TimedOut));
        assert_eq!(begun.elapsed().as_secs(), 5);
        within(ended.notified()).await;
    }
    assert_eq!(bus.dead_letters()[0].error(), "not done within 5s");
}

/// D10: pauses of 1 s and 2 s, each with jitter of at most itself.
#[tokio::test(start_paused = true)]
async fn a_failed_listener_is_called_again_after_growing_pauses() {
    let retry = attempts(4).first_pause(Duration::from_secs(1));
    let (bus, calls) = bus(Policy::new().retry(retry), |attempt| {
        if attempt < 3 {
            Err("busy".into())
        } else {
            Ok(())
        }
    });
    let begun = Instant::now();
    assert_eq!(outcome(&bus).await, Outcome::Done);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let took = begun.elapsed();
    assert!((3..=6).contains(&took.as_secs()), "{took:?}");
    assert!(bus.dead_letters().is_empty());
}

/// D10.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_their_number() {
    let (bus, calls) = bus(Policy::new().retry(attempts(3)), |_| Err("busy".into()));
    assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::Failed));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let letters = bus.dead_letters();
    assert_eq!(
        (letters.len(), letters[0].attempts(), letters[0].error()),
        (1, 3, "busy")
    );
}

/// D10: the time-out covers attempts and pauses alike.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_the_time_out() {
    let retry = attempts(100).first_pause(Duration::from_secs(1));
    let policy = Policy::new().time_out(Duration::from_secs(10)).retry(retry);
    let (bus, calls) = bus(policy, |_| Err("busy".into()));
    let begun = Instant::now();
    assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::TimedOut));
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert!(calls.load(Ordering::Relaxed) < 5);
    assert_eq!(
        bus.dead_letters()[0].error(),
        "not done within 10s; last error: busy"
    );
}

/// D10.
#[tokio::test]
async fn a_permanent_error_is_not_retried() {
    let (bus, calls) = bus(Policy::new().retry(attempts(3)), |_| {
        Err(Permanent::new("no such address").into())
    });
    assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::Failed));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(bus.dead_letters()[0].error(), "no such address");
}

/// D10.
#[tokio::test]
async fn a_panic_is_not_retried() {
    let (bus, calls) = bus(Policy::new().retry(attempts(3)), |_| panic!("broken"));
    assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::Panicked));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// D3.
#[tokio::test]
async fn a_listener_may_skip_an_event() {
    let (bus, calls) = bus(Policy::new().retry(attempts(3)), |_| Err(Skip.into()));
    assert_eq!(outcome(&bus).await, Outcome::Skipped);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(bus.dead_letters().is_empty());
    assert_eq!(bus.ledger().totals().skipped, 1);
}

/// D10: an attempt that hangs is given up, and another may mend it.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_retried() {
    let listener = listen_fn::<Ping, _, _>("listener", |_| async {
        match Delivery::current().map_or(0, |delivery| delivery.attempt()) {
            3 => Ok(()),
            _ => std::future::pending().await,
        }
    });
    let policy = |attempts_left| {
        Policy::new()
            .attempt_time_out(Duration::from_secs(2))
            .retry(attempts(attempts_left).first_pause(Duration::from_secs(1)))
    };
    let bus = Bus::builder()
        .listen_with(listener, policy(3))
        .build()
        .expect("fits together");
    let begun = Instant::now();
    assert_eq!(outcome(&bus).await, Outcome::Done);
    // Twice 2 s, and pauses of 1 s and 2 s with jitter of at most themselves.
    let took = begun.elapsed().as_secs();
    assert!((7..=10).contains(&took), "{took} s");

    let hangs = listen_fn::<Ping, _, _>("listener", |_| std::future::pending());
    let bus = Bus::builder()
        .listen_with(hangs, policy(2))
        .build()
        .expect("fits together");
    assert_eq!(outcome(&bus).await, Outcome::Dead(Reason::TimedOut));
    let letters = bus.dead_letters();
    assert_eq!(letters[0].attempts(), 2);
    assert_eq!(letters[0].error(), "attempt not done within 2s");
}

#[derive(Debug, thiserror::Error)]
#[error("code {0}")]
struct Smtp(u16);

/// D10: the listener's own errors say whether another attempt helps.
#[tokio::test(start_paused = true)]
async fn the_policy_can_tell_permanent_errors_from_others() {
    let policy = || {
        Policy::new().retry(attempts(3)).permanent_if(|error| {
            let error = error.downcast_ref::<Smtp>();
            error.is_some_and(|Smtp(code)| *code >= 500)
        })
    };
    let (permanent, calls) = bus(policy(), |_| Err(Smtp(550).into()));
    assert_eq!(outcome(&permanent).await, Outcome::Dead(Reason::Failed));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let (transient, calls) = bus(policy(), |_| Err(Smtp(421).into()));
    assert_eq!(outcome(&transient).await, Outcome::Dead(Reason::Failed));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let panics = Policy::new().permanent_if(|_| panic!("broken"));
    let (broken, _) = bus(panics, |_| Err(Smtp(421).into()));
    assert_eq!(outcome(&broken).await, Outcome::Dead(Reason::Panicked));
}

/// The burst at once, the rest evenly, retries included.
#[cfg(feature = "rate-limit")]
#[tokio::test(start_paused = true)]
async fn a_listener_is_not_called_more_often_than_its_limit() {
    use vacancy::dispatch::RateLimit;
    let limit = RateLimit::per_second(NonZeroU32::new(2).expect("not zero"));
    let limit = limit.burst(NonZeroU32::new(3).expect("not zero"));
    let (bus, calls) = bus(Policy::new().rate_limit(limit), |_| Ok(()));
    let begun = Instant::now();
    let receipts: Vec<_> = (0..9).map(|number| bus.dispatch(Ping(number))).collect();
    assert!(within(receipts[2].settled()).await.all_done());
    assert_eq!(begun.elapsed().as_secs(), 0);
    for receipt in &receipts {
        assert!(within(receipt.settled()).await.all_done());
    }
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(calls.load(Ordering::Relaxed), 9);
    assert_eq!(
        bus.topology().rows()[0]
            .lane
            .as_ref()
            .and_then(|lane| lane.rate_limit),
        Some(limit)
    );
}
