//! Three primaries that share the hash slots.

use std::io;

use crate::redis_server::{RedisServer, StartError};

/// The hash slots of the nodes, all 16,384 of them.
const SLOTS: [std::ops::Range<u16>; 3] = [0..5_461, 5_461..10_923, 10_923..16_384];

/// A Redis cluster of three primaries without replicas.
///
/// Owns its servers: dropping it kills them.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts the nodes, introduces them to each other, and waits until each says that all is well.
    ///
    /// That takes them a second or two.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        let mut nodes = Vec::new();
        for (place, slots) in SLOTS.into_iter().enumerate() {
            let node = RedisServer::start_with(&[("cluster-enabled", "yes")]).await?;
            // Nodes with equal epochs would have to settle that first.
            let epoch = (place + 1).to_string();
            accepted(&node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let mut add = vec!["CLUSTER", "ADDSLOTS"];
            add.extend(slots.iter().map(String::as_str));
            accepted(&node, &add).await?;
            nodes.push(node);
        }
        for node in &nodes {
            for other in &nodes {
                let port = other.port().to_string();
                accepted(node, &["CLUSTER", "MEET", "127.0.0.1", &port]).await?;
            }
        }
        for node in &nodes {
            let well = ["cluster_state:ok", "cluster_known_nodes:3"];
            node.until(&["CLUSTER", "INFO"], |info| {
                well.iter().all(|line| info.contains(line))
            })
            .await?;
        }
        Ok(Self { nodes })
    }

    /// The addresses of the nodes, as clients want them.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes, to be killed, paused and restarted.
    ///
    /// A node that is restarted finds its place in the cluster again, without its keys.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }
}

async fn accepted(node: &RedisServer, words: &[&str]) -> io::Result<()> {
    node.command(words).await?.accepted().map(drop)
}
