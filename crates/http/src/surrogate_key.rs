//! [`SurrogateKey`]: what an answer is filed under at an edge, and what a purge names.
//!
//! The cache's own covers decide: a scope, and a span of UTC seconds. An edge knows no spans, so a
//! span becomes the days of UTC that it touches. UTC, and no local days, because an answer may be
//! asked for in any zone, and a change does not know in which: whatever the two mean by a day, the
//! instant at which they meet lies in one day of UTC.
//!
//! # Invariants
//!
//! 1. Where a cover of an answer and a cover of a change meet, the answer has a key that the change
//!    purges.
//! 2. Neither has more keys than its bound. What would need more is filed, or purged, more coarsely.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};
use vacancy_cache::{Cover, Scope, Span};

/// The most keys of one answer: about three kilobytes of header.
pub const MAX_ANSWER_KEYS: usize = 96;

/// The most keys that one change purges.
pub const MAX_PURGED_KEYS: usize = 384;

/// A longer span is taken for all time.
const MAX_DAYS: usize = 256;

const DAY: i64 = 24 * 3600;

/// What an answer is filed under at an edge: 32 hexadecimal digits, whatever the ids in it.
///
/// It is a cut SHA-256: equal keys of different things are not to be expected, and would do no more
/// than purge too much. Short ids can be guessed from it, so an edge should not pass it on; ours
/// does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SurrogateKey([u8; 16]);

impl SurrogateKey {
    /// Filed under by every answer of the tenant; for purging by hand.
    pub(crate) fn of_tenant(tenant: &str) -> Self {
        Self::every(&tenant_scope(tenant))
    }

    /// What an answer that depends on these covers is filed under.
    pub(crate) fn of_answer(covers: &[Cover]) -> BTreeSet<Self> {
        let tenants: BTreeSet<_> = covers
            .iter()
            .map(|cover| tenant_scope(cover.scope.tenant()))
            .collect();
        let scopes = covers.iter().map(|cover| &cover.scope);
        let every: BTreeSet<_> = scopes.clone().chain(&tenants).map(Self::every).collect();
        let mut keys = every.clone();
        for cover in covers {
            match days(cover.span) {
                Some(days) => keys.extend(days.map(|day| Self::on_day(&cover.scope, day))),
                None => _ = keys.insert(Self::long(&cover.scope)),
            }
            if keys.len() > MAX_ANSWER_KEYS {
                break;
            }
        }
        if keys.len() <= MAX_ANSWER_KEYS {
            return keys;
        }
        let keys: BTreeSet<_> = every.into_iter().chain(scopes.map(Self::long)).collect();
        if keys.len() <= MAX_ANSWER_KEYS {
            return keys;
        }
        tenants
            .iter()
            .flat_map(|tenant| [Self::every(tenant), Self::long(tenant)])
            .collect()
    }

    /// What a change that reaches these covers purges.
    pub(crate) fn of_change(covers: &[Cover]) -> BTreeSet<Self> {
        let tenants: BTreeSet<_> = covers
            .iter()
            .map(|cover| tenant_scope(cover.scope.tenant()))
            .collect();
        // Answers that were filed coarsely do not tell which days they are about.
        let coarse: BTreeSet<_> = covers
            .iter()
            .map(|cover| &cover.scope)
            .chain(&tenants)
            .map(Self::long)
            .collect();
        let mut keys = coarse.clone();
        for cover in covers {
            match days(cover.span) {
                Some(days) => keys.extend(days.map(|day| Self::on_day(&cover.scope, day))),
                None => _ = keys.insert(Self::every(&cover.scope)),
            }
            if keys.len() > MAX_PURGED_KEYS {
                break;
            }
        }
        if keys.len() <= MAX_PURGED_KEYS {
            return keys;
        }
        let every = covers.iter().map(|cover| Self::every(&cover.scope));
        let keys: BTreeSet<_> = coarse.into_iter().chain(every).collect();
        if keys.len() <= MAX_PURGED_KEYS {
            return keys;
        }
        tenants.iter().map(Self::every).collect()
    }

    /// Had by every answer that depends on the scope.
    fn every(scope: &Scope) -> Self {
        Self::hash("every", scope, 0)
    }

    /// Had by answers that depend on more of the scope than their days could name.
    fn long(scope: &Scope) -> Self {
        Self::hash("long", scope, 0)
    }

    /// Had by answers that depend on the scope on this day of UTC.
    fn on_day(scope: &Scope, day: i64) -> Self {
        Self::hash("day", scope, day)
    }

    fn hash(level: &str, scope: &Scope, day: i64) -> Self {
        let mut hash = Sha256::new();
        for part in [level, scope.tenant(), scope.kind(), scope.id()] {
            // With its length, or the end of one could be the beginning of the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(day.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }
}

impl fmt::Display for SurrogateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for SurrogateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SurrogateKey({self})")
    }
}

/// Keys as they are written in a header.
pub(crate) fn written<'a>(keys: impl IntoIterator<Item = &'a SurrogateKey>) -> String {
    let keys: Vec<_> = keys.into_iter().map(SurrogateKey::to_string).collect();
    keys.join(" ")
}

/// A scope of our own, whatever the cache calls its widest: only its tenant counts.
fn tenant_scope(tenant: &str) -> Scope {
    Scope::new(tenant, "all of the tenant", "")
}

/// The days of UTC that a span touches, unless they are too many to name.
fn days(span: Span) -> Option<impl Iterator<Item = i64>> {
    let first = span.from().div_euclid(DAY);
    let last = span.to().saturating_sub(1).div_euclid(DAY);
    let count = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(0);
    (count <= MAX_DAYS).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cover(tenant: u8, kind: u8, id: u16, from: i64, length: i64) -> Cover {
        let kind = ["resource", "event type", "branch"][usize::from(kind)];
        let scope = Scope::new(tenant.to_string(), kind, id.to_string());
        let span = match length {
            0 => Span::ALL,
            length => Span::new(from, from + length),
        };
        Cover::new(scope, span)
    }

    fn covers(most: usize) -> impl Strategy<Value = Vec<Cover>> {
        let length =
            prop_oneof![4 => 1..2 * DAY, 2 => 1..100 * DAY, 1 => 1..1000 * DAY, 1 => Just(0)];
        let one = (0..2_u8, 0..3_u8, 0..3_u16, -50 * DAY..50 * DAY, length);
        let few = proptest::collection::vec(one, 1..5);
        (few, 0..most).prop_map(|(few, more)| {
            let few = few
                .into_iter()
                .map(|(t, k, id, from, length)| cover(t, k, id, from, length));
            // Enough scopes to make either side coarse.
            let more = (0..more).map(|id| cover(0, 0, 10 + id as u16, 0, DAY));
            few.chain(more).collect()
        })
    }

    fn meet(answer: &[Cover], change: &[Cover]) -> bool {
        answer.iter().any(|a| {
            change
                .iter()
                .any(|c| a.scope == c.scope && a.span.meets(c.span))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_change_purges_every_answer_that_it_meets(answer in covers(120), change in covers(600)) {
            let filed = SurrogateKey::of_answer(&answer);
            let purged = SurrogateKey::of_change(&change);
            prop_assert!(filed.len() <= MAX_ANSWER_KEYS && purged.len() <= MAX_PURGED_KEYS);
            if meet(&answer, &change) {
                prop_assert!(!filed.is_disjoint(&purged));
            }
        }
    }

    #[test]
    fn a_change_leaves_other_days_resources_and_tenants() {
        let purged = SurrogateKey::of_change(&[cover(1, 0, 7, 10 * DAY, 3600)]);
        let filed = |tenant, id, from| SurrogateKey::of_answer(&[cover(tenant, 0, id, from, DAY)]);
        assert!(!filed(1, 7, 10 * DAY).is_disjoint(&purged));
        assert!(filed(1, 7, 11 * DAY).is_disjoint(&purged));
        assert!(filed(1, 7, 9 * DAY).is_disjoint(&purged));
        assert!(filed(1, 8, 10 * DAY).is_disjoint(&purged));
        assert!(filed(2, 7, 10 * DAY).is_disjoint(&purged));
    }

    #[test]
    fn keys_differ_with_every_part_and_are_short_whatever_the_ids() {
        let scopes = [
            Scope::new("1", "resource", "2"),
            Scope::new("12", "resource", ""),
            Scope::new("1", "resource2", ""),
            Scope::new("", "1resource", "2"),
            Scope::new("1", "resource", "x".repeat(8192)),
            Scope::new("1", "resource", "a b\r\nX: \u{1f600}"),
        ];
        let keys: BTreeSet<_> = scopes
            .iter()
            .flat_map(|scope| {
                let days = (-2..2).map(|day| SurrogateKey::on_day(scope, day));
                days.chain([SurrogateKey::every(scope), SurrogateKey::long(scope)])
            })
            .collect();
        assert_eq!(keys.len(), 6 * scopes.len());
        for key in keys {
            let text = key.to_string();
            assert_eq!(text.len(), 32);
            assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
