//! What is wrong with the set of listeners is found when the bus is built (D8).

mod dispatch;

use std::{
    borrow::Cow,
    fmt::Write,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};
use vacancy::dispatch::{
    BoxError, BuildError, Bus, BusBuilder, Event, InlineListener, Listener, Outcome, Overflow,
    Permanent, Policy, Retry, Subscriber, Unreachable, inline_fn, listen_fn,
};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
    const VERSION: u16 = 2;
}

struct SendConfirmation;

impl Listener<Booked> for SendConfirmation {
    async fn handle(&self, _: &Booked) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Listens to two events, so that one is chosen where it is registered.
struct Audit<T>(T);

impl Listener<Booked> for Audit<u8> {
    async fn handle(&self, _: &Booked) -> Result<(), BoxError> {
        let _ = self.0;
        Ok(())
    }
}

impl Listener<Ping> for Audit<u8> {
    async fn handle(&self, _: &Ping) -> Result<(), BoxError> {
        Ok(())
    }
}

/// D8.
#[tokio::test]
async fn two_listeners_of_one_event_with_one_name_are_refused() {
    let built = Bus::builder()
        .listen(SendConfirmation)
        .inline(inline_fn("SendConfirmation", |_: &Booked| ()))
        .build();
    let expected = BuildError::DuplicateName {
        event: Booked::NAME,
        listener: "SendConfirmation".into(),
    };
    assert_eq!(built.err(), Some(expected));
}

/// D8: the listener existed once and was registered nowhere.
#[tokio::test]
async fn a_required_listener_that_is_missing_fails_the_build() {
    let expected = BuildError::MissingListener {
        event: Booked::NAME,
        listener: "slots.invalidate".into(),
    };
    let built = Bus::builder().require::<Booked>("slots.invalidate").build();
    assert_eq!(built.err(), Some(expected.clone()));
    // A listener of that name at another event does not help.
    let built = Bus::builder()
        .inline(inline_fn("slots.invalidate", |_: &Ping| ()))
        .require::<Booked>("slots.invalidate")
        .build();
    assert_eq!(built.err(), Some(expected));
    let built = Bus::builder()
        .require::<Booked>("slots.invalidate")
        .inline(inline_fn("slots.invalidate", |_: &Booked| ()))
        .build();
    assert!(built.is_ok());
}

/// D8.
#[tokio::test]
async fn a_required_listener_that_is_disabled_fails_the_build_whoever_is_enabled() {
    let idle = |name| listen_fn::<Booked, _, _>(name, |_| async { Ok(()) });
    for disabled in ["fence", "mail"] {
        let built = Bus::builder()
            .inline(inline_fn("fence", |_: &Booked| ()))
            .inline(inline_fn("tally", |_: &Booked| ()))
            .listen(idle("mail"))
            .listen(idle("count"))
            .disable(disabled)
            .require::<Booked>(disabled)
            .build();
        let expected = BuildError::RequiredIsDisabled {
            event: Booked::NAME,
            listener: disabled.into(),
        };
        assert_eq!(built.err(), Some(expected));
    }
}

#[tokio::test]
async fn two_types_of_event_with_one_name_are_refused() {
    struct Other;
    impl Event for Other {
        const NAME: &'static str = Booked::NAME;
    }
    let built = Bus::builder()
        .listen(SendConfirmation)
        .declare::<Other>()
        .build();
    assert_eq!(
        built.err(),
        Some(BuildError::NameTaken {
            event: Booked::NAME
        })
    );
}

/// D8.
#[test]
fn a_bus_needs_a_runtime_with_a_timer() {
    assert_eq!(Bus::builder().build().err(), Some(BuildError::NoRuntime));
    let timeless = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let built = timeless.block_on(async { Bus::builder().build() });
    assert_eq!(built.err(), Some(BuildError::NoTimer));
}

/// Collects warnings as text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        if *event.metadata().level() == tracing::Level::WARN {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().expect("not poisoned").push(text.0);
        }
    }
}

/// D8, D7, D3: what somebody should look at is in the log, by name, without a payload.
#[tokio::test]
async fn what_somebody_should_look_at_is_logged() {
    let warnings = Warnings::default();
    let _guard = tracing_subscriber::registry()
        .with(warnings.clone())
        .set_default();
    let take = || std::mem::take(&mut *warnings.0.lock().expect("not poisoned"));

    let bus = Bus::builder()
        .declare::<Booked>()
        .listen(listen_fn::<Ping, _, _>("fails", |_| async {
            Err("no mail server".into())
        }))
        .build()
        .expect("fits together");
    let built = take();
    assert_eq!(built.len(), 1, "{built:?}");
    assert!(built[0].contains("appointment.booked"), "{built:?}");

    within(bus.dispatch(Ping(1)).settled()).await;
    let died = take();
    assert_eq!(died.len(), 1, "{died:?}");
    for part in [
        "event=\"ping\"",
        "listener=fails",
        "reason=failed",
        "no mail server",
    ] {
        assert!(died[0].contains(part), "{died:?}");
    }

    within(bus.shutdown(Duration::from_secs(5))).await;
    bus.dispatch(Ping(2));
    let refused = take();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("closed"), "{refused:?}");
}

/// D8.
#[tokio::test]
async fn the_topology_says_who_listens_to_what_and_how() {
    let policy = Policy::new()
        .capacity(NonZeroUsize::MIN)
        .overflow(Overflow::DropOldest)
        .time_out(Duration::from_secs(5))
        .retry(Retry::new(NonZeroU32::MIN))
        .ordered_by(|_: &Booked| 0);
    let bus = Bus::builder()
        .inline(inline_fn("slots.invalidate", |_: &Booked| ()))
        .listen_with(SendConfirmation, policy)
        .listen::<Booked, _>(Audit(0))
        .declare::<Ping>()
        .require::<Booked>("slots.invalidate")
        .build()
        .expect("fits together");
    let expected = "\
event               version  listener          kind    capacity  overflow     concurrency  time-out  retry           required
appointment.booked  2        slots.invalidate  inline  -         -            -            -         -               yes
appointment.booked  2        SendConfirmation  lane    1         drop oldest  1, by key    5s        1 × from 100ms  -
appointment.booked  2        Audit             lane    1024      dead letter  1            30s       -               -
ping                1        -                 -       -         -            -            -         -               -
";
    assert_eq!(bus.topology().to_string(), expected);
    assert_eq!(bus.topology().rows().len(), 4);
}

/// D8.
#[tokio::test]
async fn a_subscriber_registers_all_its_listeners() {
    struct Both;
    impl Subscriber for Both {
        fn subscribe_to(self, bus: BusBuilder) -> BusBuilder {
            bus.inline(inline_fn("fence", |_: &Booked| ()))
                .listen(SendConfirmation)
        }
    }
    let bus = Bus::builder()
        .subscribe(Both)
        .build()
        .expect("fits together");
    let receipt = bus.dispatch(Booked);
    let report = within(receipt.settled()).await;
    let outcomes: Vec<_> = report.outcomes().collect();
    assert_eq!(
        outcomes,
        [
            ("fence", Outcome::Done),
            ("SendConfirmation", Outcome::Done)
        ]
    );
    // Asking for a listener that there is not has a typed answer.
    assert_eq!(
        within(receipt.reached("nobody")).await,
        Err(Unreachable::NoSuchListener)
    );
}

/// More listeners than an envelope has room for inline.
#[tokio::test]
async fn a_listener_that_is_shared_listens_under_its_own_name() {
    #[derive(Default)]
    struct Shared(AtomicU64);
    impl Listener<Ping> for Shared {
        async fn handle(&self, _: &Ping) -> Result<(), BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    impl InlineListener<Ping> for Shared {
        fn handle(&self, _: &Ping) {
            self.0.fetch_add(10, Ordering::Relaxed);
        }

        fn name(&self) -> Cow<'static, str> {
            Cow::Borrowed("inline")
        }
    }
    let shared = Arc::new(Shared::default());
    let bus = Bus::builder()
        .inline(Arc::clone(&shared))
        .listen(Arc::clone(&shared))
        .build()
        .expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    let outcomes: Vec<_> = report.outcomes().collect();
    assert_eq!(
        outcomes,
        [("inline", Outcome::Done), ("Shared", Outcome::Done)]
    );
    assert_eq!(shared.0.load(Ordering::Relaxed), 11);
    let called = Listener::handle(&shared, &Ping(2)).await;
    assert!(called.is_ok() && shared.0.load(Ordering::Relaxed) == 12);
}

#[tokio::test]
async fn a_policy_that_is_cloned_is_the_same() {
    let two = const { NonZeroUsize::new(2).expect("2 is not zero") };
    let policy = Policy::<Ping>::new()
        .capacity(two)
        .overflow(Overflow::DropOldest)
        .concurrency(two)
        .time_out(Duration::from_secs(7))
        .attempt_time_out(Duration::from_secs(3))
        .retry(Retry::new(NonZeroU32::MIN))
        .after("first")
        .ordered_by(|ping| ping.0)
        .coalesce_by(|ping| ping.0);
    let topology = |policy| {
        let idle = |name| listen_fn::<Ping, _, _>(name, |_| async { Ok(()) });
        let bus = Bus::builder()
            .listen(idle("first"))
            .listen_with(idle("mail"), policy);
        bus.build().expect("fits together").topology().to_string()
    };
    assert_eq!(topology(policy.clone()), topology(policy));
}

#[tokio::test]
async fn a_closure_that_is_called_outside_of_a_bus_fails_for_good() {
    let mail = listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) });
    let called = mail.handle(&Ping(1)).await;
    let error = called.expect_err("it has no envelope");
    assert!(error.is::<Permanent>());
}

#[tokio::test]
async fn three_hundred_listeners_each_have_an_outcome() {
    let builder = (0..300).fold(Bus::builder(), |bus, number| {
        bus.listen(listen_fn::<Ping, _, _>(
            format!("listener {number}"),
            move |_| async move {
                if number % 2 == 0 {
                    Ok(())
                } else {
                    Err("odd".into())
                }
            },
        ))
    });
    let bus = builder.build().expect("fits together");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert_eq!(report.outcomes().count(), 300);
    let done = report
        .outcomes()
        .filter(|(_, outcome)| *outcome == Outcome::Done);
    assert_eq!(done.count(), 150);
    assert_eq!(report.outcome("listener 298"), Some(Outcome::Done));
    assert!(bus.ledger().balanced());
}
