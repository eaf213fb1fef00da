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
