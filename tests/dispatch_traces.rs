//! A trace goes on across lanes, retries and what listeners dispatch.

mod dispatch;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dispatch::{Ping, within};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    propagation::TextMapPropagator,
    trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceState, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tracing::{Instrument, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};
use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, Delivery, Event, Policy, Retry, Skip, inline_fn,
    listen_fn,
};

struct Pong;

impl Event for Pong {
    const NAME: &'static str = "pong";
}

/// Exports what this thread traces to memory, until it is dropped.
struct Traces {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Traces {
    fn exported() -> Self {
        Self::exported_at(LevelFilter::INFO)
    }

    fn exported_at(level: LevelFilter) -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(level));
        Self {
            exporter,
            provider,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    fn spans(&self) -> Vec<SpanData> {
        self.provider.force_flush().expect("memory is there");
        self.exporter.get_finished_spans().expect("memory is there")
    }
}

/// The span of one attempt at one listener.
fn attempt<'a>(spans: &'a [SpanData], listener: &'static str, number: u32) -> &'a SpanData {
    let wanted = [
        KeyValue::new("listener", listener),
        KeyValue::new("attempt", number.to_string()),
    ];
    let mut found = spans
        .iter()
        .filter(|span| wanted.iter().all(|wanted| span.attributes.contains(wanted)));
    let (one, more) = (found.next(), found.next());
    assert!(more.is_none(), "several attempts {number} of {listener}");
    one.unwrap_or_else(|| panic!("no attempt {number} of {listener}"))
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("no span {name}"))
}

fn is_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(
        child.span_context.trace_id(),
        parent.span_context.trace_id()
    );
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

/// What listeners found in [`Delivery::traceparent`].
type Told = Arc<Mutex<Vec<Option<String>>>>;

fn tell(told: &Told) {
    let traceparent = Delivery::current().and_then(|delivery| delivery.traceparent());
    told.lock()
        .expect("no test panics in here")
        .push(traceparent);
}

fn traceparent(span: &SpanContext) -> Option<String> {
    let (trace, span) = (span.trace_id(), span.span_id());
    Some(format!("00-{trace}-{span}-01"))
}

async fn second_time_lucky() -> Result<(), BoxError> {
    match Delivery::current().map_or(0, |delivery| delivery.attempt()) {
        1 => Err("busy".into()),
        _ => Ok(()),
    }
}

/// From a request over a lane and its retry to what the listener dispatches, and its lane.
#[tokio::test(start_paused = true)]
async fn a_trace_goes_on_across_lanes_retries_and_nested_events() {
    let traces = Traces::exported();
    let retry = Retry::new(NonZeroU32::MIN.saturating_add(1));
    let bus = Bus::builder()
        .listen_with(
            listen_fn::<Ping, _, _>("answer", |_| async {
                second_time_lucky().await?;
                let delivery = Delivery::current().ok_or("a listener has a delivery")?;
                within(delivery.dispatch(Pong).settled()).await;
                Ok(())
            }),
            Policy::new().retry(retry),
        )
        .listen_with(
            listen_fn::<Pong, _, _>("count", |_| second_time_lucky()),
            Policy::new().retry(retry),
        )
        .build()
        .expect("fits together");
    let request = tracing::info_span!("request");
    let receipt = request.in_scope(|| bus.dispatch(Ping(1)));
    drop(request);
    assert!(within(receipt.settled()).await.all_done());

    let spans = traces.spans();
    let request = named(&spans, "request");
    let answers = [1, 2].map(|number| attempt(&spans, "answer", number));
    let counts = [1, 2].map(|number| attempt(&spans, "count", number));
    for answer in answers {
        is_child(answer, request);
    }
    for count in counts {
        is_child(count, answers[1]);
    }
    assert_ne!(
        answers[0].span_context.span_id(),
        answers[1].span_context.span_id()
    );
}

#[tokio::test]
async fn events_of_two_requests_that_wait_together_keep_their_own_traces() {
    let traces = Traces::exported();
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let receipts = ["one", "two"].map(|_| {
        let request = tracing::info_span!("request");
        request.in_scope(|| bus.dispatch(Ping(1)))
    });
    let alone = bus.dispatch(Ping(2));
    for receipt in receipts.into_iter().chain([alone]) {
        within(receipt.settled()).await;
    }
    let spans = traces.spans();
    let requests = spans.iter().filter(|span| span.name == "request");
    let handled = spans.iter().filter(|span| span.name == "handle");
    let handled: Vec<_> = handled.collect();
    for (request, handle) in requests.zip(&handled) {
        is_child(handle, request);
    }
    assert_eq!(handled[2].parent_span_id, SpanId::INVALID);
    assert_ne!(
        handled[0].span_context.trace_id(),
        handled[1].span_context.trace_id()
    );
}

/// What a framework's middleware does with the headers of a request.
#[tokio::test]
async fn a_trace_that_came_in_over_http_goes_on_and_out_again() {
    const FROM_AFAR: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let headers = [("traceparent", FROM_AFAR), ("tracestate", "vendor=opaque")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let came_in =
        TraceContextPropagator::new().extract(&headers.into_iter().collect::<HashMap<_, _>>());

    let traces = Traces::exported();
    let told = Told::default();
    let states = Told::default();
    let bus = {
        let (told, states) = (told.clone(), states.clone());
        let calls_out = listen_fn::<Ping, _, _>("mail", move |_| {
            tell(&told);
            let delivery = Delivery::current().expect("a listener has a delivery");
            states
                .lock()
                .expect("no test panics in here")
                .push(delivery.tracestate());
            // A client's own span is the one that the callee shall see as its parent.
            let client = tracing::info_span!("client");
            let told = told.clone();
            async move {
                tell(&told);
                Ok(())
            }
            .instrument(client)
        });
        Bus::builder().listen(calls_out).build()
    };
    let bus = bus.expect("fits together");
    let request = tracing::info_span!("request");
    request.set_parent(came_in).expect("nobody has entered it");
    let receipt = request.in_scope(|| bus.dispatch(Ping(1)));
    drop(request);
    within(receipt.settled()).await;

    let spans = traces.spans();
    let handle = attempt(&spans, "mail", 1);
    is_child(handle, named(&spans, "request"));
    let trace = TraceId::from_hex("0123456789abcdef0123456789abcdef").expect("hexadecimal");
    assert_eq!(handle.span_context.trace_id(), trace);
    let client = named(&spans, "client");
    let told = told.lock().expect("no test panics in here");
    assert_eq!(
        *told,
        [
            traceparent(&handle.span_context),
            traceparent(&client.span_context)
        ]
    );
    let states = states.lock().expect("no test panics in here");
    assert_eq!(*states, [Some("vendor=opaque".to_owned())]);
}

fn links(span: &SpanData) -> Vec<SpanContext> {
    let links = span.links.iter();
    links.map(|link| link.span_context.clone()).collect()
}

/// What went wrong may hold what nobody but the log should have.
#[tokio::test(start_paused = true)]
async fn the_span_of_a_call_that_went_wrong_says_how_and_not_why() {
    let traces = Traces::exported();
    let retry = Retry::new(NonZeroU32::MIN.saturating_add(1));
    let bus = Bus::builder()
        .listen_with(
            listen_fn::<Ping, _, _>("mail", |ping| async move {
                match ping.0 {
                    1 => second_time_lucky().await,
                    2 => Err(Skip.into()),
                    3 => std::panic::resume_unwind(Box::new("without a message on the terminal")),
                    _ => std::future::pending().await,
                }
            }),
            Policy::new().retry(retry).time_out(Duration::from_secs(9)),
        )
        .build()
        .expect("fits together");
    for number in 1..=4 {
        within(bus.dispatch(Ping(number)).settled()).await;
    }
    let spans = traces.spans();
    let statuses: Vec<_> = spans.iter().map(|span| span.status.clone()).collect();
    assert_eq!(
        statuses,
        [
            Status::error("failed"),
            Status::Unset,
            Status::Unset,
            Status::error("panicked"),
            Status::error("timed out"),
        ]
    );
}

/// The operator's request is what caused it now; the first delivery is what it is about.
#[tokio::test]
async fn a_replay_is_of_the_trace_that_asks_for_it_and_linked_to_the_first() {
    let traces = Traces::exported();
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("mail", |ping| async move {
            match ping.replay_of() {
                None => Err("failed".into()),
                Some(_) => {
                    let delivery = Delivery::current().ok_or("a listener has a delivery")?;
                    within(delivery.dispatch(Pong).settled()).await;
                    Ok(())
                }
            }
        }))
        .listen(listen_fn::<Pong, _, _>("count", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let request = tracing::info_span!("request");
    let receipt = request.in_scope(|| bus.dispatch(Ping(1)));
    drop(request);
    within(receipt.settled()).await;
    let operator = tracing::info_span!("operator");
    let replayed = operator.in_scope(|| bus.replay(&bus.dead_letters()[0]));
    drop(operator);
    within(replayed.expect("it is there").settled()).await;

    let spans = traces.spans();
    let mails: Vec<_> = spans.iter().filter(|span| span.name == "handle").collect();
    let [first, count, again] = mails[..] else {
        panic!("three calls, and not {}", mails.len());
    };
    is_child(first, named(&spans, "request"));
    is_child(again, named(&spans, "operator"));
    assert!(links(first).is_empty());
    assert_eq!(
        links(again),
        [named(&spans, "request").span_context.clone()]
    );
    is_child(count, again);
    assert!(links(count).is_empty());
}

#[tokio::test]
async fn a_batch_is_of_its_first_event_and_linked_to_the_others() {
    struct Whole;
    impl BatchListener<Ping> for Whole {
        async fn handle(&self, _: &Batch<Ping>) -> Result<(), BoxError> {
            Ok(())
        }
        fn name(&self) -> std::borrow::Cow<'static, str> {
            "mail".into()
        }
    }
    let traces = Traces::exported();
    let most = std::num::NonZeroUsize::new(3).expect("not zero");
    let bus = Bus::builder()
        .listen_batches(Whole, Batching::up_to(most), Policy::new())
        .build()
        .expect("fits together");
    let requests = ["one", "two", "three"].map(|_| tracing::info_span!("request"));
    let receipts = requests.map(|request| request.in_scope(|| bus.dispatch(Ping(1))));
    for receipt in receipts {
        within(receipt.settled()).await;
    }
    let spans = traces.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.name == "request").collect();
    let [one, two, three] = requests[..] else {
        panic!("three requests, and not {}", requests.len());
    };
    let batch = attempt(&spans, "mail", 1);
    is_child(batch, one);
    assert_eq!(
        links(batch),
        [two.span_context.clone(), three.span_context.clone()]
    );
}

fn from_afar() -> SpanContext {
    SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}

/// Somebody who uses OpenTelemetry without `tracing`, or whose filter lets no span of ours pass.
#[tokio::test]
async fn an_attached_context_goes_through_where_no_span_is_exported() {
    let traces = Traces::exported_at(LevelFilter::OFF);
    let told = Told::default();
    let bus = {
        let (first, second) = (told.clone(), told.clone());
        Bus::builder()
            .inline(inline_fn("fence", {
                let told = told.clone();
                move |_: &Ping| tell(&told)
            }))
            .listen(listen_fn::<Ping, _, _>("answer", move |_| {
                tell(&first);
                let nested = Delivery::current().map(|delivery| delivery.dispatch(Pong));
                async move {
                    within(nested.ok_or("a listener has a delivery")?.settled()).await;
                    Ok(())
                }
            }))
            .listen(listen_fn::<Pong, _, _>("count", move |_| {
                tell(&second);
                async { Ok(()) }
            }))
            .build()
            .expect("fits together")
    };
    let attached = Context::new()
        .with_remote_span_context(from_afar())
        .attach();
    let receipt = bus.dispatch(Ping(1));
    drop(attached);
    within(receipt.settled()).await;
    assert!(traces.spans().is_empty());
    let told = told.lock().expect("no test panics in here");
    assert_eq!(*told, vec![traceparent(&from_afar()); 3]);
}

/// A bus, and what a listener has moved to a task: its delivery, and a span of its own.
async fn moved() -> (Bus, Delivery, tracing::Span) {
    let (send, moved) = tokio::sync::oneshot::channel();
    let send = Mutex::new(Some(send));
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("answer", move |_| {
            let send = send.lock().expect("no test panics in here").take();
            if let (Some(send), Some(delivery)) = (send, Delivery::current()) {
                let _ = send.send((delivery, tracing::info_span!("own")));
            }
            async { Ok(()) }
        }))
        .listen(listen_fn::<Pong, _, _>("count", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let request = tracing::info_span!("request");
    let receipt = request.in_scope(|| bus.dispatch(Ping(1)));
    drop(request);
    within(receipt.settled()).await;
    let (delivery, own) = within(moved).await.expect("the listener has sent it");
    (bus, delivery, own)
}

/// A task that a listener has spawned is in nobody's span, or in another trace.
#[tokio::test]
async fn a_delivery_in_a_spawned_task_goes_on_with_its_own_trace() {
    let traces = Traces::exported();
    let (_bus, delivery, _) = moved().await;
    let other = tracing::info_span!("other");
    let (told, receipt) = other.in_scope(|| (delivery.traceparent(), delivery.dispatch(Pong)));
    within(receipt.settled()).await;
    assert_eq!(delivery.traceparent(), told);

    let spans = traces.spans();
    let answer = attempt(&spans, "answer", 1);
    assert_eq!(told, traceparent(&answer.span_context));
    is_child(attempt(&spans, "count", 1), answer);
}

/// What a listener leaves untraced is still part of its attempt.
#[tokio::test]
async fn a_dispatch_out_of_every_span_goes_on_with_the_trace_of_its_listener() {
    let traces = Traces::exported();
    let held = Arc::new(OnceLock::<Bus>::new());
    let holds = Arc::clone(&held);
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("answer", move |_| {
            let _nobody = Context::new().attach();
            let untraced = tracing::subscriber::NoSubscriber::default();
            tracing::subscriber::with_default(untraced, || {
                holds.get().map(|bus| bus.dispatch(Pong))
            });
            async { Ok(()) }
        }))
        .listen(listen_fn::<Pong, _, _>("count", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    held.set(bus.clone()).expect("is set once");
    let request = tracing::info_span!("request");
    let receipt = request.in_scope(|| bus.dispatch(Ping(1)));
    drop(request);
    within(receipt.settled()).await;
    within(bus.shutdown(Duration::from_secs(5))).await;
    let spans = traces.spans();
    is_child(attempt(&spans, "count", 1), attempt(&spans, "answer", 1));
}

#[tokio::test]
async fn a_delivery_in_a_span_of_its_trace_goes_on_with_that() {
    let traces = Traces::exported();
    let (_bus, delivery, own) = moved().await;
    let receipt = own.in_scope(|| delivery.dispatch(Pong));
    drop(own);
    within(receipt.settled()).await;
    let spans = traces.spans();
    is_child(attempt(&spans, "count", 1), named(&spans, "own"));
}

#[tokio::test]
async fn without_a_trace_there_is_nothing_to_tell() {
    let told = Told::default();
    let bus = {
        let told = told.clone();
        Bus::builder()
            .listen(listen_fn::<Ping, _, _>("mail", move |_| {
                tell(&told);
                let state = Delivery::current().and_then(|delivery| delivery.tracestate());
                async move { state.map_or(Ok(()), |state| Err(state.into())) }
            }))
            .build()
            .expect("fits together")
    };
    assert!(within(bus.dispatch(Ping(1)).settled()).await.all_done());
    assert_eq!(*told.lock().expect("no test panics in here"), [None]);
}

/// D1: exporting is the application's code, and it may be broken.
#[tokio::test]
async fn an_exporter_that_panics_is_no_matter_of_the_publisher() {
    #[derive(Debug)]
    struct Broken(Arc<AtomicBool>);
    impl SpanProcessor for Broken {
        fn on_start(&self, _: &mut Span, _: &Context) {
            self.0.store(true, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("without a message on the terminal"));
        }
        fn on_end(&self, _: SpanData) {}
        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }
    let panicked = Arc::new(AtomicBool::new(false));
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Broken(Arc::clone(&panicked)))
        .build();
    // So that a span is started by nobody but the one who asks for its context.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("test"))
        .with_context_activation(false)
        .with_filter(filter_fn(|span| span.name() == "request"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let bus = Bus::builder()
        .listen(listen_fn::<Ping, _, _>("mail", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    let request = tracing::info_span!("request").entered();
    let receipt = bus.dispatch(Ping(1));
    // Leaving it would be the layer's own panic.
    std::mem::forget(request);
    assert!(within(receipt.settled()).await.all_done());
    assert!(panicked.load(Ordering::Relaxed));
}
