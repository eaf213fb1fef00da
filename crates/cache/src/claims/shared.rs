//! Claims that processes share in Redis.
//!
//! Each call is one script, and all keys of a tenant are in one hash slot. Nothing is ever listed but the
//! claims of the scopes or the owner that were named.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::{FromRedisValue, Script, ScriptInvocation};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Claim, ClaimError, ClaimsUnavailable, ExtendClaimError, MAX_CLAIMS,
    request::{ClaimRequest, Part, Share},
};
use crate::{
    cover::{Cover, Scope, Span},
    level2::{Link, Names, Redis, StoreError, escape, partition_of},
};

/// How long it is known that an id was released: longer than a copy of its request can be on its way.
const RELEASED_MS: u64 = 3_600_000;

pub(super) struct SharedClaims {
    link: Link,
    names: Names,
    partitions: u16,
    claim: Script,
    extend: Script,
    release: Script,
    of: Script,
    list: Script,
}

/// What a claim is about, as it is kept with it.
#[derive(Serialize, Deserialize)]
struct Record {
    parts: Vec<Line>,
    note: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    kind: String,
    id: Arc<str>,
    from: i64,
    to: i64,
    share: Option<(Arc<str>, u32, u32)>,
}

/// The scopes of some parts, each once, and the place of each part among them.
struct Places<'a> {
    scopes: Vec<&'a Scope>,
    /// From one, as scripts count.
    of_parts: Vec<usize>,
}

impl SharedClaims {
    pub(super) fn new(redis: &Redis) -> Self {
        let (link, names, partitions) = redis.reach();
        Self {
            link,
            names,
            partitions,
            claim: script(include_str!("scripts/claim.lua")),
            extend: script(include_str!("scripts/extend.lua")),
            release: script(include_str!("scripts/release.lua")),
            of: script(include_str!("scripts/of.lua")),
            list: script(include_str!("scripts/list.lua")),
        }
    }

    pub(super) async fn claim(
        &self,
        tenant: &Arc<str>,
        request: &ClaimRequest,
    ) -> Result<Claim, ClaimError> {
        type Reply = (String, usize, u64);
        let ClaimRequest {
            id,
            owner,
            lasts,
            parts,
            note,
        } = request;
        let places = Places::of(parts);
        let fill = |call: &mut ScriptInvocation<'_>| {
            call.key(self.owner(tenant, owner));
            call.key(self.released(tenant, owner, id));
            self.scopes(tenant, &places, call);
            call.arg(escape(owner)).arg(&**id).arg(milliseconds(*lasts));
            call.arg(MAX_CLAIMS).arg(written(parts, note));
            for (part, place) in parts.iter().zip(&places.of_parts) {
                let (company, takes, of) = part.share.as_ref().map_or_else(
                    || (String::new(), 1, 1),
                    |share| {
                        (
                            format!("s{}", escape(&share.company)),
                            share.takes,
                            share.places,
                        )
                    },
                );
                call.arg(*place);
                call.arg(part.cover.span.from()).arg(part.cover.span.to());
                call.arg(takes).arg(company).arg(of);
            }
        };
        let asked = Instant::now();
        let (outcome, place, left): Reply = self.run(&self.claim, fill).await?;
        let scope = || -> Result<Scope, ClaimsUnavailable> {
            let scope = place.checked_sub(1).and_then(|at| places.scopes.get(at));
            let scope = scope.ok_or(StoreError::NotUnderstood)?;
            Ok(Scope::clone(scope))
        };
        let left = Duration::from_millis(left);
        match &*outcome {
            "claimed" => Ok(Claim {
                tenant: Arc::clone(tenant),
                owner: Arc::clone(owner),
                id: Arc::clone(id),
                parts: parts.as_slice().into(),
                note: Arc::clone(note),
                until: asked + left,
            }),
            "taken" => Err(ClaimError::Taken {
                scope: scope()?,
                over_in: left,
            }),
            "full" => Err(ClaimError::Full { scope: scope()? }),
            "many" => Err(ClaimError::TooMany),
            "used" => Err(ClaimError::Used),
            _ => Err(ClaimsUnavailable::from(StoreError::NotUnderstood).into()),
        }
    }

    pub(super) async fn extend(
        &self,
        claim: &Claim,
        lasts: Duration,
    ) -> Result<Claim, ExtendClaimError> {
        let places = Places::of(&claim.parts);
        let fill = |call: &mut ScriptInvocation<'_>| {
            call.key(self.owner(&claim.tenant, &claim.owner));
            self.scopes(&claim.tenant, &places, call);
            call.arg(escape(&claim.owner)).arg(&*claim.id);
            call.arg(milliseconds(lasts)).arg(&places.of_parts);
        };
        let asked = Instant::now();
        let (outcome, left): (String, u64) = self.run(&self.extend, fill).await?;
        match &*outcome {
            "extended" => Ok(Claim {
                until: asked + Duration::from_millis(left),
                ..claim.clone()
            }),
            "over" => Err(ExtendClaimError::Over),
            _ => Err(ClaimsUnavailable::from(StoreError::NotUnderstood).into()),
        }
    }

    pub(super) async fn release(&self, claim: &Claim) -> Result<bool, ClaimsUnavailable> {
        let places = Places::of(&claim.parts);
        let fill = |call: &mut ScriptInvocation<'_>| {
            call.key(self.owner(&claim.tenant, &claim.owner));
            call.key(self.released(&claim.tenant, &claim.owner, &claim.id));
            self.scopes(&claim.tenant, &places, call);
            call.arg(escape(&claim.owner)).arg(&*claim.id);
            call.arg(RELEASED_MS).arg(&places.of_parts);
        };
        self.run(&self.release, fill).await
    }

    /// All claims of an owner, or the one of this id.
    pub(super) async fn of(
        &self,
        tenant: &str,
        owner: &str,
        id: Option<&str>,
    ) -> Result<Vec<Claim>, ClaimsUnavailable> {
        let fill = |call: &mut ScriptInvocation<'_>| {
            call.key(self.owner(tenant, owner)).arg(id);
        };
        let found: Vec<(String, u64, Vec<u8>)> = self.run(&self.of, fill).await?;
        let replied = Instant::now();
        let (tenant, owner): (Arc<str>, Arc<str>) = (tenant.into(), owner.into());
        let read = |(id, left, record): (String, u64, Vec<u8>)| {
            let until = replied + Duration::from_millis(left);
            read(&tenant, &owner, id.into(), until, &record)
        };
        found.into_iter().map(read).collect()
    }

    pub(super) async fn list(&self, covers: &[Cover]) -> Result<Vec<Claim>, ClaimsUnavailable> {
        let mut tenants: BTreeMap<&str, Vec<&Cover>> = BTreeMap::new();
        for cover in covers {
            tenants.entry(cover.scope.tenant()).or_default().push(cover);
        }
        let mut claims = Vec::new();
        for (tenant, covers) in tenants {
            claims.extend(self.list_of(tenant, &covers).await?);
        }
        Ok(claims)
    }

    async fn list_of(
        &self,
        tenant: &str,
        covers: &[&Cover],
    ) -> Result<Vec<Claim>, ClaimsUnavailable> {
        let places = Places::new(covers.iter().map(|cover| &cover.scope));
        let fill = |call: &mut ScriptInvocation<'_>| {
            self.scopes(tenant, &places, call);
            for (cover, place) in covers.iter().zip(&places.of_parts) {
                call.arg(*place).arg(cover.span.from()).arg(cover.span.to());
            }
        };
        let found: Vec<(String, String, u64, Vec<u8>)> = self.run(&self.list, fill).await?;
        let replied = Instant::now();
        let tenant: Arc<str> = tenant.into();
        let read = |(owner, id, left, record): (String, String, u64, Vec<u8>)| {
            let owner = percent_encoding::percent_decode_str(&owner).decode_utf8();
            let owner = owner.map_err(|_| StoreError::NotUnderstood)?;
            let until = replied + Duration::from_millis(left);
            read(&tenant, &Arc::from(&*owner), id.into(), until, &record)
        };
        found.into_iter().map(read).collect()
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        fill: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, ClaimsUnavailable> {
        let mut invocation = script.prepare_invoke();
        fill(&mut invocation);
        let called = self
            .link
            .call(async |connection| invocation.invoke_async(connection).await);
        called.await.map_err(ClaimsUnavailable::from)
    }

    fn scopes(&self, tenant: &str, places: &Places<'_>, call: &mut ScriptInvocation<'_>) {
        let partition = partition_of(tenant, self.partitions);
        for scope in &places.scopes {
            call.key(self.names.claims(partition, scope));
        }
    }

    fn owner(&self, tenant: &str, owner: &str) -> String {
        let partition = partition_of(tenant, self.partitions);
        self.names.owner(partition, tenant, owner)
    }

    fn released(&self, tenant: &str, owner: &str, id: &str) -> String {
        let partition = partition_of(tenant, self.partitions);
        self.names.released(partition, tenant, owner, id)
    }
}

impl<'a> Places<'a> {
    fn of(parts: &'a [Part]) -> Self {
        Self::new(parts.iter().map(|part| &part.cover.scope))
    }

    fn new(of: impl Iterator<Item = &'a Scope>) -> Self {
        let mut known: BTreeMap<&Scope, usize> = BTreeMap::new();
        let mut scopes = Vec::new();
        let place = |scope: &'a Scope| {
            *known.entry(scope).or_insert_with(|| {
                scopes.push(scope);
                scopes.len()
            })
        };
        let of_parts = of.map(place).collect();
        Self { scopes, of_parts }
    }
}

fn script(body: &str) -> Script {
    Script::new(&[include_str!("scripts/prelude.lua"), body].concat())
}

fn milliseconds(lasts: Duration) -> u64 {
    u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)
}

/// The same for the same parts and note, so that a repeated request is known.
fn written(parts: &[Part], note: &Arc<str>) -> Vec<u8> {
    let line = |part: &Part| Line {
        kind: part.cover.scope.kind().to_owned(),
        id: part.cover.scope.id().into(),
        from: part.cover.span.from(),
        to: part.cover.span.to(),
        share: part
            .share
            .as_ref()
            .map(|share| (Arc::clone(&share.company), share.takes, share.places)),
    };
    let parts = parts.iter().map(line).collect();
    let note = Arc::clone(note);
    postcard::to_stdvec(&Record { parts, note })
        .expect("texts and integers can be written to a vector")
}

fn read(
    tenant: &Arc<str>,
    owner: &Arc<str>,
    id: Arc<str>,
    until: Instant,
    record: &[u8],
) -> Result<Claim, ClaimsUnavailable> {
    let record: Record = postcard::from_bytes(record).map_err(|_| StoreError::NotUnderstood)?;
    let part = |line: Line| Part {
        cover: Cover::new(
            Scope::new(Arc::clone(tenant), line.kind, line.id),
            Span::new(line.from, line.to),
        ),
        share: line.share.map(|(company, takes, places)| Share {
            company,
            takes,
            places,
        }),
    };
    Ok(Claim {
        tenant: Arc::clone(tenant),
        owner: Arc::clone(owner),
        id,
        parts: record.parts.into_iter().map(part).collect(),
        note: record.note,
        until,
    })
}

impl From<StoreError> for ClaimsUnavailable {
    fn from(error: StoreError) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}
