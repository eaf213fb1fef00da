//! A cluster answers for every slot, and a node that comes back finds its place.

use vacancy_testbed::{Cluster, RedisServer, Reply};

/// One key for each node: of slots 3300, 5649 is on the second and 15495 on the third.
const KEYS: [&str; 3] = ["b", "c", "a"];

async fn set(node: &RedisServer, key: &str) -> Reply {
    let set = node.command(&["SET", key, "value"]).await;
    set.expect("the node answers")
}

#[tokio::test]
async fn each_node_answers_for_its_slots_and_names_the_owner_of_others() {
    let mut cluster = Cluster::start().await.unwrap();
    let urls = cluster.urls();
    let nodes = cluster.nodes();
    assert_eq!(urls.len(), 3);
    let owners: Vec<_> = nodes.iter().map(RedisServer::address).collect();
    for (place, node) in nodes.iter().enumerate() {
        assert_eq!(urls[place], node.url());
        for (owner, key) in KEYS.iter().enumerate() {
            let reply = set(node, key).await;
            if owner == place {
                assert_eq!(reply, Reply::Text("OK".into()));
            } else {
                let moved = owners[owner].to_string();
                assert!(
                    matches!(&reply, Reply::Error(to) if to.starts_with("MOVED") && to.ends_with(&moved)),
                    "{reply:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_node_that_is_restarted_keeps_its_slots_and_loses_its_keys() {
    let mut cluster = Cluster::start().await.unwrap();
    let node = &mut cluster.nodes()[0];
    set(node, KEYS[0]).await;
    node.restart().await.unwrap();
    let slots = node.command(&["CLUSTER", "INFO"]).await.unwrap();
    assert!(
        slots
            .text()
            .unwrap()
            .contains("cluster_slots_assigned:16384")
    );
}
