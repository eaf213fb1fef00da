//! Who is affected: the scopes that an answer depends on, and those that a change names.
//!
//! A scope is a resource, an event type, a branch or a tenant. A change names the narrowest ones
//! that are sure to hold all it can affect, and an answer depends on every scope that such a change
//! may name. Where one of the two does not know a resource or a branch, both meet in the scope that
//! stands for 'some resource' or 'some branch' of the tenant; a change that does not know its event
//! type may count towards any limit, and meets the answers that have one in 'some limit'.
//!
//! # Invariants
//!
//! 1. An answer that a change can affect shares a scope with it, whichever of the two knows less.
//! 2. An answer for known resources shares no scope with a change of other, known resources, unless
//!    bookings of its event type are limited and the change is, or may be, one of them.

use std::sync::Arc;

use vacancy_cache::{Cover, Scope, Span};

use crate::{
    appointment::Appointment,
    ids::{BranchId, EventTypeId, ResourceId, TenantId},
    key::DayKey,
    rules::{Directory, EventTypeRules},
};

/// What every answer of the tenant depends on.
pub(crate) fn tenant_scope(tenant: &TenantId) -> Scope {
    Scope::new(tenant.clone(), "tenant", "")
}

fn branch_scope(tenant: &TenantId, branch: &BranchId) -> Scope {
    Scope::new(tenant.clone(), "branch", branch.clone())
}

/// What answers depend on that do not know their branch.
fn some_branch_scope(tenant: &TenantId) -> Scope {
    Scope::new(tenant.clone(), "some branch", "")
}

fn event_type_scope(tenant: &TenantId, event_type: &EventTypeId) -> Scope {
    Scope::new(tenant.clone(), "event type", event_type.clone())
}

/// What answers depend on that change with the number of bookings of their event type.
fn limit_scope(tenant: &TenantId, event_type: &EventTypeId) -> Scope {
    Scope::new(tenant.clone(), "limit", event_type.clone())
}

/// What the same answers depend on, for changes that do not know their event type.
fn some_limit_scope(tenant: &TenantId) -> Scope {
    Scope::new(tenant.clone(), "some limit", "")
}

fn resource_scope(tenant: &TenantId, resource: &ResourceId) -> Scope {
    Scope::new(tenant.clone(), "resource", resource.clone())
}

/// What answers depend on that do not know their resources.
fn some_resource_scope(tenant: &TenantId) -> Scope {
    Scope::new(tenant.clone(), "some resource", "")
}

/// Everything that the answer for `key` depends on, all for the same span.
pub(crate) fn covers(key: &DayKey, rules: Option<&EventTypeRules>, span: Span) -> Vec<Cover> {
    let tenant = key.tenant();
    let named = rules.map_or(&[][..], |rules| &rules.resources);
    let resources = if key.resources().is_empty() {
        named
    } else {
        key.resources()
    };
    let branch = key
        .branch()
        .or_else(|| rules.and_then(|rules| rules.branch.as_ref()));

    let mut scopes: Vec<Scope> = resources
        .iter()
        .map(|resource| resource_scope(tenant, resource))
        .collect();
    if resources.is_empty() {
        scopes.push(some_resource_scope(tenant));
    }
    scopes.push(event_type_scope(tenant, key.event_type()));
    // Unknown rules may well hold a limit.
    if rules.is_none_or(|rules| rules.limit.is_some()) {
        scopes.push(limit_scope(tenant, key.event_type()));
        scopes.push(some_limit_scope(tenant));
    }
    scopes.push(branch.map_or_else(
        || some_branch_scope(tenant),
        |branch| branch_scope(tenant, branch),
    ));
    scopes.push(tenant_scope(tenant));
    scopes
        .into_iter()
        .map(|scope| Cover::new(scope, span))
        .collect()
}

/// What is known to have changed when no event tells: working hours, an absence, new rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A host, room or chair.
    Resource(ResourceId),
    /// An event type.
    EventType(EventTypeId),
    /// A branch and the resources that the directory lists for it.
    Branch(BranchId),
    /// All of the tenant's.
    Tenant,
}

impl Target {
    pub(crate) fn scopes(&self, tenant: &TenantId, directory: &dyn Directory) -> Vec<Scope> {
        match self {
            Self::Resource(resource) => of_resources(tenant, std::slice::from_ref(resource)),
            Self::EventType(event_type) => vec![event_type_scope(tenant, event_type)],
            Self::Branch(branch) => of_branch(tenant, branch, directory),
            Self::Tenant => vec![tenant_scope(tenant)],
        }
    }
}

/// The scopes that a change of `appointment` names.
///
/// Its resources, else those that the rules of its event type list, else its branch, else its
/// tenant. Somebody is occupied by it: where nobody knows who, everybody may be.
pub(crate) fn of_appointment(
    appointment: &Appointment,
    rules: Option<&Arc<EventTypeRules>>,
    directory: &dyn Directory,
) -> Vec<Scope> {
    let tenant = &appointment.tenant;
    let event_type = appointment.event_type.as_ref();
    let mut scopes = vec![event_type.map_or_else(
        || some_limit_scope(tenant),
        |event_type| limit_scope(tenant, event_type),
    )];
    if !appointment.resources.is_empty() {
        scopes.extend(of_resources(tenant, &appointment.resources));
        return scopes;
    }
    if let Some(event_type) = event_type {
        scopes.push(event_type_scope(tenant, event_type));
    }
    match (rules, &appointment.branch) {
        (Some(rules), _) if !rules.resources.is_empty() => {
            scopes.extend(of_resources(tenant, &rules.resources));
        }
        (_, Some(branch)) => scopes.extend(of_branch(tenant, branch, directory)),
        _ => scopes.push(tenant_scope(tenant)),
    }
    scopes
}

fn of_resources(tenant: &TenantId, resources: &[ResourceId]) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = resources
        .iter()
        .map(|resource| resource_scope(tenant, resource))
        .collect();
    scopes.push(some_resource_scope(tenant));
    scopes
}

fn of_branch(tenant: &TenantId, branch: &BranchId, directory: &dyn Directory) -> Vec<Scope> {
    let mut scopes = vec![branch_scope(tenant, branch), some_branch_scope(tenant)];
    // Whoever works here may work elsewhere too.
    let resources = directory.branch_resources(tenant, branch);
    if !resources.is_empty() {
        scopes.extend(of_resources(tenant, &resources));
    }
    scopes
}
