//! Time-outs, retries, and the errors that end them (D10).

mod dispatch;

use std::{error::Error, num::NonZeroU32, sync::Arc, time::Duration};

use dispatch::{Ping, within};
use tokio::{sync::Notify, time::Instant};
use vacancy::dispatch::{
    Bus, Delivery, Outcome, Permanent, Policy, Reason, Retry, Skip, listen_fn,
    testing::{Fake, TestBus},
};

/// A bus whose only listener is this.
fn bus(policy: Policy<Ping>, listener: Fake) -> TestBus {
    let named = listen_fn::<Ping, _, _>("listener", |_| async { Ok(()) });
    TestBus::of(Bus::builder().listen_with(named, policy))
        .fake("listener", listener)
        .build()
}

fn attempts(attempts: u32) -> Retry {
    Retry::new(NonZeroU32::new(attempts).expect("not zero"))
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
        let outcome = within(bus.dispatch(Ping(1)).reached("listener")).await;
        assert_eq!(outcome, Ok(Outcome::Dead(Reason::TimedOut)));
        assert_eq!(begun.elapsed().as_secs(), 5);
        within(ended.notified()).await;
    }
    assert_eq!(bus.dead_letters()[0].error(), "not done within 5s");
}

/// D10: pauses of 1 s and 2 s, each with jitter of at most itself.
#[tokio::test(start_paused = true)]
async fn a_failed_listener_is_called_again_after_growing_pauses() {
    let retry = attempts(4).first_pause(Duration::from_secs(1));
    let bus = bus(Policy::new().retry(retry), Fake::fails_times(2));
    let begun = Instant::now();
    bus.dispatch(Ping(1));
    bus.settled()
        .await
        .ran("listener")
        .once()
        .attempts(3)
        .done();
    let took = begun.elapsed();
    assert!((3..=6).contains(&took.as_secs()), "{took:?}");
    assert!(bus.dead_letters().is_empty());
}

/// D10.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_their_number() {
    let bus = bus(Policy::new().retry(attempts(3)), Fake::fails());
    bus.dispatch(Ping(1));
    let ran = bus.settled().await;
    ran.ran("listener").attempts(3).dead(Reason::Failed);
    let letters = bus.dead_letters();
    assert_eq!(
        (letters.len(), letters[0].attempts(), letters[0].error()),
        (1, 3, "the fake fails")
    );
}

/// D10: the time-out covers attempts and pauses alike.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_the_time_out() {
    let retry = attempts(100).first_pause(Duration::from_secs(1));
    let policy = Policy::new().time_out(Duration::from_secs(10)).retry(retry);
    let bus = bus(policy, Fake::fails());
    let begun = Instant::now();
    bus.dispatch(Ping(1));
    bus.settled().await.ran("listener").dead(Reason::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 10);
    let letter = &bus.dead_letters()[0];
    assert!(letter.attempts() < 5);
    assert_eq!(
        letter.error(),
        "not done within 10s; last error: the fake fails"
    );
}

/// D10.
#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_retried() {
    let bus = bus(Policy::new().retry(attempts(3)), Fake::fails_permanently());
    bus.dispatch(Ping(1));
    let ran = bus.settled().await;
    ran.ran("listener").attempts(1).dead(Reason::Failed);
    assert_eq!(bus.dead_letters()[0].error(), "the fake fails");
}

/// Both are errors like others: what stands behind the one, and what the other says, can be read.
#[test]
fn what_a_listener_returns_of_ours_says_what_it_is() {
    #[derive(Debug, thiserror::Error)]
    #[error("not sent")]
    struct NotSent(#[source] std::num::ParseIntError);

    let behind = "x".parse::<u8>().expect_err("no number");
    let text = behind.to_string();
    let permanent = Permanent::new(NotSent(behind));
    assert_eq!(permanent.to_string(), "not sent");
    let source = permanent.source().map(ToString::to_string);
    assert_eq!(source, Some(text));
    assert_eq!(Skip.to_string(), "the listener had nothing to do");
}

/// D10.
#[tokio::test(start_paused = true)]
async fn a_panic_is_not_retried() {
    let bus = bus(Policy::new().retry(attempts(3)), Fake::panics());
    bus.dispatch(Ping(1));
    let ran = bus.settled().await;
    ran.ran("listener").attempts(1).dead(Reason::Panicked);
}

/// D3.
#[tokio::test(start_paused = true)]
async fn a_listener_may_skip_an_event() {
    let bus = bus(Policy::new().retry(attempts(3)), Fake::skips());
    bus.dispatch(Ping(1));
    let ran = bus.settled().await;
    ran.ran("listener").attempts(1).ended(Outcome::Skipped);
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
    let bus = TestBus::of(Bus::builder().listen_with(listener, policy(3))).build();
    let begun = Instant::now();
    bus.dispatch(Ping(1));
    bus.settled().await.ran("listener").attempts(3).done();
    // Twice 2 s, and pauses of 1 s and 2 s with jitter of at most themselves.
    let took = begun.elapsed().as_secs();
    assert!((7..=10).contains(&took), "{took} s");

    let hangs = self::bus(policy(2), Fake::hangs());
    hangs.dispatch(Ping(1));
    let ran = hangs.settled().await;
    ran.ran("listener").attempts(2).dead(Reason::TimedOut);
    let letters = hangs.dead_letters();
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
    let panics = || Policy::new().permanent_if(|_| panic!("broken"));
    for (policy, code, attempts, reason) in [
        (policy(), 550, 1, Reason::Failed),
        (policy(), 421, 3, Reason::Failed),
        (panics(), 421, 1, Reason::Panicked),
    ] {
        let bus = bus(policy, Fake::fails_with(move || Smtp(code)));
        bus.dispatch(Ping(1));
        let ran = bus.settled().await;
        ran.ran("listener").attempts(attempts).dead(reason);
    }
}

/// The burst at once, the rest evenly, retries included.
#[cfg(feature = "rate-limit")]
#[tokio::test(start_paused = true)]
async fn a_listener_is_not_called_more_often_than_its_limit() {
    use vacancy::dispatch::RateLimit;
    let limit = RateLimit::per_second(NonZeroU32::new(2).expect("not zero"));
    let limit = limit.burst(NonZeroU32::new(3).expect("not zero"));
    let bus = bus(Policy::new().rate_limit(limit), Fake::done());
    let begun = Instant::now();
    let receipts: Vec<_> = (0..9).map(|number| bus.dispatch(Ping(number))).collect();
    assert!(within(receipts[2].settled()).await.all_done());
    assert_eq!(begun.elapsed().as_secs(), 0);
    bus.settled().await.ran("listener").times(9).done();
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(
        bus.topology().rows()[0]
            .lane
            .as_ref()
            .and_then(|lane| lane.rate_limit),
        Some(limit)
    );
}
