//! The settings of level 2.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use redis::{Client, ConnectionAddr, IntoConnectionInfo, cluster::ClusterClient};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Codec, Level2,
    link::{Link, Server},
    names::Names,
    node::{Node, Times},
    redis_store::RedisStore,
};
use crate::{builder::Builder, cache::Key, fences::Fences};

/// Partitions of a cluster. Part of the layout: a tenant's partition must not change.
const CLUSTER_PARTITIONS: u16 = 32;

/// A key of a cache that several processes share.
pub trait SharedKey: Key {
    /// Whose the value is. All covers of the key have to belong to the same tenant; otherwise the value
    /// is not shared.
    fn tenant(&self) -> &str;

    /// The name of the key within its tenant: the same in every process, and different for
    /// different keys.
    fn name(&self) -> String;
}

/// Who has to know of an invalidation before it is confirmed to its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Consistency {
    /// Redis. Other processes follow at once when they hear of it, and within the
    /// [lease](Redis::lease) if they do not. Costs one round trip.
    #[default]
    Bounded,
    /// Every process that may answer from its own memory: each has said so, or its lease has run out.
    /// Costs about two round trips, and one lease when a process has died.
    ///
    /// A read anywhere that begins after the confirmation gives no answer from before it. This assumes one
    /// master at a time, the same lease in all processes, and that no clock goes faster than another
    /// by more than one part in 32; it does not assume that clocks agree.
    Strict,
}

/// The address of a Redis or Valkey: `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS.
///
/// `Debug` and errors show neither user nor password.
#[derive(Clone)]
pub struct RedisUrl(Client);

/// Why a text is not the address of a Redis. Tells nothing of the text: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not have the form of one.
    #[error("not the address of a redis: expected redis://[user:password@]host[:port][/db]")]
    Form,
    /// It asks for TLS, which this program was built without.
    #[error("rediss:// needs the feature `redis-tls`")]
    Tls,
    /// A cluster needs at least one address, and the same credentials for all.
    #[error("a cluster needs at least one address, and the same credentials for all")]
    Cluster,
}

impl FromStr for RedisUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let info = text.into_connection_info().map_err(|_| {
            match text.starts_with("rediss:") && !cfg!(feature = "redis-tls") {
                true => InvalidUrl::Tls,
                false => InvalidUrl::Form,
            }
        })?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) && !cfg!(feature = "redis-tls") {
            return Err(InvalidUrl::Tls);
        }
        Client::open(info).map(Self).map_err(|_| InvalidUrl::Form)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0.get_connection_info();
        write!(
            f,
            "RedisUrl({}, db {})",
            info.addr(),
            info.redis_settings().db()
        )
    }
}

/// A Redis, or Valkey, 6.2 or newer, that several processes share, and how they use it.
///
/// Processes share what they keep if they name the same namespace. They have to agree on the lease, and
/// each has to name the namespace of another application differently.
///
/// # When it fails
///
/// A read never fails because Redis did: it goes to the origin, shares its load with the readers that came
/// before the load began, and at most [`max_loads`](crate::Builder::max_loads) run at a time. An invalidation
/// holds in its own process at once, is kept, and is tried until Redis confirms it; meanwhile this process
/// asks level 2 for nothing. Past [`confirm_within`](Self::confirm_within) the waiting caller is told
/// [`Unconfirmed`](crate::Unconfirmed). Up to 8,192 invalidations are kept one by one; beyond that they become
/// whole scopes, and beyond that everything in the partition. None is dropped.
///
/// | what happens | reads | invalidations | other processes |
/// |---|---|---|---|
/// | down, refused, wrong password | level 1 until the lease ends, then the origin | kept; `Unconfirmed` when their time is over; sent on return | level 1 until their leases end, then the origin |
/// | slow, stalled | as down, after the first [`time_out`](Self::time_out) | as down; may have happened, which does no harm | as down, if they feel it too |
/// | connection half-open, replies lost | as down; after three calls without an answer the connection is made anew | as down | not concerned: a strict writer elsewhere waits for this node's lease |
/// | subscription lost or half-open | level 1 is given up at the next pulse that tells of more than was heard, and the subscription made anew | not concerned | a strict writer waits for this node's lease |
/// | read-only: demoted to a replica | as down; the connection is made anew, so that a name that moved leads to the new master | as down | as down |
/// | out of memory (`noeviction`) | level 2 may answer with what it has; nothing new is written | as down | may serve what could not be invalidated, for the time to live at most; use a policy that evicts |
/// | evicts keys | an entry without a fence is not valid | not concerned | the same |
/// | flushed, or restarted empty | another incarnation: level 1 and level 2 begin anew | a strict writer waits once for the leases of the former life | the same, at their next pulse |
/// | restarted with old data | the same: nothing of the former life is valid | the same | the same |
/// | failed over, with writes lost | the same | the same | the same |
/// | one master of a cluster lost | as down, for the tenants whose partition it had | the same | the same |
///
/// Outside of this: an old master that goes on accepting writes beside the new one. Set
/// `min-replicas-to-write` to bound it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vacancy_cache::{Consistency, Redis, RedisUrl};
///
/// let url: RedisUrl = "redis://127.0.0.1:6379".parse()?;
/// let redis = Redis::at(url)
///     .namespace("salon")
///     .consistency(Consistency::Strict)
///     .lease(Duration::from_millis(500));
/// # Ok::<(), vacancy_cache::InvalidUrl>(())
/// ```
#[derive(Clone)]
#[must_use = "settings do nothing until a cache is built with them"]
pub struct Redis {
    server: Server,
    partitions: u16,
    namespace: String,
    consistency: Consistency,
    lease: Duration,
    time_out: Duration,
    confirm_within: Duration,
    entry_limit: usize,
}

impl Redis {
    /// One server, or the name of whichever is the master.
    pub fn at(url: RedisUrl) -> Self {
        Self::new(Server::Single(Box::new(url.0)), 1)
    }

    /// A cluster, by the addresses of some of its nodes. The keys of a tenant are in one slot.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl::Cluster`] without an address, or when their credentials differ.
    pub fn cluster(urls: impl IntoIterator<Item = RedisUrl>) -> Result<Self, InvalidUrl> {
        let seeds: Vec<Client> = urls.into_iter().map(|url| url.0).collect();
        let infos = seeds.iter().map(|seed| seed.get_connection_info().clone());
        let client = ClusterClient::new(infos).map_err(|_| InvalidUrl::Cluster)?;
        let client = Box::new(client);
        let server = Server::Cluster { client, seeds };
        Ok(Self::new(server, CLUSTER_PARTITIONS))
    }

    pub(crate) fn new(server: Server, partitions: u16) -> Self {
        Self {
            server,
            partitions,
            namespace: "default".into(),
            consistency: Consistency::default(),
            lease: Duration::from_secs(1),
            time_out: Duration::from_millis(250),
            confirm_within: Duration::from_secs(5),
            entry_limit: 1 << 20,
        }
    }

    /// The application. Default `default`. Applications of different names on one Redis never meet.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Who has to know of an invalidation before it is confirmed. Default [`Consistency::Bounded`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// How long a process may answer from its own memory after it last heard from Redis. Default 1 s,
    /// between 20 ms and 60 s. The same for all processes of a namespace.
    ///
    /// It bounds how old an answer can be that another process has invalidated, and how long a strict
    /// writer waits for a process that has died. It is renewed three times within its time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_millis(20), Duration::from_secs(60));
        self
    }

    /// How long one call of Redis may take. Default 250 ms, at least 1 ms. A read that it takes longer
    /// to answer goes on without it, and so do others until Redis answers again.
    pub fn time_out(mut self, limit: Duration) -> Self {
        self.time_out = limit.max(Duration::from_millis(1));
        self
    }

    /// How long the confirmation of an invalidation or a hold is waited for. Default 5 s. After that it
    /// is reported as [`Unconfirmed`](crate::Unconfirmed); an invalidation is tried for longer.
    pub fn confirm_within(mut self, limit: Duration) -> Self {
        self.confirm_within = limit;
        self
    }

    /// How many bytes a value may have before compression. Default 1 MiB. Larger ones are not written,
    /// and not read if somebody else has written them.
    pub fn entry_limit(mut self, bytes: usize) -> Self {
        self.entry_limit = bytes;
        self
    }
}

impl Redis {
    /// A connection of its own, the names there, and the partitions.
    pub(crate) fn reach(&self) -> (Link, Names, u16) {
        let link = Link::new(self.server.clone(), self.time_out);
        (link, Names::new(&self.namespace), self.partitions)
    }
}

impl From<RedisUrl> for Redis {
    fn from(url: RedisUrl) -> Self {
        Self::at(url)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .field("consistency", &self.consistency)
            .field("lease", &self.lease)
            .field("time_out", &self.time_out)
            .field("confirm_within", &self.confirm_within)
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}

/// What level 2 and the cache that it belongs to have in common.
pub(crate) struct Shared {
    pub(crate) fences: Arc<Fences>,
    pub(crate) ttl: Duration,
    pub(crate) settle_time: Duration,
}

/// The settings together with how keys and values are written.
pub(crate) struct Level2Settings<K, V> {
    redis: Redis,
    codec: Codec<K, V>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Level2Settings<K, V> {
    pub(crate) fn open(self, shared: Shared) -> Level2<K, V> {
        let redis = self.redis;
        let id = fastrand::u64(..);
        let store = RedisStore::new(
            redis.server,
            Names::new(&redis.namespace),
            id,
            redis.time_out,
            shared.ttl,
        );
        let times = Times {
            lease: redis.lease,
            confirm_within: redis.confirm_within,
            ttl: shared.ttl,
            settle: shared.settle_time,
        };
        let node = Node::new(
            id,
            Box::new(store),
            shared.fences,
            redis.partitions,
            times,
            redis.consistency,
            redis.entry_limit,
        );
        Level2::new(node, self.codec)
    }
}

impl<K, V, E> Builder<K, V, E>
where
    K: SharedKey,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Keeps a second level in Redis, shared with other processes.
    ///
    /// Values are written with postcard, which needs formats that do not skip fields. Change the
    /// [namespace](Redis::namespace) when their form changes.
    ///
    /// Connections are made in the background as soon as there is a tokio runtime; until Redis
    /// answers, and whenever it does not, the cache does without it.
    pub fn redis(mut self, redis: impl Into<Redis>) -> Self {
        let codec = Codec {
            tenant: K::tenant,
            name: K::name,
            write: |value| postcard::to_stdvec(value).ok(),
            read: |bytes| postcard::from_bytes(bytes).ok(),
        };
        self.level2 = Some(Level2Settings {
            redis: redis.into(),
            codec,
        });
        self
    }
}
