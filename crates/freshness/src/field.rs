//! The servers, proxies and nodes that one cell of the table is measured on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::time::{sleep, timeout};
use vacancy_testbed::{Fault, Proxy, RedisServer, Reply};

use crate::{
    history::{Diary, History, NodeId, Version},
    node_process::NodeProcess,
    settings::Settings,
    subject::{Column, Counts},
    wire::Assignment,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Each node reaches Redis through a proxy of its own, so that one can be cut off alone.
pub(crate) struct Field {
    // Before the servers, without which they could not go on.
    nodes: Vec<NodeProcess>,
    column: Column,
    settings: Settings,
    /// No fault is ever put here.
    database: RedisServer,
    pub(crate) primary: RedisServer,
    replica: Option<Replica>,
    proxies: Vec<Proxy>,
    begun: NodeId,
    reads: Arc<AtomicU64>,
    killed: Vec<(NodeId, Diary)>,
}

/// A second server, and the proxy through which it follows the first.
struct Replica {
    server: RedisServer,
    link: Proxy,
}

impl Field {
    /// Starts the servers and as many nodes as the settings say.
    pub(crate) async fn start(column: Column, settings: &Settings) -> anyhow::Result<Self> {
        let primary = RedisServer::start().await?;
        let mut field = Self {
            nodes: Vec::new(),
            column,
            settings: settings.clone(),
            database: RedisServer::start().await?,
            primary,
            replica: None,
            proxies: Vec::new(),
            begun: 0,
            reads: Arc::default(),
            killed: Vec::new(),
        };
        for place in 0..usize::from(settings.nodes) {
            let proxy = Proxy::start(field.primary.address()).await?;
            field.proxies.push(proxy);
            let node = field.start_node(place).await?;
            field.nodes.push(node);
        }
        Ok(field)
    }

    async fn start_node(&mut self, place: usize) -> anyhow::Result<NodeProcess> {
        let node = self.begun;
        self.begun = node.checked_add(1).context("too many nodes for one run")?;
        let assignment = Assignment {
            node,
            column: self.column,
            redis: self.proxies[place].url(),
            database: self.database.url(),
            keys: self.settings.keys,
            readers: self.settings.readers,
            writers: self.settings.writers,
            reads_per_second: self.settings.reads_per_second / u32::from(self.settings.nodes),
            lease: self.settings.lease,
            seed: self.settings.seed ^ u64::from(node) << 32,
        };
        NodeProcess::start(assignment, Arc::clone(&self.reads)).await
    }

    pub(crate) fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, place: usize) -> &NodeProcess {
        &self.nodes[place]
    }

    /// Reads that the nodes have reported so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Puts a fault between Redis and the nodes at `places`.
    pub(crate) fn set(&self, places: &[usize], fault: Fault) {
        for place in places {
            self.proxies[*place].set(fault);
        }
    }

    /// Kills the node at `place` between a commit and what should have followed, and has another
    /// one take its place.
    pub(crate) async fn kill_writer(&mut self, place: usize) -> anyhow::Result<()> {
        let node = self.nodes.remove(place);
        self.killed.push(node.die_after_commit().await?);
        let successor = self.start_node(place).await?;
        self.nodes.insert(place, successor);
        Ok(())
    }

    /// Gives the primary a replica that has all it has, unless there is one.
    pub(crate) async fn add_replica(&mut self) -> anyhow::Result<()> {
        if self.replica.is_none() {
            let replica = Replica {
                server: RedisServer::start().await?,
                link: Proxy::start(self.primary.address()).await?,
            };
            replica.follow().await?;
            self.replica = Some(replica);
        }
        Ok(())
    }

    /// Keeps from the replica what happens from now on.
    pub(crate) fn hold_back_replication(&self) -> anyhow::Result<()> {
        let replica = self.replica.as_ref().context("there is no replica")?;
        replica
            .link
            .set(Fault::BlackHole(vacancy_testbed::Direction::ToClient));
        Ok(())
    }

    /// Kills the primary and promotes the replica as it is. The former primary comes back empty, and
    /// follows.
    pub(crate) async fn fail_over(&mut self) -> anyhow::Result<()> {
        let mut replica = self.replica.take().context("there is no replica")?;
        self.primary.kill().await?;
        replica.server.promote().await?;
        for proxy in &self.proxies {
            proxy.redirect(replica.server.address());
        }
        std::mem::swap(&mut self.primary, &mut replica.server);
        replica.server.restart().await?;
        replica.link.set(Fault::None);
        replica.link.redirect(self.primary.address());
        replica.follow().await?;
        self.replica = Some(replica);
        Ok(())
    }

    /// Ends all reads and writes, waits until everything is confirmed and every lease and hold
    /// is over, reads each key once more, and returns all that happened.
    pub(crate) async fn end(mut self) -> anyhow::Result<(History, Counts)> {
        for node in &mut self.nodes {
            node.rest().await?;
        }
        for node in &mut self.nodes {
            node.settle().await?;
        }
        sleep(self.settings.quiescence()).await;
        for node in &mut self.nodes {
            node.read_all().await?;
        }
        let committed = self.committed().await?;
        let mut diaries = self.killed;
        let mut counts = Counts::default();
        for node in self.nodes {
            let (id, diary, counted) = node.end().await?;
            diaries.push((id, diary));
            counts.add(counted);
        }
        let history = History {
            diaries,
            injections: Vec::new(),
            committed,
        };
        Ok((history, counts))
    }

    async fn committed(&self) -> anyhow::Result<Vec<Version>> {
        let keys: Vec<_> = (0..self.settings.keys).map(|key| key.to_string()).collect();
        let mut command = vec!["MGET"];
        command.extend(keys.iter().map(String::as_str));
        let Reply::Array(replies) = self.database.command(&command).await? else {
            bail!("the database does not say what it has");
        };
        let version = |reply: &Reply| match reply {
            Reply::Bulk(None) => Ok(0),
            reply => Ok(reply.text().context("no version")?.parse()?),
        };
        replies.iter().map(version).collect()
    }
}

impl Replica {
    /// Makes the server follow whatever the link leads to, and waits until it has caught up.
    async fn follow(&self) -> anyhow::Result<()> {
        let port = self.link.address().port().to_string();
        let address: SocketAddr = self.link.address();
        self.server
            .command(&["REPLICAOF", &address.ip().to_string(), &port])
            .await?;
        let linked = async {
            loop {
                let information = self.server.command(&["INFO", "replication"]).await?;
                let text = information.text().unwrap_or_default();
                if text.contains("master_link_status:up") {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, linked)
            .await
            .context("the replica does not follow")?
    }
}
