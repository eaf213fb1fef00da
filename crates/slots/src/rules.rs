//! What the application tells about its event types, branches and resources.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::appointment::Buffers;
use crate::ids::{BranchId, EventTypeId, ResourceId, TenantId};

/// What a length or a buffer that nobody told is taken for: four hours.
///
/// Too much of it invalidates answers that were still true; too little would leave stale ones.
pub const UNKNOWN_REACH: Duration = Duration::from_secs(240 * 60);

/// What decides how far a booking of an event type reaches.
///
/// By default nothing is known: lengths and buffers count as [`UNKNOWN_REACH`], and whoever is not
/// listed may serve it. Grid and limit are not guessed: a grid that shifts by the days of another
/// zone than is asked in, and a limit by week or month, have to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventTypeRules {
    /// Where it takes place, when it is one place.
    pub branch: Option<BranchId>,
    /// All who can serve it. Empty means unknown.
    pub resources: Vec<ResourceId>,
    /// The length of its longest slot; `None` counts as [`UNKNOWN_REACH`].
    pub longest_slot: Option<Duration>,
    /// What its appointments keep free around themselves; `None` counts as [`UNKNOWN_REACH`] each.
    pub buffers: Option<Buffers>,
    /// Whether a booking moves the other starts of its day.
    pub grid: Grid,
    /// The period whose number of bookings is limited, if one is.
    pub limit: Option<LimitPeriod>,
    /// The zone of the calendar's days, weeks and months. UTC by default.
    pub zone: Tz,
}

/// Whether the starts of slots depend on what is booked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Starts are where they are, free or not.
    #[default]
    Fixed,
    /// A booking moves the later starts of its local day, as where slots follow one another
    /// without gaps.
    Shifting,
}

/// A period in which only so many appointments may be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitPeriod {
    /// A local day.
    Day,
    /// A local week, from Monday.
    Week,
    /// A local month.
    Month,
}

impl EventTypeRules {
    /// Rules of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says where it takes place.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<BranchId>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    /// Adds someone who can serve it.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Says how long its longest slot is.
    #[must_use]
    pub const fn longest_slot(mut self, length: Duration) -> Self {
        self.longest_slot = Some(length);
        self
    }

    /// Says what its appointments keep free around themselves.
    #[must_use]
    pub const fn buffers(mut self, buffers: Buffers) -> Self {
        self.buffers = Some(buffers);
        self
    }

    /// Says whether a booking moves other starts.
    #[must_use]
    pub const fn grid(mut self, grid: Grid) -> Self {
        self.grid = grid;
        self
    }

    /// Says that bookings are limited per period.
    #[must_use]
    pub const fn limit(mut self, period: LimitPeriod) -> Self {
        self.limit = Some(period);
        self
    }

    /// Says in which zone the calendar's days begin.
    #[must_use]
    pub const fn zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }
}

/// Where the application keeps its rules.
///
/// Implemented by the application, over what it has in memory: it is asked on every read of slots
/// and inside `dispatch`, on the caller's thread, so it must not block. What it does not know it
/// leaves out. When it panics, a reader gets the panic; an event is taken to reach everything of its
/// tenant.
pub trait Directory: Send + Sync + 'static {
    /// The rules of an event type, when they are known.
    fn event_type(
        &self,
        tenant: &TenantId,
        event_type: &EventTypeId,
    ) -> Option<Arc<EventTypeRules>>;

    /// All resources of a branch. Empty means unknown, as it does by default.
    fn branch_resources(&self, tenant: &TenantId, branch: &BranchId) -> Vec<ResourceId> {
        let _ = (tenant, branch);
        Vec::new()
    }
}

/// A directory that knows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDirectory;

impl Directory for NoDirectory {
    fn event_type(&self, _: &TenantId, _: &EventTypeId) -> Option<Arc<EventTypeRules>> {
        None
    }
}

/// A directory that is filled once and then only read.
#[derive(Clone, Default)]
pub struct StaticDirectory {
    rules: HashMap<TenantId, HashMap<EventTypeId, Arc<EventTypeRules>>>,
    branches: HashMap<TenantId, HashMap<BranchId, BTreeSet<ResourceId>>>,
}

impl StaticDirectory {
    /// A directory without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces the rules of an event type. Its resources are added to its branch.
    pub fn insert(&mut self, tenant: TenantId, event_type: EventTypeId, rules: EventTypeRules) {
        if let Some(branch) = &rules.branch {
            let resources = rules.resources.iter().cloned();
            self.insert_branch(tenant.clone(), branch.clone(), resources);
        }
        self.rules
            .entry(tenant)
            .or_default()
            .insert(event_type, Arc::new(rules));
    }

    /// Adds resources to a branch.
    pub fn insert_branch(
        &mut self,
        tenant: TenantId,
        branch: BranchId,
        resources: impl IntoIterator<Item = ResourceId>,
    ) {
        let branches = self.branches.entry(tenant).or_default();
        branches.entry(branch).or_default().extend(resources);
    }
}

impl Directory for StaticDirectory {
    fn event_type(
        &self,
        tenant: &TenantId,
        event_type: &EventTypeId,
    ) -> Option<Arc<EventTypeRules>> {
        self.rules.get(tenant)?.get(event_type).cloned()
    }

    fn branch_resources(&self, tenant: &TenantId, branch: &BranchId) -> Vec<ResourceId> {
        let resources = self
            .branches
            .get(tenant)
            .and_then(|branches| branches.get(branch));
        resources.into_iter().flatten().cloned().collect()
    }
}

impl fmt::Debug for StaticDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticDirectory")
            .field(
                "event_types",
                &self.rules.values().map(HashMap::len).sum::<usize>(),
            )
            .field(
                "branches",
                &self.branches.values().map(HashMap::len).sum::<usize>(),
            )
            .finish()
    }
}
