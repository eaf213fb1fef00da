//! What stands in for level 2 in builds without one: nothing of it can exist.

use std::{convert::Infallible, marker::PhantomData, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    cache::Nearest,
    cover::Cover,
    entry::{Entry, Guards},
    fence::HoldId,
    fences::Fences,
    hold::Hold,
    statistics::Level2Statistics,
    token::Token,
    turn::{Look, Ticket},
    unconfirmed::Unconfirmed,
};

pub(crate) struct Level2Settings<K, V>(Infallible, PhantomData<fn(K, V)>);

#[expect(dead_code, reason = "nobody is there to share it with")]
pub(crate) struct Shared {
    pub(crate) fences: Arc<Fences>,
    pub(crate) ttl: Duration,
    pub(crate) settle_time: Duration,
}

impl<K, V> Level2Settings<K, V> {
    pub(crate) fn open(self, _: Shared) -> Level2<K, V> {
        match self.0 {}
    }
}

pub(crate) struct Level2<K, V>(Infallible, PhantomData<fn(K, V)>);

#[derive(Clone)]
pub(crate) struct Trust(Infallible);

pub(crate) struct Proof(Infallible);

#[expect(dead_code, reason = "nobody is there to say it")]
pub(crate) enum Looked<V> {
    Found {
        value: V,
        loaded: Instant,
        deadline: Instant,
    },
    Missing(Proof),
    Doubt,
}

impl Trust {
    pub(crate) fn stands(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn keep(&self, _: Instant) -> KeptTrust {
        match self.0 {}
    }
}

pub(crate) struct KeptTrust(Infallible);

#[expect(dead_code, reason = "nothing is doubted")]
pub(crate) enum Lapse {
    Doubted,
    Expired,
}

impl KeptTrust {
    pub(crate) fn check(&self) -> Result<(), Lapse> {
        match self.0 {}
    }

    pub(crate) fn is_current(&self) -> bool {
        match self.0 {}
    }
}

impl Proof {
    pub(crate) fn may_keep(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn may_share(&self) -> bool {
        match self.0 {}
    }
}

impl<K, V> Level2<K, V> {
    pub(crate) fn trust(&self, _: &K) -> Trust {
        match self.0 {}
    }

    pub(crate) fn is_reachable(&self, _: &K) -> bool {
        match self.0 {}
    }

    #[expect(
        clippy::unused_async,
        reason = "the one that exists waits for the store"
    )]
    pub(crate) async fn look(&self, _: &K, _: Nearest, _: &Guards) -> Looked<V> {
        match self.0 {}
    }

    pub(crate) fn keep(&self, _: &K, _: &Arc<Entry<V>>, _: Proof) {
        match self.0 {}
    }

    pub(crate) fn invalidate(&self, _: &[Cover]) {
        match self.0 {}
    }

    pub(crate) fn release(&self, _: &[Cover], _: Option<HoldId>) {
        match self.0 {}
    }

    #[expect(
        clippy::unused_async,
        reason = "the one that exists waits for the store"
    )]
    pub(crate) async fn confirmed(&self, _: &str, _: Duration) -> Result<Token, Unconfirmed> {
        match self.0 {}
    }

    #[expect(
        clippy::unused_async,
        reason = "the one that exists waits for the store"
    )]
    pub(crate) async fn hold(&self, _: &Hold, _: Duration) -> Result<HoldId, Unconfirmed> {
        match self.0 {}
    }

    pub(crate) fn has_heard(&self, _: &Token) -> bool {
        match self.0 {}
    }

    pub(crate) fn next_hold(&self) -> HoldId {
        match self.0 {}
    }

    pub(crate) fn confirm_within(&self) -> Duration {
        match self.0 {}
    }

    pub(crate) fn is_leased(&self, _: &str) -> bool {
        match self.0 {}
    }

    pub(crate) fn statistics(&self) -> Level2Statistics {
        match self.0 {}
    }
}

pub(crate) async fn look_all<K, V, E>(tickets: Vec<Ticket<K, V, E>>) -> Vec<Look<K, V, E>>
where
    K: crate::cache::Key,
{
    tickets.into_iter().map(Look::Missing).collect()
}
