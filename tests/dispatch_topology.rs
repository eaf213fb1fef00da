//! The topology says who listens to what, to people and to programs (D8).

use std::{num::NonZeroUsize, time::Duration};

use proptest::prelude::*;
use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, BusBuilder, Event, Listener, Policy, Topology,
    inline_fn, listen_fn,
};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
    const VERSION: u16 = 2;
}

struct Cancelled;

impl Event for Cancelled {
    const NAME: &'static str = "appointment.cancelled";
}

/// Its name tries to end its label, to add a line, and to be HTML and Markdown.
struct Hostile;

impl Event for Hostile {
    const NAME: &'static str = "1. `x`\"])\n    click e0 \"javascript:alert(1)\" %% <b>&amp;#quot;";
}

fn idle<E: Event>(name: &str) -> impl Listener<E> + use<E> {
    listen_fn::<E, _, _>(name.to_owned(), |_| async { Ok(()) })
}

struct Count;

impl<E: Event> BatchListener<E> for Count {
    async fn handle(&self, _: &Batch<E>) -> Result<(), BoxError> {
        Ok(())
    }
}

async fn topology(builder: BusBuilder) -> Topology {
    builder.build().expect("fits together").topology()
}

#[tokio::test]
async fn a_column_that_would_be_empty_is_left_out() {
    let topology = topology(Bus::builder().listen(idle::<Cancelled>("mail"))).await;
    let expected = "\
event                  version  listener  kind  capacity  overflow     concurrency  time-out
appointment.cancelled  1        mail      lane  1024      dead letter  1            30s
";
    assert_eq!(topology.to_string(), expected);
}

/// `sync` is disabled everywhere, `mail` for one of its events.
fn ordered() -> BusBuilder {
    let second = Duration::from_secs(1);
    let policy = || Policy::new().capacity(NonZeroUsize::MIN);
    Bus::builder()
        .inline(inline_fn("fence", |_: &Booked| ()))
        .listen_with(
            idle::<Booked>("mail"),
            policy()
                .after("fence")
                .after("Count")
                .attempt_time_out(second),
        )
        .listen_batches(Count, Batching::up_to(NonZeroUsize::MIN), policy())
        .listen_with(idle::<Booked>("sync"), policy().after("mail"))
        .listen_with(idle::<Cancelled>("mail"), Policy::new().enabled(false))
        .disable("sync")
}

#[tokio::test]
async fn the_table_says_what_is_disabled_and_what_comes_first() {
    let expected = "\
event                  version  listener  kind    capacity  overflow     concurrency  time-out  attempt  batch    after         disabled
appointment.booked     2        fence     inline  -         -            -            -         -        -        -             -
appointment.booked     2        mail      lane    1         dead letter  1            30s       1s       -        fence, Count  -
appointment.booked     2        Count     lane    1         dead letter  1            30s       -        up to 1  -             -
appointment.booked     2        sync      lane    1         dead letter  1            30s       -        -        mail          yes
appointment.cancelled  1        mail      lane    1024      dead letter  1            30s       -        -        -             yes
";
    assert_eq!(topology(ordered()).await.to_string(), expected);
}

#[tokio::test]
async fn the_flowchart_tells_inline_listeners_from_lanes_and_draws_a_listener_once() {
    let bus = Bus::builder()
        .inline(inline_fn("fence", |_: &Booked| ()))
        .listen(idle::<Booked>("mail"))
        .listen(idle::<Cancelled>("mail"))
        .declare::<Hostile>()
        .require::<Booked>("fence");
    let expected = r##"flowchart LR
    e0(["appointment.booked v2"])
    l0{{"fence"}}
    e0 ==> l0
    l1["mail"]
    e0 --> l1
    e1(["appointment.cancelled v1"])
    e1 --> l1
    e2(["#49;. #96;x#96;#34;#93;#41;#10;    click e0 #34;javascript:alert#40;1#41;#34; #37;#37; #60;b#62;#38;amp#59;#35;quot#59; v1"])
    classDef required stroke-width: 3px
    class l0 required
"##;
    assert_eq!(topology(bus).await.to_mermaid(), expected);
}

#[tokio::test]
async fn the_order_of_listeners_is_an_arrow_and_what_is_disabled_is_dashed() {
    let expected = r#"flowchart LR
    e0(["appointment.booked v2"])
    l0{{"fence"}}
    e0 ==> l0
    l1["mail"]
    e0 --> l1
    l2["Count"]
    e0 --> l2
    l3["sync"]
    e0 -.-> l3
    e1(["appointment.cancelled v1"])
    e1 -.-> l1
    l0 -->|"then, for appointment.booked"| l1
    l2 -->|"then, for appointment.booked"| l1
    l1 -.->|"then, for appointment.booked"| l3
    classDef disabled stroke-dasharray: 4 4
    class l3 disabled
"#;
    assert_eq!(topology(ordered()).await.to_mermaid(), expected);
}

/// The label in a line of a chart and what is around it; none if there is more than one.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once('"')?;
    let (label, after) = rest.split_once('"')?;
    (!after.contains('"')).then_some((before, label, after))
}

fn is_text(label: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || " .-_:/#;".contains(character);
    !label.is_empty() && label.chars().all(plain)
}

#[tokio::test]
async fn a_listener_without_a_name_has_a_label_all_the_same() {
    let bus = Bus::builder().listen(idle::<Booked>(""));
    let chart = topology(bus).await.to_mermaid();
    assert!(chart.contains("l0[\"#34;#34;\"]"), "{chart}");
}

proptest! {
    #[test]
    fn no_name_can_break_the_flowchart(one: String, other in "[\"`#;&<>\\[\\](){}|%\\\\\n\r\u{2028}-]{0,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let chart = runtime.expect("starts").block_on(async {
            let bus = Bus::builder()
                .inline(inline_fn(one.clone(), |_: &Booked| ()))
                .listen(idle::<Cancelled>(&other));
            topology(bus).await.to_mermaid()
        });
        let lines: Vec<_> = chart.lines().map(str::trim_start).collect();
        prop_assert_eq!(lines.len(), 7, "{}", chart);
        prop_assert_eq!(&lines[..2], ["flowchart LR", "e0([\"appointment.booked v2\"])"]);
        let (before, label, after) = split(lines[2]).expect("one label");
        prop_assert_eq!((before, after), ("l0{{", "}}"));
        prop_assert!(is_text(label), "{}", label);
        prop_assert_eq!(lines[3], "e0 ==> l0");
        let (before, label, after) = split(lines[5]).expect("one label");
        prop_assert_eq!((before, after), ("l1[", "]"));
        prop_assert!(is_text(label), "{}", label);
        prop_assert_eq!(lines[6], "e1 --> l1");
    }
}

#[cfg(feature = "serde")]
mod serialized {
    use std::num::NonZeroU32;

    use serde_json::json;
    use vacancy::dispatch::{Overflow, Retry};

    use super::*;

    #[tokio::test]
    async fn a_topology_is_serialized_under_stable_names() {
        let policy = Policy::new()
            .capacity(NonZeroUsize::MIN)
            .overflow(Overflow::DropOldest)
            .time_out(Duration::from_micros(1_500))
            .retry(Retry::new(NonZeroU32::MIN))
            .coalesce_by(|_: &Booked| 0);
        let bus = Bus::builder()
            .inline(inline_fn("fence", |_: &Booked| ()))
            .listen_with(idle("mail"), policy)
            .declare::<Cancelled>()
            .require::<Booked>("fence");
        let expected = json!({
            "format": 1,
            "rows": [
                {
                    "event": "appointment.booked",
                    "version": 2,
                    "listener": "fence",
                    "kind": "inline",
                    "required": true,
                    "enabled": true,
                    "lane": null,
                },
                {
                    "event": "appointment.booked",
                    "version": 2,
                    "listener": "mail",
                    "kind": "lane",
                    "required": false,
                    "enabled": true,
                    "lane": {
                        "capacity": 1,
                        "overflow": "drop_oldest",
                        "concurrency": 1,
                        "time_out_ms": 2,
                        "retry": {
                            "attempts": 1,
                            "first_pause_ms": 100,
                            "longest_pause_ms": 10_000,
                        },
                        "ordered": true,
                        "coalescing": true,
                    },
                },
                {
                    "event": "appointment.cancelled",
                    "version": 1,
                    "listener": null,
                    "kind": null,
                    "required": false,
                    "enabled": true,
                    "lane": null,
                },
            ],
        });
        let topology = topology(bus).await;
        assert_eq!(serde_json::to_value(&topology).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_time_that_is_not_bounded_is_the_greatest_number() {
        let policy = Policy::<Booked>::new().time_out(Duration::MAX);
        let topology = topology(Bus::builder().listen_with(idle("mail"), policy)).await;
        let lane = serde_json::to_value(&topology.rows()[0].lane).unwrap();
        assert_eq!(lane["time_out_ms"], u64::MAX);
    }

    #[tokio::test]
    async fn what_a_policy_does_not_have_is_left_out_and_the_rest_is_there() {
        let topology = topology(ordered()).await;
        let rows = serde_json::to_value(&topology).unwrap();
        let [_, mail, count, sync, _] = &rows["rows"].as_array().unwrap()[..] else {
            panic!("{rows}");
        };
        assert_eq!(mail["lane"]["after"], json!(["fence", "Count"]));
        assert_eq!(mail["lane"]["attempt_time_out_ms"], 1_000);
        let batching = json!({"most": 1, "linger_ms": 0});
        assert_eq!(count["lane"]["batching"], batching);
        assert_eq!(sync["enabled"], false);
        for setting in ["after", "attempt_time_out_ms", "retry", "rate_limit"] {
            assert_eq!(count["lane"].get(setting), None, "{setting}");
        }
        assert_eq!(mail["lane"].get("batching"), None);
    }

    #[cfg(feature = "rate-limit")]
    #[tokio::test]
    async fn a_rate_limit_is_exact_in_serialized_form() {
        let limit = vacancy::dispatch::RateLimit::per_second(NonZeroU32::new(3).unwrap());
        let policy = Policy::new().rate_limit(limit.burst(NonZeroU32::new(2).unwrap()));
        let topology = topology(Bus::builder().listen_with(idle::<Booked>("mail"), policy)).await;
        let lane = serde_json::to_value(&topology.rows()[0].lane).unwrap();
        let expected = json!({"interval_ns": 333_333_333, "at_once": 2});
        assert_eq!(lane["rate_limit"], expected);
        assert!(
            topology
                .to_string()
                .contains("  every 333.333333ms, 2 at once")
        );
    }
}
