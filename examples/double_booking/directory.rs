//! Who works where, and what can be booked there.

use std::collections::BTreeMap;
use std::time::Duration;

use vacancy::slots::{
    BranchId, Buffers, EventTypeId, EventTypeRules, ResourceId, StaticDirectory, TenantId,
};

use super::field::Field;
use super::opening_hours::OpeningHours;

/// The branches of all tenants: what the `{"directory":{…}}` lines of a recording say.
///
/// A webhook never names a tenant. It is found through the organizer, whose e-mail address belongs
/// to one host of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    hosts: BTreeMap<String, Host>,
    event_types: BTreeMap<(TenantId, EventTypeId), EventType>,
}

/// Somebody who can be booked, at one branch of a tenant or at several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) tenant: TenantId,
    pub(crate) id: ResourceId,
}

/// Something that can be booked.
#[derive(Clone, Debug)]
pub(crate) struct EventType {
    pub(crate) tenant: TenantId,
    pub(crate) branch: BranchId,
    pub(crate) id: EventTypeId,
    pub(crate) hours: OpeningHours,
    pub(crate) length: Duration,
    /// From one start to the next.
    pub(crate) step: Duration,
    pub(crate) buffers: Buffers,
    pub(crate) hosts: Vec<ResourceId>,
}

impl Directory {
    /// Adds a branch.
    pub(crate) fn add(&mut self, branch: &Field<'_>) -> Result<(), String> {
        let tenant: TenantId = branch.get("tenant").id()?;
        let branch_id: BranchId = branch.get("branch").get("id").id()?;
        let hours = OpeningHours::read(&branch.get("hours"), branch.get("timeZone").zone()?)?;
        let mut here = Vec::new();
        for field in branch.get("hosts").elements()? {
            let host = Host {
                tenant: tenant.clone(),
                id: field.get("id").id()?,
            };
            here.push(host.id.clone());
            let email = field.get("email");
            let known = self.hosts.entry(email.text()?.to_lowercase());
            if *known.or_insert_with(|| host.clone()) != host {
                return Err(email.wrong("an e-mail address that no other host has"));
            }
        }
        for field in branch.get("eventTypes").elements()? {
            let id = field.get("id");
            let event_type = EventType {
                tenant: tenant.clone(),
                branch: branch_id.clone(),
                id: id.id()?,
                hours: hours.clone(),
                length: field.get("length").minutes(5)?,
                step: field.get("step").minutes(5)?,
                buffers: Buffers::new(
                    field.get("beforeEventBuffer").minutes(0)?,
                    field.get("afterEventBuffer").minutes(0)?,
                ),
                hosts: hosts(&field.get("hosts"), &here)?,
            };
            let key = (tenant.clone(), event_type.id.clone());
            if self.event_types.insert(key, event_type).is_some() {
                return Err(id.wrong("an id that no other event type of the tenant has"));
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.event_types.is_empty()
    }

    /// The host with this e-mail address.
    pub(crate) fn host(&self, email: &str) -> Option<&Host> {
        self.hosts.get(&email.to_lowercase())
    }

    pub(crate) fn event_type(&self, tenant: &TenantId, id: &EventTypeId) -> Option<&EventType> {
        self.event_types.get(&(tenant.clone(), id.clone()))
    }

    pub(crate) fn event_types(&self) -> impl Iterator<Item = &EventType> {
        self.event_types.values()
    }

    /// The same, as Vacancy reads it.
    pub(crate) fn to_rules(&self) -> StaticDirectory {
        let mut directory = StaticDirectory::new();
        for event_type in self.event_types() {
            let mut rules = EventTypeRules::new()
                .branch(event_type.branch.clone())
                .longest_slot(event_type.length)
                .buffers(event_type.buffers)
                .zone(event_type.hours.zone());
            for host in &event_type.hosts {
                rules = rules.resource(host.clone());
            }
            directory.insert(event_type.tenant.clone(), event_type.id.clone(), rules);
        }
        directory
    }
}

/// The hosts of an event type, who have to be those of its branch.
fn hosts(field: &Field<'_>, here: &[ResourceId]) -> Result<Vec<ResourceId>, String> {
    let mut hosts = Vec::new();
    for field in field.elements()? {
        let host = field.id()?;
        if !here.contains(&host) {
            return Err(field.wrong("the id of a host of this branch"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}
