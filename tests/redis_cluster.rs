//! A cluster: all of a tenant in one slot, and one master less is the loss of its own tenants only.

mod support;

use std::{collections::BTreeSet, time::Duration};

use support::{
    Gate,
    nodes::{Day, Node, Origin, ask, host, keys},
    soon, until,
};
use vacancy::cache::{Consistency, Redis, RedisUrl, Source, Span};
use vacancy_testbed::{Cluster, RedisServer, Reply};

const WITHIN: Duration = Duration::from_secs(1);

const TENANTS: [&str; 6] = ["15", "16", "17", "18", "19", "20"];

fn redis(urls: &[String]) -> Redis {
    let urls: Vec<RedisUrl> = urls
        .iter()
        .map(|url| url.parse().expect("an address"))
        .collect();
    Redis::cluster(urls)
        .expect("addresses with the same credentials")
        .namespace("test")
        .consistency(Consistency::Strict)
        .lease(Duration::from_secs(1))
        .time_out(Duration::from_millis(500))
        .confirm_within(WITHIN)
}

fn day(tenant: &'static str) -> Day {
    Day { tenant, number: 1 }
}

async fn leased(node: &Node, tenants: &[&str]) {
    until(|| tenants.iter().all(|tenant| node.cache.is_leased(tenant))).await;
}

async fn confirmed(node: &Node, tenant: &str) {
    soon(async { while node.cache.confirmed(tenant, None).await.is_err() {} }).await;
}

/// Reads until level 1 answers.
async fn keep(node: &Node, day: &Day) -> u64 {
    soon(async {
        loop {
            if let (value, Source::Level1) = node.read(day).await {
                return value;
            }
        }
    })
    .await
}

/// The place of the master that has something of a tenant.
async fn owner(nodes: &[RedisServer], tenant: &str) -> usize {
    let mut owners = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        if !keys(node, &format!("*:?:{tenant}:*")).await.is_empty() {
            owners.push(place);
        }
    }
    assert_eq!(owners.len(), 1, "{tenant}");
    owners[0]
}

/// Two tenants on different masters, and where.
async fn two_tenants(nodes: &[RedisServer]) -> [(&'static str, usize); 2] {
    let first = (TENANTS[0], owner(nodes, TENANTS[0]).await);
    for tenant in &TENANTS[1..] {
        let owner = owner(nodes, tenant).await;
        if owner != first.1 {
            return [first, (tenant, owner)];
        }
    }
    panic!("all tenants are on one master");
}

struct Nodes {
    cluster: Cluster,
    origin: Origin,
    a: Node,
    b: Node,
}

impl Nodes {
    /// Two nodes, the first of which has kept a value for every tenant.
    async fn new() -> Self {
        let mut cluster = Cluster::start().await.expect("a cluster");
        for node in cluster.nodes() {
            // A cluster that stops when a part of it does has nothing to show here.
            let keep = ["CONFIG", "SET", "cluster-require-full-coverage", "no"];
            ask(node, &keep).await;
        }
        let origin = Origin::new();
        let [a, b] = [(); 2].map(|()| Node::new(redis(&cluster.urls()), &origin));
        leased(&a, &TENANTS).await;
        leased(&b, &TENANTS).await;
        for tenant in TENANTS {
            keep(&a, &day(tenant)).await;
        }
        until(|| a.level2().written >= TENANTS.len() as u64).await;
        Self {
            cluster,
            origin,
            a,
            b,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_tenant_is_in_one_slot_and_tenants_are_spread() {
    let mut all = Nodes::new().await;
    let mut owners = BTreeSet::new();
    for tenant in TENANTS {
        let nodes = all.cluster.nodes();
        let place = owner(nodes, tenant).await;
        owners.insert(place);
        let mut names = keys(&nodes[place], &format!("*:?:{tenant}:*")).await;
        assert!(names.len() >= 2, "a fence and an entry: {names:?}");
        let (partition, _) = names[0].split_once("}:").expect("a hash tag");
        names.push(format!("{partition}}}:state"));
        let mut slots = BTreeSet::new();
        for name in &names {
            assert_eq!(
                ask(&nodes[place], &["EXISTS", name]).await,
                Reply::Integer(1)
            );
            let Reply::Integer(slot) = ask(&nodes[place], &["CLUSTER", "KEYSLOT", name]).await
            else {
                panic!("a slot");
            };
            slots.insert(slot);
        }
        assert_eq!(slots.len(), 1, "{names:?}");
    }
    assert!(owners.len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_on_different_masters_are_read_invalidated_and_held_alike() {
    let mut all = Nodes::new().await;
    let [one, other] = two_tenants(all.cluster.nodes()).await;
    let Nodes { origin, a, b, .. } = &all;
    for (tenant, _) in [one, other] {
        let day = day(tenant);
        origin.set(1);
        let written = a.level2().written;
        a.cache.invalidate(&host(tenant), Span::ALL);
        confirmed(a, tenant).await;
        assert_eq!(keep(a, &day).await, 1);
        let hits = b.level2().hits;
        until(|| a.level2().written > written).await;
        assert_eq!(keep(b, &day).await, 1);
        assert!(b.level2().hits > hits);

        a.change(&day, 2);
        confirmed(a, tenant).await;
        assert_eq!(b.read(&day).await.0, 2);

        let held = soon(a.cache.hold(&[day.cover()], Duration::from_secs(600))).await;
        let held = held.unwrap();
        let gates = [Gate::new(), Gate::new()];
        let mut readers = Vec::new();
        for gate in &gates {
            readers.push(b.read_at(&day, gate));
            gate.entered().await;
        }
        gates.iter().for_each(Gate::release);
        for reader in readers {
            assert_eq!(reader.await.unwrap(), (2, Source::Loaded));
        }
        origin.set(3);
        assert_eq!(b.read(&day).await, (3, Source::Loaded));
        a.cache.release(&held);
        confirmed(a, tenant).await;
        assert_eq!(keep(b, &day).await, 3);
    }
    assert_eq!(a.level2().lost_holds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_takes_along_level_2_of_its_own_tenants_only() {
    let mut all = Nodes::new().await;
    let [(dead, place), (alive, _)] = two_tenants(all.cluster.nodes()).await;
    for tenant in [dead, alive] {
        keep(&all.b, &day(tenant)).await;
    }
    all.cluster.nodes()[place].kill().await.unwrap();
    let Nodes { a, b, .. } = &all;

    for value in 10..15 {
        a.change(&day(dead), value);
        assert_eq!(a.read(&day(dead)).await.0, value);
    }
    assert!(soon(a.cache.confirmed(dead, None)).await.is_err());
    until(|| !b.cache.is_leased(dead)).await;
    assert_eq!(b.read(&day(dead)).await, (14, Source::Loaded));
    assert!(a.level2().pending > 0);

    for value in 20..25 {
        a.change(&day(alive), value);
        confirmed(a, alive).await;
        assert_eq!(b.read(&day(alive)).await.0, value);
        assert_eq!(keep(b, &day(alive)).await, value);
    }
    assert_eq!(b.read(&day(dead)).await, (24, Source::Loaded));

    all.cluster.nodes()[place].restart().await.unwrap();
    let Nodes { a, b, origin, .. } = &all;
    confirmed(a, dead).await;
    assert_eq!(a.level2().pending, 0);
    origin.set(30);
    a.cache.invalidate(&host(dead), Span::ALL);
    confirmed(a, dead).await;
    assert_eq!(keep(b, &day(dead)).await, 30);
}
