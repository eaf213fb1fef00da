//! Claims that one process alone knows.
//!
//! # Invariants
//!
//! 1. Whatever is in `ends` is in `kept`, and the other way round; a claim there is in `scopes` once for each
//!    of its scopes, and in `owners`.
//! 2. Before anything is looked up, what is over has been removed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Claim, ClaimError, ExtendClaimError, MAX_CLAIMS,
    request::{ClaimRequest, Part},
};
use crate::cover::{Cover, Scope};

/// How long it is known that an id was released.
const RELEASED: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct Memory {
    state: Mutex<State>,
    /// Claims kept. Read before the lock is taken: on most reads there is nothing to do.
    claims: AtomicUsize,
}

#[derive(Default)]
struct State {
    kept: HashMap<Name, Kept>,
    owners: HashMap<Owner, BTreeSet<Arc<str>>>,
    scopes: HashMap<Scope, BTreeMap<u64, Arc<Claim>>>,
    /// By the end of their time, then by number.
    ends: BTreeMap<(Instant, u64), Name>,
    next_number: u64,
    claims: usize,
}

/// Tenant, owner and id of a claim.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name(Arc<str>, Arc<str>, Arc<str>);

/// Tenant and owner.
#[derive(PartialEq, Eq, Hash)]
struct Owner(Arc<str>, Arc<str>);

struct Kept {
    number: u64,
    until: Instant,
    /// `None` once it was released.
    claim: Option<Arc<Claim>>,
}

impl Memory {
    pub(super) fn is_empty(&self) -> bool {
        // Pairs with the store in `with`: who is told of a claim finds it.
        self.claims.load(Ordering::Acquire) == 0
    }

    pub(super) fn claim(
        &self,
        tenant: &Arc<str>,
        request: &ClaimRequest,
    ) -> Result<Claim, ClaimError> {
        let now = Instant::now();
        self.with(now, |state| state.claim(now, tenant, request))
    }

    pub(super) fn extend(&self, claim: &Claim, lasts: Duration) -> Result<Claim, ExtendClaimError> {
        let now = Instant::now();
        self.with(now, |state| {
            let name = Name::of(claim);
            let known = state.claim_of(&name).ok_or(ExtendClaimError::Over)?;
            let longer = Claim {
                until: known.until.max(now + lasts),
                ..Claim::clone(&known)
            };
            state.remove(&name);
            state.put(name, longer.until, Some(longer.clone()));
            Ok(longer)
        })
    }

    pub(super) fn release(&self, claim: &Claim) -> bool {
        let now = Instant::now();
        self.with(now, |state| {
            let name = Name::of(claim);
            let known = state.claim_of(&name).is_some();
            state.remove(&name);
            state.put(name, now + RELEASED, None);
            known
        })
    }

    pub(super) fn find(&self, tenant: &str, owner: &str, id: &str) -> Option<Claim> {
        let name = Name(tenant.into(), owner.into(), id.into());
        let found = self.with(Instant::now(), |state| state.claim_of(&name));
        found.as_deref().cloned()
    }

    pub(super) fn of(&self, tenant: &str, owner: &str) -> Vec<Claim> {
        let owner = Owner(tenant.into(), owner.into());
        self.with(Instant::now(), |state| {
            let ids = state.owners.get(&owner);
            let name = |id: &Arc<str>| Name(owner.0.clone(), owner.1.clone(), id.clone());
            let claims = ids.into_iter().flatten().map(name);
            let claims = claims.filter_map(|name| state.claim_of(&name));
            claims.map(|claim| Claim::clone(&claim)).collect()
        })
    }

    pub(super) fn list(&self, covers: &[Cover]) -> Vec<Claim> {
        if self.is_empty() {
            return Vec::new();
        }
        self.with(Instant::now(), |state| {
            let mut found = BTreeMap::new();
            for cover in covers {
                let claims = state.scopes.get(&cover.scope).into_iter().flatten();
                let meeting = claims.filter(|(_, claim)| claim.meets(cover).next().is_some());
                found.extend(meeting.map(|(number, claim)| (*number, Claim::clone(claim))));
            }
            found.into_values().collect()
        })
    }

    /// Runs with the state, after what is over has been removed.
    fn with<T>(&self, now: Instant, run: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        while let Some((&(end, _), name)) = state.ends.first_key_value()
            && end <= now
        {
            let name = name.clone();
            state.remove(&name);
        }
        let result = run(&mut state);
        // Pairs with the load in `is_empty`.
        self.claims.store(state.claims, Ordering::Release);
        result
    }

    // A poisoned lock is entered all the same: no code that can panic runs halfway through a write.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn claim(
        &mut self,
        now: Instant,
        tenant: &Arc<str>,
        request: &ClaimRequest,
    ) -> Result<Claim, ClaimError> {
        let name = Name(
            Arc::clone(tenant),
            Arc::clone(&request.owner),
            Arc::clone(&request.id),
        );
        if let Some(kept) = self.kept.get(&name) {
            let same =
                |claim: &&Arc<Claim>| *claim.parts == *request.parts && claim.note == request.note;
            let known = kept.claim.as_ref().filter(same);
            return known.map_or(Err(ClaimError::Used), |claim| Ok(Claim::clone(claim)));
        }
        if self.owners.get(&name.owner()).map_or(0, BTreeSet::len) >= MAX_CLAIMS {
            return Err(ClaimError::TooMany);
        }
        for part in &request.parts {
            self.make_room(now, &request.owner, part)?;
        }
        let claim = Claim {
            tenant: Arc::clone(tenant),
            owner: Arc::clone(&request.owner),
            id: Arc::clone(&request.id),
            parts: request.parts.as_slice().into(),
            note: Arc::clone(&request.note),
            until: now + request.lasts,
        };
        self.put(name, claim.until, Some(claim.clone()));
        Ok(claim)
    }

    /// Whether there is room for one more part.
    fn make_room(&self, now: Instant, owner: &Arc<str>, part: &Part) -> Result<(), ClaimError> {
        let Part { cover, share } = part;
        let Some(claims) = self.scopes.get(&cover.scope) else {
            return Ok(());
        };
        if claims.len() >= MAX_CLAIMS {
            let scope = cover.scope.clone();
            return Err(ClaimError::Full { scope });
        }
        let mut places = share.as_ref().map_or(0, |share| u64::from(share.takes));
        let (mut taken, mut until, mut company_until) = (false, now, now);
        for claim in claims.values() {
            for other in claim.meets(cover) {
                match (share, &other.share) {
                    (Some(own), Some(other)) if own.company == other.company => {
                        places += u64::from(other.takes);
                        company_until = company_until.max(claim.until);
                    }
                    _ if claim.owner == *owner => {}
                    _ => {
                        taken = true;
                        until = until.max(claim.until);
                    }
                }
            }
        }
        if share
            .as_ref()
            .is_some_and(|share| places > u64::from(share.places))
        {
            taken = true;
            until = until.max(company_until);
        }
        match taken {
            false => Ok(()),
            true => Err(ClaimError::Taken {
                scope: cover.scope.clone(),
                over_in: until - now,
            }),
        }
    }

    fn claim_of(&self, name: &Name) -> Option<Arc<Claim>> {
        self.kept.get(name)?.claim.clone()
    }

    fn put(&mut self, name: Name, until: Instant, claim: Option<Claim>) {
        let number = self.next_number;
        self.next_number += 1;
        let claim = claim.map(Arc::new);
        if let Some(claim) = &claim {
            self.claims += 1;
            for cover in claim.covers() {
                let scope = self.scopes.entry(cover.scope.clone()).or_default();
                scope.insert(number, Arc::clone(claim));
            }
            let ids = self.owners.entry(name.owner()).or_default();
            ids.insert(Arc::clone(&name.2));
        }
        self.ends.insert((until, number), name.clone());
        let kept = Kept {
            number,
            until,
            claim,
        };
        self.kept.insert(name, kept);
    }

    fn remove(&mut self, name: &Name) {
        let Some(kept) = self.kept.remove(name) else {
            return;
        };
        self.ends.remove(&(kept.until, kept.number));
        let Some(claim) = kept.claim else { return };
        self.claims -= 1;
        for cover in claim.covers() {
            if let Some(scope) = self.scopes.get_mut(&cover.scope) {
                scope.remove(&kept.number);
                if scope.is_empty() {
                    self.scopes.remove(&cover.scope);
                }
            }
        }
        let owner = name.owner();
        if let Some(ids) = self.owners.get_mut(&owner) {
            ids.remove(&name.2);
            if ids.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }
}

impl Name {
    fn of(claim: &Claim) -> Self {
        let Claim {
            tenant, owner, id, ..
        } = claim;
        Self(Arc::clone(tenant), Arc::clone(owner), Arc::clone(id))
    }

    fn owner(&self) -> Owner {
        Owner(Arc::clone(&self.0), Arc::clone(&self.1))
    }
}

impl Claim {
    /// Its parts that meet `cover`.
    fn meets<'a>(&'a self, cover: &'a Cover) -> impl Iterator<Item = &'a Part> {
        self.parts
            .iter()
            .filter(|part| part.cover.scope == cover.scope && part.cover.span.meets(cover.span))
    }
}
