//! What somebody is about to change.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::{cover::Cover, fence::HoldId};

/// Spans that somebody is about to change: what is loaded for them meanwhile is kept for nobody and
/// shared with nobody.
///
/// Given back with [`Cache::release`](crate::Cache::release) after the change. One that is dropped is not
/// released, since the change may be on its way: it ends by itself, at its time. `clone` is cheap.
#[derive(Clone)]
#[must_use = "a hold that is not released lasts until its time is over"]
pub struct Hold {
    /// In this process.
    id: HoldId,
    /// In Redis: that of the attempt which was confirmed.
    shared: Option<HoldId>,
    covers: Arc<[Cover]>,
    until: Instant,
}

impl Hold {
    pub(crate) fn new(id: HoldId, covers: &[Cover], until: Instant) -> Self {
        Self {
            id,
            shared: None,
            covers: covers.into(),
            until,
        }
    }

    pub(crate) fn shared(self, id: HoldId) -> Self {
        Self {
            shared: Some(id),
            ..self
        }
    }

    pub(crate) fn shared_id(&self) -> Option<HoldId> {
        self.shared
    }

    /// What is held.
    #[must_use]
    pub fn covers(&self) -> &[Cover] {
        &self.covers
    }

    /// When it ends by itself.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn id(&self) -> HoldId {
        self.id
    }

    /// What is held of each tenant.
    #[cfg(feature = "redis")]
    pub(crate) fn by_tenant(&self) -> Vec<Vec<&Cover>> {
        let mut groups: Vec<Vec<&Cover>> = Vec::new();
        for cover in &*self.covers {
            let tenant = cover.scope.tenant();
            let group = groups.iter_mut().find(|group| {
                group
                    .first()
                    .is_some_and(|first| first.scope.tenant() == tenant)
            });
            match group {
                Some(group) => group.push(cover),
                None => groups.push(vec![cover]),
            }
        }
        groups
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("id", &format_args!("{:x}", self.id))
            .field("covers", &self.covers)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use tokio::time::Instant;

    use super::Hold;
    use crate::cover::{Cover, Scope, Span};

    #[test]
    fn what_is_held_of_one_tenant_stays_together() {
        let cover = |tenant, id| Cover::new(Scope::new(tenant, "host", id), Span::ALL);
        let covers = [cover("a", "1"), cover("b", "1"), cover("a", "2")];
        let hold = Hold::new(7, &covers, Instant::now());
        let expected = vec![vec![&covers[0], &covers[2]], vec![&covers[1]]];
        assert_eq!(hold.by_tenant(), expected);
    }
}
