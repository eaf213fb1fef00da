//! The level that processes share.
//!
//! # Invariants
//!
//! 1. An entry is valid only if, at one moment in Redis, its incarnation is the partition's and no
//!    fence it was loaded under is missing, has forgotten, or shows a later record that meets it.
//! 2. Its number was read before the load began.
//! 3. While an invalidation of this process is not confirmed, no entry that it meets is served.
//! 4. A value is kept in level 1 only if level 2 has answered since its fences were taken: what others
//!    invalidated before that is in the answer, and what they invalidate later will be heard.

mod acknowledgements;
mod backplane;
mod clock;
mod courier;
mod link;
mod names;
mod node;
mod notice;
mod outbox;
mod partition;
mod progress;
mod redis_store;
mod remote_fence;
mod scripts;
mod settings;
mod store;
mod stored;

#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(vacancy_simulation)]
pub mod simulation;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

pub use self::settings::{Consistency, InvalidUrl, Redis, RedisUrl, SharedKey};
pub(crate) use self::{
    link::Link,
    names::{Names, escape, partition_of},
    partition::{KeptTrust, Lapse, Trust},
    settings::{Level2Settings, Shared},
    store::{Position, StoreError},
};
use self::{
    node::{Node, Part},
    remote_fence::RemoteFence,
    store::{Deed, EntryName, Item, Looked as Answered},
    stored::{Misfit, Origin},
};
use crate::{
    cache::Nearest,
    cover::{Cover, Scope, Span},
    entry::{Entry, Guards},
    fence::{Calm, HoldId},
    hold::Hold,
    statistics::Level2Statistics,
    token::Token,
    turn::{Look, Ticket},
    unconfirmed::Unconfirmed,
};

/// How keys and values are written, whatever they are.
pub(crate) struct Codec<K, V> {
    pub(crate) tenant: fn(&K) -> &str,
    pub(crate) name: fn(&K) -> String,
    pub(crate) write: fn(&V) -> Option<Vec<u8>>,
    pub(crate) read: fn(&[u8]) -> Option<V>,
}

/// The level that processes share, as one cache sees it.
pub(crate) struct Level2<K, V> {
    node: Arc<Node>,
    codec: Arc<Codec<K, V>>,
}

/// What level 2 said.
pub(crate) enum Looked<V> {
    Found {
        value: V,
        loaded: Instant,
        deadline: Instant,
    },
    Missing(Proof),
    /// It has not answered.
    Doubt,
}

/// That level 2 has answered before a load: under what the value will be written.
pub(crate) struct Proof {
    origin: Origin,
    calm: Calm,
}

impl Proof {
    pub(crate) fn may_keep(&self) -> bool {
        self.calm == Calm::Settled
    }

    pub(crate) fn may_share(&self) -> bool {
        self.calm < Calm::Held
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Level2<K, V> {
    pub(crate) fn new(node: Arc<Node>, codec: Codec<K, V>) -> Self {
        node.begin();
        Self {
            node,
            codec: Arc::new(codec),
        }
    }

    /// To be taken before the flight that it is for.
    pub(crate) fn trust(&self, key: &K) -> Trust {
        self.node.begin();
        self.part(key).partition.trust()
    }

    pub(crate) fn is_reachable(&self, key: &K) -> bool {
        let usable = self.part(key).is_usable();
        if !usable {
            self.node.counters.bypassed.add();
        }
        usable
    }

    /// Looks for the entry of `key`.
    pub(crate) async fn look(&self, key: &K, nearest: Nearest, guards: &Guards) -> Looked<V> {
        let (node, part) = (&self.node, self.part(key));
        let tenant = (self.codec.tenant)(key);
        let name = (self.codec.name)(key);
        let entry = EntryName {
            tenant,
            name: &name,
        };
        let covers: Vec<(&Scope, Span)> = guards.covers().collect();
        if covers.iter().any(|(scope, _)| scope.tenant() != tenant) {
            // Its fences would be in another partition than its entry.
            return Looked::Doubt;
        }
        // Before the question: what is confirmed until the answer comes may not be in it.
        let unconfirmed = part.outbox.meets(covers.iter().copied())
            // What was written by a node that does not know of the hold is not to be believed.
            || guards.calm(&node.fences, Instant::now()) == Calm::Held;
        let scopes: Vec<&Scope> = covers.iter().map(|(scope, _)| *scope).collect();
        let asked = Instant::now();
        let answered = match node.store.look(part.partition.index, entry, &scopes).await {
            Ok(answered) if answered.fences.len() == covers.len() => answered,
            Ok(_) => return Looked::Doubt,
            Err(error) => {
                tracing::debug!(%error, "level 2 did not answer");
                node.counters.errors.add();
                part.partition.set_reachable(false);
                part.partition.pulse.notify_one();
                return Looked::Doubt;
            }
        };
        let fences = Fences::read(&answered, &covers);
        let is_wanted = !unconfirmed && nearest != Nearest::Origin;
        if is_wanted && let Some(found) = self.found(entry, &answered, &fences, asked) {
            node.counters.hits.add();
            return found;
        }
        node.counters.misses.add();
        let calm = fences.calm(node.times.settle, answered.now_ms);
        if calm == Calm::Held {
            node.counters.held.add();
        }
        let origin = Origin {
            under: answered.at,
            loaded_ms: answered.now_ms,
        };
        Looked::Missing(Proof { origin, calm })
    }

    /// The entry that was found, if it may be served.
    fn found(
        &self,
        name: EntryName<'_>,
        answered: &Answered,
        fences: &Fences<'_>,
        asked: Instant,
    ) -> Option<Looked<V>> {
        let node = &self.node;
        let counters = &node.counters;
        let bytes = answered.entry.as_ref()?;
        let (origin, value) = match stored::read(name, bytes, node.entry_limit) {
            Ok(read) => read,
            Err(Misfit::Oversized) => {
                counters.oversized.add();
                return None;
            }
            Err(Misfit::Unreadable) => {
                counters.unreadable.add();
                return None;
            }
        };
        if !fences.stand(&origin.under) {
            counters.fenced.add();
            return None;
        }
        // By one clock, the server's, which tells whole milliseconds: one more, so that the entry can only
        // look older here than it is.
        let age = Duration::from_millis(answered.now_ms.saturating_sub(origin.loaded_ms) + 1);
        let Some(left) = node
            .times
            .ttl
            .checked_sub(age)
            .filter(|left| !left.is_zero())
        else {
            counters.expired.add();
            return None;
        };
        let Some(value) = (self.codec.read)(&value) else {
            counters.unreadable.add();
            return None;
        };
        Some(Looked::Found {
            value,
            loaded: asked.checked_sub(age).unwrap_or(asked),
            deadline: asked + left,
        })
    }

    /// Writes a value that was loaded, without waiting for it.
    pub(crate) fn keep(&self, key: &K, entry: &Arc<Entry<V>>, proof: Proof)
    where
        K: Clone,
    {
        let Ok(permit) = Arc::clone(&self.node.writes).try_acquire_owned() else {
            self.node.counters.unwritten.add();
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (node, codec) = (Arc::clone(&self.node), Arc::clone(&self.codec));
        let (key, entry) = (key.clone(), Arc::clone(entry));
        runtime.spawn(async move {
            write(&node, &codec, &key, &entry, &proof.origin).await;
            drop(permit);
        });
    }

    /// Takes invalidations in, to be carried to Redis: in one call for each tenant.
    pub(crate) fn invalidate(&self, covers: &[Cover]) {
        self.carry(covers, Deed::Raise);
    }

    /// Takes invalidations in that release a hold, if Redis has confirmed one.
    pub(crate) fn release(&self, covers: &[Cover], id: Option<HoldId>) {
        self.carry(covers, id.map_or(Deed::Raise, |id| Deed::Release { id }));
    }

    fn carry(&self, covers: &[Cover], deed: Deed) {
        self.node.begin();
        let item = |cover: &Cover| Item {
            scope: cover.scope.clone(),
            span: cover.span,
            deed,
        };
        let same_tenant = |one: &Cover, other: &Cover| one.scope.tenant() == other.scope.tenant();
        for covers in covers.chunk_by(same_tenant) {
            let items = covers.iter().filter(|cover| !cover.span.is_empty());
            if let Some(first) = covers.first() {
                let outbox = &self.node.part(first.scope.tenant()).outbox;
                outbox.push(items.map(item));
            }
        }
    }

    /// Waits until all that was invalidated before is confirmed.
    pub(crate) async fn confirmed(
        &self,
        tenant: &str,
        within: Duration,
    ) -> Result<Token, Unconfirmed> {
        self.node.begin();
        let part = self.node.part(tenant);
        let upto = part.outbox.last();
        match timeout(within, part.progress.everybody(upto)).await {
            Ok(()) => Ok(self.token(part)),
            Err(_) => {
                self.node.counters.unconfirmed.add();
                Err(match part.progress.now().redis >= upto {
                    true => Unconfirmed::Nodes { waited: within },
                    false => Unconfirmed::Redis { waited: within },
                })
            }
        }
    }

    /// As new as all that this node has heard of and said.
    fn token(&self, part: &Part) -> Token {
        let newest = Position::newest(part.progress.latest(), part.partition.upto());
        newest.map_or_else(
            Token::local,
            |Position {
                 incarnation,
                 number,
             }| { Token::new(part.partition.index, incarnation, number) },
        )
    }

    /// Whether this node has heard all that the token stands for.
    pub(crate) fn has_heard(&self, token: &Token) -> bool {
        let Some((partition, position)) = token.position() else {
            return true;
        };
        self.node
            .parts
            .get(usize::from(partition))
            .is_some_and(|part| part.partition.has_heard(&position))
    }

    /// Holds the spans at Redis and, in strict consistency, at all nodes.
    pub(crate) async fn hold(&self, hold: &Hold, lasts: Duration) -> Result<HoldId, Unconfirmed> {
        self.node.begin();
        let within = self.node.times.confirm_within;
        let held = timeout(within, async {
            loop {
                // Each attempt is a hold of its own: one that seemed lost and arrives late must not
                // bring back what has been lost meanwhile under the name of the one that was confirmed.
                let id = self.node.next_hold();
                match self.try_hold(id, hold, lasts).await {
                    Ok(()) => return id,
                    Err(error) => {
                        tracing::debug!(%error, "redis did not confirm a hold");
                        self.node.counters.errors.add();
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        });
        held.await.map_err(|_| {
            self.node.counters.unconfirmed.add();
            Unconfirmed::Redis { waited: within }
        })
    }

    async fn try_hold(&self, id: HoldId, hold: &Hold, lasts: Duration) -> Result<(), StoreError> {
        let node = &self.node;
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let strict = node.consistency == Consistency::Strict;
        for covers in hold.by_tenant() {
            let Some(first) = covers.first() else {
                continue;
            };
            let part = node.part(first.scope.tenant());
            let item = |cover: &&Cover| Item {
                scope: cover.scope.clone(),
                span: cover.span,
                deed: Deed::Hold { id, lasts_ms },
            };
            let items: Vec<Item> = covers.iter().map(item).collect();
            let raised = node
                .store
                .raise(part.partition.index, &items, strict)
                .await?;
            let replied = Instant::now();
            node.counters.raises.add();
            if !strict {
                continue;
            }
            let heard = courier::everybody(node, part, &raised.at, &raised.nodes, replied).await;
            // A node that has not heard of it learns of it from Redis, if that still knows.
            if !heard {
                let now = node.store.pulse(part.partition.index, false).await?;
                if now.at.incarnation != raised.at.incarnation {
                    return Err(StoreError::Forgotten);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn next_hold(&self) -> HoldId {
        self.node.next_hold()
    }

    pub(crate) fn confirm_within(&self) -> Duration {
        self.node.times.confirm_within
    }

    pub(crate) fn is_leased(&self, tenant: &str) -> bool {
        self.node.part(tenant).partition.is_leased()
    }

    pub(crate) fn statistics(&self) -> Level2Statistics {
        self.node.statistics()
    }

    fn part(&self, key: &K) -> &Part {
        self.node.part((self.codec.tenant)(key))
    }
}

impl<K, V> Drop for Level2<K, V> {
    fn drop(&mut self) {
        self.node.end();
    }
}

/// The fences of an answer, each with the span that the entry covers.
struct Fences<'a>(Vec<(Option<RemoteFence<'a>>, Span)>, &'a str);

impl<'a> Fences<'a> {
    fn read(answered: &'a Answered, covers: &[(&Scope, Span)]) -> Self {
        let incarnation = &*answered.at.incarnation;
        let fences = answered.fences.iter().zip(covers);
        let read = |(text, (_, span)): (&'a String, &(&Scope, Span))| {
            (RemoteFence::read(text, incarnation), *span)
        };
        Self(fences.map(read).collect(), incarnation)
    }

    fn stand(&self, under: &Position) -> bool {
        *under.incarnation == *self.1
            && self.0.iter().all(|(fence, span)| {
                fence
                    .as_ref()
                    .is_some_and(|fence| fence.stands(*span, under.number))
            })
    }

    fn calm(&self, settle: Duration, now_ms: u64) -> Calm {
        let calm = |(fence, span): &(Option<RemoteFence<'_>>, Span)| {
            fence
                .as_ref()
                .map_or(Calm::Held, |fence| fence.calm(*span, settle, now_ms))
        };
        self.0.iter().map(calm).max().unwrap_or(Calm::Settled)
    }
}

async fn write<K, V>(node: &Node, codec: &Codec<K, V>, key: &K, entry: &Entry<V>, origin: &Origin) {
    let (tenant, name) = ((codec.tenant)(key), (codec.name)(key));
    let entry_name = EntryName {
        tenant,
        name: &name,
    };
    let Some(value) = (codec.write)(&entry.value) else {
        node.counters.unreadable.add();
        return;
    };
    let Ok(bytes) = stored::write(entry_name, origin, &value, node.entry_limit) else {
        node.counters.oversized.add();
        return;
    };
    let left = entry.deadline.saturating_duration_since(Instant::now());
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    if left_ms == 0 {
        return;
    }
    let partition = node.part(tenant).partition.index;
    match node
        .store
        .write(partition, entry_name, bytes, left_ms)
        .await
    {
        Ok(()) => node.counters.written.add(),
        Err(error) => {
            tracing::debug!(%error, "a value was not written to level 2");
            node.counters.errors.add();
        }
    }
}

/// Asks for all tickets at once.
pub(crate) async fn look_all<K, V, E>(tickets: Vec<Ticket<K, V, E>>) -> Vec<Look<K, V, E>>
where
    K: crate::cache::Key,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    futures_util::future::join_all(tickets.into_iter().map(Ticket::look)).await
}
