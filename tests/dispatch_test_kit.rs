//! The test kit waits for all that a dispatch sets going, and each of its assertions can fail.

mod dispatch;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use dispatch::{Ping, within};
use tokio::time::Instant;
use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, BusBuilder, Delivery, Envelope, Event, Failed,
    Outcome, Overflow, Policy, Reason, Retry, inline_fn, listen_fn,
    testing::{Fake, Gate, Ran, TestBus},
};

struct Pong(u64);

impl Event for Pong {
    const NAME: &'static str = "pong";
}

/// What nobody listens to.
struct Echo(u64);

impl Event for Echo {
    const NAME: &'static str = "echo";
}

fn three_attempts<E>() -> Policy<E> {
    let attempts = NonZeroU32::new(3).expect("not zero");
    Policy::new().retry(Retry::new(attempts).first_pause(Duration::from_secs(1)))
}

/// Each ping is a fence raised, a mail, a calendar synchronised and a pong; a pong is a mail and an
/// echo.
fn listeners() -> BusBuilder {
    Bus::builder()
        .inline(inline_fn::<Ping, _>("fence", |_| ()))
        .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
        .listen_with(
            listen_fn::<Ping, _, _>("sync", |_| async { Ok(()) }),
            three_attempts(),
        )
        .listen(listen_fn::<Ping, _, _>(
            "answer",
            |ping: Arc<Envelope<Ping>>| async move {
                tokio::task::yield_now().await;
                let delivery = Delivery::current().ok_or("no delivery")?;
                delivery.dispatch(Pong(ping.0 + 10));
                Ok(())
            },
        ))
        .listen(listen_fn::<Pong, _, _>(
            "mail",
            |pong: Arc<Envelope<Pong>>| async move {
                tokio::task::yield_now().await;
                let delivery = Delivery::current().ok_or("no delivery")?;
                delivery.dispatch(Echo(pong.0 + 10));
                Ok(())
            },
        ))
}

/// What runs for one ping, with a fake for `sync`.
async fn one_ping(sync: Fake) -> Ran {
    let bus = TestBus::of(listeners()).fake("sync", sync).build();
    bus.dispatch(Ping(1));
    within(bus.settled()).await
}

/// What an assertion says when it fails.
fn message(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it should have failed");
    *panic.downcast::<String>().expect("it says why")
}

/// What it says first.
fn claim(assertion: impl FnOnce()) -> String {
    let message = message(assertion);
    let (claim, ran) = message
        .split_once("\nwhat ran:\n")
        .expect("it says what ran");
    assert!(ran.contains("ping#1"), "{ran}");
    claim.to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_ran_is_told_with_what_listeners_dispatched() {
    let ran = one_ping(Fake::fails_times(2)).await;
    ran.ran("fence").once().done().before("mail");
    ran.ran("mail").times(2).done();
    ran.ran("mail").for_event::<Ping>().once().attempts(1);
    ran.ran("mail").for_event::<Pong>().once();
    ran.ran("sync").once().attempts(3).done();
    ran.ran("answer").once().done();
    ran.nothing_else();
    let numbers = |events: &[Arc<Envelope<Pong>>]| -> Vec<_> {
        events
            .iter()
            .map(|event| (event.0, event.depth()))
            .collect()
    };
    assert_eq!(numbers(&ran.dispatched::<Pong>()), [(11, 1)]);
    assert_eq!(ran.dispatched::<Ping>().len(), 1);
    // Nobody listens to it, and it is known all the same.
    assert_eq!(ran.dispatched::<Echo>()[0].0, 21);
}

/// Time is not paused, and listeners run on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_listeners_run_on_other_threads() {
    for _ in 0..200 {
        let bus = TestBus::of(listeners()).build();
        for number in 0..10 {
            bus.dispatch(Ping(number));
        }
        let ran = within(bus.settled()).await;
        ran.ran("fence").times(10).done();
        ran.ran("sync").times(10).done();
        ran.ran("answer").times(10).done();
        ran.ran("mail").times(20).done();
        ran.nothing_else();
        assert_eq!(ran.dispatched::<Echo>().len(), 10);
        assert!(bus.ledger().balanced());
    }
}

/// A dead letter is kept when the bus has settled, also where another thread makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_there_when_the_bus_has_settled() {
    for _ in 0..200 {
        let bus = TestBus::of(listeners()).fake("mail", Fake::fails()).build();
        bus.dispatch(Ping(1));
        within(bus.settled())
            .await
            .ran("mail")
            .times(2)
            .dead(Reason::Failed);
        assert_eq!(bus.dead_letters().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fake_does_what_it_says_and_the_real_listener_nothing() {
    let real = || listen_fn::<Ping, _, _>("real", |_| async { panic!("the real one was called") });
    let policy = || three_attempts().time_out(Duration::from_secs(90));
    let gate = Gate::new();
    gate.open();
    for (fake, outcome, attempts) in [
        (Fake::done(), Outcome::Done, 1),
        (Fake::skips(), Outcome::Skipped, 1),
        (Fake::fails(), Outcome::Dead(Reason::Failed), 3),
        (Fake::fails_times(0), Outcome::Done, 1),
        (Fake::fails_times(2), Outcome::Done, 3),
        (Fake::fails_times(3), Outcome::Dead(Reason::Failed), 3),
        (Fake::fails_permanently(), Outcome::Dead(Reason::Failed), 1),
        (Fake::panics(), Outcome::Dead(Reason::Panicked), 1),
        (Fake::hangs(), Outcome::Dead(Reason::TimedOut), 1),
        (Fake::gated(&gate), Outcome::Done, 1),
        (
            Fake::gated(&Gate::new()),
            Outcome::Dead(Reason::TimedOut),
            1,
        ),
    ] {
        let listeners = Bus::builder().listen_with(real(), policy());
        let bus = TestBus::of(listeners).fake("real", fake).build();
        // At each event, not once in all.
        for _ in 0..2 {
            bus.dispatch(Ping(1));
            let ran = bus.settled().await;
            ran.ran("real").once().ended(outcome).attempts(attempts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_batches_has_fakes_too() {
    struct Real;
    impl BatchListener<Ping> for Real {
        async fn handle(&self, _: &Batch<Ping>) -> Result<(), BoxError> {
            panic!("the real one was called")
        }
    }
    let batching = Batching::up_to(NonZeroUsize::new(10).expect("not zero"));
    let listeners = Bus::builder().listen_batches(Real, batching, three_attempts());
    let bus = TestBus::of(listeners)
        .fake("Real", Fake::fails_times(2))
        .build();
    bus.dispatch(Ping(1));
    bus.dispatch(Ping(2));
    let ran = bus.settled().await;
    ran.ran("Real").times(2).attempts(3).done();
}

#[tokio::test(start_paused = true)]
async fn an_inline_listener_has_fakes_too() {
    let called = |_: &Ping| panic!("the real one was called");
    for (fake, outcome) in [
        (Fake::done(), Outcome::Done),
        (Fake::panics(), Outcome::Dead(Reason::Panicked)),
    ] {
        let listeners = Bus::builder().inline(inline_fn("fence", called));
        let bus = TestBus::of(listeners).fake("fence", fake).build();
        bus.dispatch(Ping(1));
        bus.settled().await.ran("fence").once().ended(outcome);
    }
    for fake in [
        Fake::skips(),
        Fake::fails_times(1),
        Fake::fails_permanently(),
        Fake::hangs(),
        Fake::gated(&Gate::new()),
    ] {
        let message = message(|| drop(TestBus::of(listeners()).fake("fence", fake)));
        let expected =
            "fence listens to ping inline: its fake can be done or panic, and nothing else";
        assert_eq!(message, expected);
    }
}

#[tokio::test]
async fn a_gate_holds_a_listener_until_it_is_released() {
    let gate = Gate::new();
    let bus = TestBus::of(listeners())
        .fake("sync", Fake::gated(&gate))
        .build();
    let receipts = [
        bus.dispatch(Ping(1)),
        bus.dispatch(Ping(2)),
        bus.dispatch(Ping(3)),
    ];
    within(gate.entered()).await;
    within(receipts[0].reached("answer"))
        .await
        .expect("it listens");
    assert_eq!(receipts[0].outcome("sync"), Ok(None));
    gate.release();
    within(gate.entered()).await;
    assert_eq!(receipts[0].outcome("sync"), Ok(Some(Outcome::Done)));
    assert_eq!(receipts[1].outcome("sync"), Ok(None));
    gate.open();
    within(bus.settled()).await.ran("sync").times(3).done();
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "nobody came to the gate within 60s, at tests/dispatch_test_kit.rs:")]
async fn a_gate_that_nobody_comes_to_fails_the_test() {
    Gate::new().entered().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_of_an_hour_pass_at_once() {
    let retry = Retry::new(NonZeroU32::new(2).expect("not zero"));
    let hour = Duration::from_secs(3600);
    let policy = Policy::new()
        .retry(retry.first_pause(hour).longest_pause(hour))
        .time_out(hour * 24);
    let real = listen_fn::<Ping, _, _>("sync", |_| async { Ok(()) });
    let bus = TestBus::of(Bus::builder().listen_with(real, policy))
        .fake("sync", Fake::fails_times(1))
        .settles_within(hour * 24)
        .build();
    let begun = Instant::now();
    bus.dispatch(Ping(1));
    bus.settled().await.ran("sync").attempts(2).done();
    assert!(begun.elapsed() >= hour);
}

#[tokio::test(start_paused = true)]
async fn each_wait_gives_what_has_happened_since_the_last() {
    let bus = TestBus::of(listeners()).build();
    assert_eq!(bus.settled().await.to_string(), "  nothing\n");
    bus.dispatch(Ping(1));
    bus.settled().await.ran("mail").times(2);
    bus.dispatch(Pong(1));
    let ran = bus.settled().await;
    ran.ran("mail").once().done();
    ran.nothing_else();
    assert!(ran.dispatched::<Ping>().is_empty());
    bus.settled().await.nothing_else();
}

/// Its inline listeners have run; no lane has it.
#[tokio::test(start_paused = true)]
async fn an_event_that_was_refused_was_not_dispatched() {
    let bus = TestBus::of(listeners()).build();
    bus.shutdown(Duration::from_secs(1)).await;
    bus.dispatch(Ping(1));
    bus.dispatch(Echo(1));
    let ran = bus.settled().await;
    assert!(ran.dispatched::<Ping>().is_empty());
    assert!(ran.dispatched::<Echo>().is_empty());
    ran.ran("fence").once().done();
    ran.nothing_else();
}

/// It runs at its listener alone, and is no event that somebody dispatched.
#[tokio::test(start_paused = true)]
async fn a_replay_is_waited_for() {
    let bus = TestBus::of(listeners()).fake("sync", Fake::fails()).build();
    bus.dispatch(Ping(1));
    bus.settled().await.ran("sync").dead(Reason::Failed);
    let replays = bus.replay_where(|_| true);
    assert_eq!(replays.len(), 1);
    let ran = bus.settled().await;
    ran.ran("sync").once().attempts(3).dead(Reason::Failed);
    ran.nothing_else();
    assert!(ran.dispatched::<Ping>().is_empty());
}

/// What hears of failures is waited for as well, whichever thread fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_somebody_hears_is_waited_for() {
    for _ in 0..200 {
        let alert = listen_fn::<Failed<Ping>, _, _>("alert", |_| async { Ok(()) });
        let slow = inline_fn::<Failed<Ping>, _>("slow", |_| {
            for _ in 0..100 {
                std::thread::yield_now();
            }
        });
        let bus = TestBus::of(listeners().listen(alert).inline(slow))
            .fake("mail", Fake::fails())
            .build();
        bus.dispatch(Ping(1));
        let ran = within(bus.settled()).await;
        ran.ran("slow").once().done();
        ran.ran("alert").once().done();
        assert_eq!(ran.dispatched::<Failed<Ping>>().len(), 1);
    }
}

/// Without a run there is an outcome, and that can be asserted.
#[tokio::test(start_paused = true)]
async fn what_was_never_called_can_be_asserted_by_its_end() {
    let one = NonZeroUsize::MIN;
    let listener = |name| listen_fn::<Ping, _, _>(name, |_| async { Ok(()) });
    let policy = || Policy::new().capacity(one).overflow(Overflow::DropOldest);
    let bus = TestBus::of(Bus::builder().listen_with(listener("drops"), policy()))
        .fake("drops", Fake::hangs())
        .build();
    bus.dispatch(Ping(1));
    bus.dispatch(Ping(2));
    let ran = bus.settled().await;
    // The intake is as small as the lane.
    let message = message(|| ran.nothing_else());
    assert!(
        message.contains("ping#2  drops  dead (overflowed), never called"),
        "{message}"
    );
    ran.ran("drops").once();
    ran.nothing_else();
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_settle_fails_the_test_and_says_what_waits() {
    let gate = Gate::new();
    let slow = listen_fn::<Ping, _, _>("slow", |_| async { Ok(()) });
    let off = listen_fn::<Ping, _, _>("off", |_| async { Ok(()) });
    let builder = listeners()
        .listen_with(slow, Policy::new().time_out(Duration::from_secs(3600)))
        .listen_with(off, Policy::new().enabled(false));
    let bus = TestBus::of(builder)
        .fake("slow", Fake::gated(&gate))
        .fake("sync", Fake::fails())
        .settles_within(Duration::from_secs(2))
        .build();
    bus.dispatch(Ping(1));
    bus.dispatch(Ping(2));
    let asked = line!() + 1;
    let waits = tokio::spawn(async move { bus.settled().await.to_string() });
    let panic = within(waits)
        .await
        .expect_err("it should have panicked")
        .into_panic();
    let message = panic.downcast::<String>().expect("it says why");
    let (head, waits) = message.split_once('\n').expect("it says what waits");
    let place = format!("at tests/dispatch_test_kit.rs:{asked}:");
    assert!(
        head.starts_with("the bus has not settled within 2s, at "),
        "{head}"
    );
    assert!(
        head.contains(&place) && head.ends_with("; what still waits:"),
        "{head}"
    );
    let expected = "  \
  ping#1 at sync: has not ended after 2 attempts: the fake fails
  ping#1 at slow: has not ended
  ping#2 at sync: waits, never called
  ping#2 at slow: waits, never called
";
    assert_eq!(waits, expected);
}

#[tokio::test]
async fn a_name_that_there_is_not_fails_the_test_with_those_that_there_are() {
    let expected = "no listener is named mial; there are: answer, fence, mail, sync";
    let faked = message(|| drop(TestBus::of(listeners()).fake("mial", Fake::done())));
    assert_eq!(faked, expected);
    let ran = one_ping(Fake::done()).await;
    assert_eq!(message(|| drop(ran.ran("mial"))), expected);
    assert_eq!(message(|| ran.not_run("mial")), expected);
    assert_eq!(message(|| drop(ran.ran("mail").before("mial"))), expected);
    let event = message(|| drop(ran.ran("fence").for_event::<Pong>()));
    assert_eq!(event, "fence does not listen to pong");
}

#[tokio::test]
#[should_panic(expected = "the bus cannot be built: two listeners of ping are named mail")]
async fn listeners_that_do_not_fit_together_fail_the_test() {
    let second = listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) });
    let _ = TestBus::of(listeners().listen(second)).build();
}

#[tokio::test(start_paused = true)]
async fn an_assertion_that_fails_says_what_ran() {
    let ran = one_ping(Fake::fails()).await;
    let expected = "sync ran once instead of 2 times
what ran:
  ping#1  fence   done
  ping#1  mail    done
  ping#1  answer  done
  pong#2  mail    done
  ping#1  sync    dead (failed) after 3 attempts: the fake fails
";
    assert_eq!(message(|| drop(ran.ran("sync").times(2))), expected);
}

#[tokio::test(start_paused = true)]
async fn each_assertion_fails_with_its_own_message() {
    let ran = one_ping(Fake::fails()).await;
    let (mail, sync) = (|| ran.ran("mail"), || ran.ran("sync"));
    assert_eq!(
        claim(|| drop(mail().once())),
        "mail ran 2 times instead of once"
    );
    assert_eq!(
        claim(|| drop(mail().never())),
        "mail ran 2 times instead of never"
    );
    assert_eq!(
        claim(|| drop(sync().times(0))),
        "sync ran once instead of never"
    );
    assert_eq!(
        claim(|| ran.not_run("sync")),
        "sync ran once instead of never"
    );
    assert_eq!(
        claim(|| drop(mail().for_event::<Pong>().never())),
        "mail of pong ran once instead of never"
    );
    assert_eq!(
        claim(|| drop(sync().attempts(1))),
        "sync made 3 attempts at ping#1 instead of 1"
    );
    let but = "dead (failed) after 3 attempts: the fake fails";
    assert_eq!(
        claim(|| drop(sync().done())),
        format!("sync did not end done with ping#1, but {but}")
    );
    assert_eq!(
        claim(|| drop(sync().dead(Reason::TimedOut))),
        format!("sync did not end dead (timed out) with ping#1, but {but}")
    );
    assert_eq!(
        claim(|| drop(mail().ended(Outcome::Skipped))),
        "mail did not end skipped with ping#1, but done"
    );
    assert_eq!(
        claim(|| drop(sync().before("fence"))),
        "sync had not ended when fence was called"
    );
}

/// Otherwise each failure would be shown at a line of the kit.
#[tokio::test(start_paused = true)]
async fn an_assertion_that_fails_points_at_the_test() {
    let ran = one_ping(Fake::fails()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::current().id();
    let before = Arc::new(std::panic::take_hook());
    let others = Arc::clone(&before);
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != thread {
            return others(panic);
        }
        let place = panic.location().expect("a panic has a place");
        let _ = tell.send((place.file().to_owned(), place.line()));
    }));
    let first = line!() + 2;
    let assertions: [&dyn Fn(); 12] = [
        &|| drop(ran.ran("mial")),
        &|| drop(ran.ran("mail").once()),
        &|| drop(ran.ran("mail").times(3)),
        &|| drop(ran.ran("mail").never()),
        &|| drop(ran.ran("mail").attempts(2)),
        &|| drop(ran.ran("sync").done()),
        &|| drop(ran.ran("mail").dead(Reason::Failed)),
        &|| drop(ran.ran("mail").ended(Outcome::Skipped)),
        &|| drop(ran.ran("sync").before("fence")),
        &|| drop(ran.ran("fence").for_event::<Pong>()),
        &|| ran.not_run("mail"),
        &|| drop(TestBus::of(listeners()).fake("mial", Fake::done())),
    ];
    for (line, assertion) in (first..).zip(assertions) {
        message(assertion);
        assert_eq!(told.try_recv(), Ok((file!().to_owned(), line)));
    }
    let others = one_ping(Fake::done()).await;
    message(|| others.nothing_else());
    assert_eq!(told.try_recv(), Ok((file!().to_owned(), line!() - 1)));
    std::panic::set_hook(Box::new(move |panic| before(panic)));
}

/// A statement about what never ran would be true of anything.
#[tokio::test(start_paused = true)]
async fn what_had_no_event_satisfies_no_statement_but_that() {
    let idle = listen_fn::<Echo, _, _>("idle", |_| async { Ok(()) });
    let listeners = || {
        Bus::builder()
            .listen(idle)
            .inline(inline_fn::<Ping, _>("fence", |_| ()))
    };
    let bus = TestBus::of(listeners()).build();
    bus.dispatch(Ping(1));
    let ran = bus.settled().await;
    ran.not_run("idle");
    let idle = || ran.ran("idle");
    assert_eq!(
        claim(|| drop(idle().once())),
        "idle ran never instead of once"
    );
    assert_eq!(claim(|| drop(idle().done())), "idle had no event");
    assert_eq!(
        claim(|| drop(idle().dead(Reason::Failed))),
        "idle had no event"
    );
    assert_eq!(claim(|| drop(idle().attempts(0))), "idle had no event");
    assert_eq!(
        claim(|| drop(idle().before("fence"))),
        "idle did not run before fence: it never ran"
    );
    assert_eq!(
        claim(|| drop(ran.ran("fence").before("idle"))),
        "fence did not run before idle, which never ran"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_else_names_what_was_not_asserted() {
    let ran = one_ping(Fake::done()).await;
    ran.ran("mail").times(2);
    ran.ran("answer").once();
    let _not_asserted = ran.ran("sync");
    let expected = "there is more than was asserted:
  ping#1  fence  done
  ping#1  sync   done
";
    assert_eq!(message(|| ran.nothing_else()), expected);
    ran.ran("fence").done();
    ran.ran("sync").done();
    ran.nothing_else();
    // One event of two.
    let ran = one_ping(Fake::done()).await;
    for listener in ["fence", "sync", "answer"] {
        ran.ran(listener).once();
    }
    ran.ran("mail").for_event::<Ping>().once();
    let expected = "there is more than was asserted:\n  pong#2  mail  done\n";
    assert_eq!(message(|| ran.nothing_else()), expected);
}
