//! What a reader of slots asks for.

use std::time::Duration;

use chrono_tz::Tz;

use crate::ids::{BranchId, EventTypeId, OwnerId, ResourceId, TenantId};
use crate::interval::Interval;
use crate::local_day::LocalDay;

/// The most local days that one query may touch.
pub const MAX_QUERY_DAYS: usize = 64;

/// A question: which slots of an event type start in a window?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotsQuery {
    /// Whose slots.
    pub tenant: TenantId,
    /// Slots of what.
    pub event_type: EventTypeId,
    /// The starts that are asked for.
    pub window: Interval,
    /// Where, unless anywhere.
    pub branch: Option<BranchId>,
    resources: Vec<ResourceId>,
    /// How long the slots are to be, where the event type leaves a choice.
    pub duration: Option<Duration>,
    /// The zone in which the source is asked, and by whose days answers are kept. UTC by default.
    pub zone: Tz,
    /// Whose reservations are not in the way. Answers are kept without regard to it.
    pub owner: Option<OwnerId>,
}

/// Why a query cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The window touches too many local days; ask in parts.
    #[error("a window over {days} days is longer than {max} days")]
    WindowTooLong {
        /// The days it touches.
        days: usize,
        /// The days it may touch.
        max: usize,
    },
}

impl SlotsQuery {
    /// Asks for the slots of `event_type` that start in `window`, whoever serves them.
    #[must_use]
    pub fn new(
        tenant: impl Into<TenantId>,
        event_type: impl Into<EventTypeId>,
        window: Interval,
    ) -> Self {
        Self {
            tenant: tenant.into(),
            event_type: event_type.into(),
            window,
            branch: None,
            resources: Vec::new(),
            duration: None,
            zone: Tz::UTC,
            owner: None,
        }
    }

    /// Asks for one branch only.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<BranchId>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    /// Asks for this resource only, or for this one too.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        let resource = resource.into();
        // Sorted, without repetition: the same question has one form, and so one cached answer.
        if let Err(place) = self.resources.binary_search(&resource) {
            self.resources.insert(place, resource);
        }
        self
    }

    /// Asks for slots of this length.
    #[must_use]
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Asks by the days of this zone.
    #[must_use]
    pub const fn zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// Asks in the name of someone: what he has reserved himself is offered to him.
    #[must_use]
    pub fn owner(mut self, owner: OwnerId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The resources asked for, sorted; empty when any will do.
    #[must_use]
    pub fn resources(&self) -> &[ResourceId] {
        &self.resources
    }

    /// The local days that the window touches, in order.
    ///
    /// # Errors
    ///
    /// When they are more than [`MAX_QUERY_DAYS`].
    pub fn days(&self) -> Result<Vec<LocalDay>, QueryError> {
        match LocalDay::count(self.window, self.zone) {
            days if days > MAX_QUERY_DAYS => Err(QueryError::WindowTooLong {
                days,
                max: MAX_QUERY_DAYS,
            }),
            _ => Ok(LocalDay::over(self.window, self.zone).collect()),
        }
    }
}
