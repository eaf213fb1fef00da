//! The names of everything in Redis.
//!
//! # Invariants
//!
//! 1. Different namespaces, partitions, tenants, scopes and entries have different names, whatever
//!    characters they contain: each part is escaped before it is joined.
//! 2. All keys of one partition have the same hash tag, so a cluster keeps them in one slot.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::store::EntryName;
use crate::cover::Scope;

/// All that is not plain in a part of a name.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Names in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    namespace: String,
}

impl Names {
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: escape(namespace),
        }
    }

    /// The incarnation, the number of the last notice, and the nodes.
    pub(crate) fn state(&self, partition: u16) -> String {
        format!("{}state", self.prefix(partition))
    }

    pub(crate) fn fence(&self, partition: u16, scope: &Scope) -> String {
        let (tenant, kind, id) = (scope.tenant(), scope.kind(), scope.id());
        let prefix = self.prefix(partition);
        format!(
            "{prefix}f:{}:{}:{}",
            escape(tenant),
            escape(kind),
            escape(id)
        )
    }

    pub(crate) fn entry(&self, partition: u16, entry: EntryName<'_>) -> String {
        let prefix = self.prefix(partition);
        format!("{prefix}e:{}:{}", escape(entry.tenant), escape(entry.name))
    }

    /// The claims of a scope.
    pub(crate) fn claims(&self, partition: u16, scope: &Scope) -> String {
        let (tenant, kind, id) = (scope.tenant(), scope.kind(), scope.id());
        let prefix = self.prefix(partition);
        format!(
            "{prefix}c:{}:{}:{}",
            escape(tenant),
            escape(kind),
            escape(id)
        )
    }

    /// The claims of an owner.
    pub(crate) fn owner(&self, partition: u16, tenant: &str, owner: &str) -> String {
        let prefix = self.prefix(partition);
        format!("{prefix}o:{}:{}", escape(tenant), escape(owner))
    }

    /// The mark that a claim was released.
    pub(crate) fn released(&self, partition: u16, tenant: &str, owner: &str, id: &str) -> String {
        let prefix = self.prefix(partition);
        format!(
            "{prefix}r:{}:{}:{}",
            escape(tenant),
            escape(owner),
            escape(id)
        )
    }

    /// The channel of notices.
    pub(crate) fn notices(&self) -> String {
        format!("vacancy:{}:notices", self.namespace)
    }

    /// The channel of acknowledgements.
    pub(crate) fn acknowledgements(&self) -> String {
        format!("vacancy:{}:acks", self.namespace)
    }

    fn prefix(&self, partition: u16) -> String {
        format!("vacancy:{{{}:{partition}}}:", self.namespace)
    }
}

/// The partition of a tenant: the same in every process and every release.
pub(crate) fn partition_of(tenant: &str, partitions: u16) -> u16 {
    if partitions == 1 {
        return 0;
    }
    // FNV-1a, written out because its value is part of the layout in Redis.
    let hash = tenant
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // Less than `partitions`, so it fits.
    u16::try_from(hash % u64::from(partitions)).unwrap_or(0)
}

pub(crate) fn escape(part: &str) -> String {
    percent_encode(part.as_bytes(), ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Names, partition_of};
    use crate::{cover::Scope, level2::store::EntryName};

    #[test]
    fn names_of_different_things_differ_whatever_they_contain() {
        let names = Names::new("salon");
        let fence = |tenant, kind, id| names.fence(0, &Scope::new(tenant, kind, id));
        assert_ne!(fence("a:b", "c", "d"), fence("a", "b:c", "d"));
        assert_ne!(fence("a", "b", "c:d"), fence("a", "b:c", "d"));
        assert_ne!(fence("a%3Ab", "c", "d"), fence("a:b", "c", "d"));
        let entry = |tenant, name| names.entry(0, EntryName { tenant, name });
        assert_ne!(entry("a", "b:c"), entry("a:b", "c"));
        let owner = |tenant, owner| names.owner(0, tenant, owner);
        assert_ne!(owner("a", "b:c"), owner("a:b", "c"));
        let released = |owner, id| names.released(0, "a", owner, id);
        assert_ne!(released("b", "c:d"), released("b:c", "d"));
        let scope = Scope::new("a", "b", "c");
        assert_ne!(names.claims(0, &scope), names.fence(0, &scope));
        assert_ne!(Names::new("a}b").state(0), Names::new("a").state(0));
    }

    #[test]
    fn each_namespace_has_its_own_two_channels() {
        let names = ["salon", "clinic"].map(Names::new);
        let channels = names
            .iter()
            .flat_map(|names| [names.notices(), names.acknowledgements()]);
        assert_eq!(channels.collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn a_name_cannot_break_out_of_the_hash_tag() {
        let state = Names::new("a}{b").state(7);
        assert_eq!(state, "vacancy:{a%7D%7Bb:7}:state");
    }

    #[test]
    fn the_partition_of_a_tenant_is_part_of_the_layout() {
        assert_eq!(partition_of("15", 1), 0);
        assert_eq!(
            ["15", "16", "salon", ""].map(|tenant| partition_of(tenant, 32)),
            [11, 30, 10, 5]
        );
    }
}
