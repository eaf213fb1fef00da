//! Redis as the server that all processes share.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{Script, ScriptInvocation};

use super::{
    link::{Link, Server},
    names::Names,
    notice,
    scripts::Scripts,
    store::{
        Deed, EntryName, Incarnation, Item, Looked, Message, Messages, NodeId, Position, Pulse,
        Pulsed, Raised, Store, StoreError,
    },
};
use crate::cover::Scope;

/// Invalidated spans that a fence in Redis remembers. Each takes about fifty bytes.
const RECORDS: u64 = 32;

pub(crate) struct RedisStore {
    link: Link,
    names: Names,
    scripts: Scripts,
    node: NodeId,
    /// How long a fence is kept that nobody asks for: longer than any entry.
    fence_ttl_ms: u64,
    /// Makes the incarnations that this node proposes differ.
    proposed: AtomicU64,
}

impl RedisStore {
    pub(crate) fn new(
        server: Server,
        names: Names,
        node: NodeId,
        time_out: Duration,
        ttl: Duration,
    ) -> Self {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Self {
            link: Link::new(server, time_out),
            names,
            scripts: Scripts::new(),
            node,
            fence_ttl_ms: ttl_ms
                .saturating_mul(2)
                .clamp(60_000, 10 * 366 * 86_400_000),
            proposed: AtomicU64::new(0),
        }
    }

    /// Calls a script with what each of them begins with.
    async fn run<T: redis::FromRedisValue>(
        &self,
        partition: u16,
        script: &Script,
        fill: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, StoreError> {
        let proposed = self.proposed.fetch_add(1, Ordering::Relaxed);
        let mut invocation = script.prepare_invoke();
        invocation
            .key(self.names.state(partition))
            .arg(format!("{:x}.{proposed:x}", self.node));
        fill(&mut invocation);
        self.link
            .call(async |connection| invocation.invoke_async(connection).await)
            .await
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn look(
        &self,
        partition: u16,
        entry: EntryName<'_>,
        fences: &[&Scope],
    ) -> Result<Looked, StoreError> {
        type Reply = (String, u64, u64, Option<Vec<u8>>, Vec<String>);
        let fill = |invocation: &mut ScriptInvocation<'_>| {
            invocation.key(self.names.entry(partition, entry));
            for scope in fences {
                invocation.key(self.names.fence(partition, scope));
            }
            invocation.arg(self.fence_ttl_ms);
        };
        let reply: Reply = self.run(partition, &self.scripts.look, fill).await?;
        let (incarnation, number, now_ms, entry, fences) = reply;
        Ok(Looked {
            at: position(&incarnation, number),
            now_ms,
            entry,
            fences,
        })
    }

    async fn write(
        &self,
        partition: u16,
        entry: EntryName<'_>,
        bytes: Vec<u8>,
        ttl_ms: u64,
    ) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(self.names.entry(partition, entry));
        set.arg(bytes).arg("PX").arg(ttl_ms);
        self.link
            .call(async |connection| set.query_async(connection).await)
            .await
    }

    async fn raise(
        &self,
        partition: u16,
        items: &[Item],
        acknowledge: bool,
    ) -> Result<Raised, StoreError> {
        type Reply = (String, u64, u64, Vec<String>, Vec<String>);
        let fill = |invocation: &mut ScriptInvocation<'_>| {
            for item in items {
                invocation.key(self.names.fence(partition, &item.scope));
            }
            invocation
                .arg(self.fence_ttl_ms)
                .arg(RECORDS)
                .arg(format!("{:x}", self.node))
                .arg(u8::from(acknowledge))
                .arg(self.names.notices())
                .arg(partition)
                .arg(notice::body(items));
            for (place, item) in items.iter().enumerate() {
                let (deed, hold) = match item.deed {
                    Deed::Raise => ("raise", String::new()),
                    Deed::Hold { id, lasts_ms } => ("hold", format!("{id:x}={lasts_ms}")),
                    Deed::Release { id } => ("release", format!("{id:x}")),
                };
                invocation
                    .arg(place + 1)
                    .arg(item.span.from())
                    .arg(item.span.to())
                    .arg(deed)
                    .arg(hold);
            }
        };
        let reply: Reply = self.run(partition, &self.scripts.raise, fill).await?;
        let (incarnation, number, _, nodes, lost) = reply;
        Ok(Raised {
            at: position(&incarnation, number),
            nodes: read_nodes(&nodes)?,
            lost_holds: lost.len() as u64,
        })
    }

    async fn pulse(&self, partition: u16, all_nodes: bool) -> Result<Pulse, StoreError> {
        let fill = |invocation: &mut ScriptInvocation<'_>| {
            invocation
                .arg(format!("{:x}", self.node))
                .arg(u8::from(all_nodes));
        };
        let reply: (String, u64, u64, Vec<String>) =
            self.run(partition, &self.scripts.pulse, fill).await?;
        let (incarnation, number, _, nodes) = reply;
        Ok(Pulse {
            at: position(&incarnation, number),
            nodes: read_nodes(&nodes)?,
        })
    }

    async fn retire(
        &self,
        partition: u16,
        incarnation: &Incarnation,
        silent: Pulsed,
    ) -> Result<(), StoreError> {
        let fill = |invocation: &mut ScriptInvocation<'_>| {
            invocation
                .arg(format!("{:x}", silent.node))
                .arg(silent.mark)
                .arg(&**incarnation);
        };
        let reply: Result<redis::Value, _> = self.run(partition, &self.scripts.retire, fill).await;
        reply.map(drop)
    }

    async fn rebirth(&self, partition: u16) -> Result<Position, StoreError> {
        let (incarnation, number, _): (String, u64, u64) =
            self.run(partition, &self.scripts.rebirth, |_| ()).await?;
        Ok(position(&incarnation, number))
    }

    async fn acknowledge(&self, partition: u16, upto: &Position) -> Result<(), StoreError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.names.acknowledgements());
        publish.arg(notice::acknowledgement(partition, upto, self.node));
        self.link
            .call(async |connection| publish.query_async(connection).await)
            .await
    }

    async fn subscribe(&self) -> Result<Messages, StoreError> {
        let notices = self.names.notices();
        let channels = [notices.clone(), self.names.acknowledgements()];
        let hearing = self.link.subscribe(&channels).await?;
        let read = move |message: redis::Msg| -> Message {
            let payload = message.get_payload_bytes();
            match message.get_channel_name() == notices {
                true => notice::read(payload),
                false => notice::read_acknowledgement(payload),
            }
        };
        Ok(Box::pin(hearing.into_on_message().map(read)))
    }
}

fn position(incarnation: &str, number: u64) -> Position {
    Position {
        incarnation: Incarnation::from(incarnation),
        number,
    }
}

/// Reads the nodes among the alternating names and values of the state.
fn read_nodes(flat: &[String]) -> Result<Vec<Pulsed>, StoreError> {
    let read = |node: &str, mark: &str| {
        let node = NodeId::from_str_radix(node, 16).ok()?;
        let mark = mark.parse().ok()?;
        Some(Pulsed { node, mark })
    };
    let mut nodes = Vec::new();
    for pair in flat.chunks(2) {
        let [name, mark] = pair else {
            return Err(StoreError::NotUnderstood);
        };
        if let Some(node) = name.strip_prefix("n:") {
            nodes.push(read(node, mark).ok_or(StoreError::NotUnderstood)?);
        }
    }
    Ok(nodes)
}
