//! What many services do: moka before Redis, delete the key on a write, tell the others by pub/sub.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::future::Cache;
use redis::{
    AsyncCommands, PushInfo, PushKind, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    clock::Moment,
    history::{Key, Source, Value, Version, Write},
    origin::Origin,
    subject::{Counts, Subject},
};

const TTL: Duration = Duration::from_secs(300);

/// A read does not wait longer for Redis than for the origin.
const PATIENCE: Duration = Duration::from_millis(100);

const CHANNEL: &str = "changed";

/// moka, Redis and pub/sub, put together as usual.
pub(crate) struct Naive {
    level1: Cache<Key, Value>,
    redis: ConnectionManager,
    disconnections: Arc<AtomicU64>,
    /// Dropped with the subject, and with it the last of the notices.
    _listening: JoinHandle<()>,
}

impl Naive {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        // Notices come on the connection itself, which needs the newer protocol.
        let client = redis::Client::open(format!("{url}?protocol=resp3"))?;
        let (pushes, pushed) = mpsc::unbounded_channel();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_max_delay(PATIENCE)
            .set_push_sender(pushes)
            .set_automatic_resubscription();
        let mut redis = client.get_connection_manager_with_config(config).await?;
        redis.subscribe(CHANNEL).await?;

        let level1 = Cache::builder()
            .max_capacity(100_000)
            .time_to_live(TTL)
            .build();
        let disconnections = Arc::new(AtomicU64::new(0));
        let listening = tokio::spawn(listen(pushed, level1.clone(), Arc::clone(&disconnections)));
        Ok(Self {
            level1,
            redis,
            disconnections,
            _listening: listening,
        })
    }

    async fn remembered(&self, key: Key) -> Option<Value> {
        let text: Option<String> = self.redis.clone().get(name(key)).await.ok()?;
        decode(&text?)
    }

    async fn remember(&self, value: Value) {
        let text = format!("{}:{}", value.key, value.version);
        // Redis is only a cache here: the next reader will load again.
        let _: RedisResult<()> = self
            .redis
            .clone()
            .set_ex(name(value.key), text, TTL.as_secs())
            .await;
    }

    async fn invalidate(&self, key: Key) -> RedisResult<()> {
        let mut redis = self.redis.clone();
        let () = redis.del(name(key)).await?;
        redis.publish(CHANNEL, key).await
    }
}

impl Subject for Naive {
    async fn read(&self, key: Key, origin: &Origin) -> (Value, Source) {
        if let Some(value) = self.level1.get(&key).await {
            return (value, Source::Level1);
        }
        let (value, source) = match self.remembered(key).await {
            Some(value) => (value, Source::Level2),
            None => {
                let value = origin.load(key).await;
                self.remember(value).await;
                (value, Source::Loaded)
            }
        };
        self.level1.insert(key, value).await;
        (value, source)
    }

    async fn write(&self, write: &mut Write, origin: &Origin) {
        origin.prepare().await;
        origin.commit(write).await;
        let told = self.invalidate(write.key).await;
        self.level1.invalidate(&write.key).await;
        write.dispatched = Some(Moment::now());
        if told.is_ok() {
            write.confirmed = write.dispatched;
        }
    }

    /// There is nothing that it would repeat.
    async fn settle(&self) -> bool {
        true
    }

    fn counts(&self) -> Counts {
        Counts {
            errors: self.disconnections.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}

async fn listen(
    mut pushed: mpsc::UnboundedReceiver<PushInfo>,
    level1: Cache<Key, Value>,
    disconnections: Arc<AtomicU64>,
) {
    while let Some(push) = pushed.recv().await {
        match push.kind {
            PushKind::Message => {
                let key = push.data.into_iter().nth(1);
                if let Some(Ok(key)) = key.map(redis::from_redis_value::<Key>) {
                    level1.invalidate(&key).await;
                }
            }
            PushKind::Disconnection => {
                disconnections.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn name(key: Key) -> String {
    format!("value:{key}")
}

fn decode(text: &str) -> Option<Value> {
    let (key, version) = text.split_once(':')?;
    Some(Value {
        key: key.parse().ok()?,
        version: version.parse::<Version>().ok()?,
    })
}
