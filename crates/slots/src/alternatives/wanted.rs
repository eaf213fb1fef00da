//! The slot that somebody wanted, and what would do instead.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc, Weekday};

use super::preferred::PreferredTime;
use crate::{
    ids::{BranchId, ResourceId},
    query::SlotsQuery,
};

/// The slot that somebody wanted and cannot have, and what would do instead.
///
/// # Examples
///
/// ```
/// use chrono::{NaiveTime, Weekday};
/// use vacancy_slots::{PreferredTime, SlotsQuery, Wanted};
///
/// let ten_to_eleven = "2025-10-15T08:00:00Z/2025-10-15T09:00:00Z".parse()?;
/// let with_ada = SlotsQuery::new(15, 123, ten_to_eleven)
///     .resource("ada".parse::<vacancy_slots::ResourceId>()?)
///     .zone(chrono_tz::Europe::Berlin);
/// let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
/// let wanted = Wanted::new(with_ada)
///     .or_resource("grace".parse::<vacancy_slots::ResourceId>()?)
///     .prefer(PreferredTime::new(time(8), time(12)).on(Weekday::Wed));
/// # let _ = wanted;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Wanted {
    pub(super) query: SlotsQuery,
    pub(super) other_resources: Vec<ResourceId>,
    pub(super) other_branches: Vec<BranchId>,
    pub(super) excluded: Excluded,
    preferred: Vec<PreferredTime>,
}

/// What must not be offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Excluded {
    pub(super) starts: BTreeSet<DateTime<Utc>>,
    pub(super) days: BTreeSet<NaiveDate>,
    pub(super) resources: BTreeSet<ResourceId>,
}

impl Wanted {
    /// The wanted slot, as the question that was asked for it: its window is the slot, from its start
    /// and as long as it has to be.
    ///
    /// What the question names of branch, resources and duration holds for what is offered instead, and
    /// its zone says what a day and a time of day are. Its answers are found where other readers keep
    /// them only if it is asked as they ask: with a duration, for instance, only where they name one.
    pub fn new(query: SlotsQuery) -> Self {
        Self {
            query,
            other_resources: Vec::new(),
            other_branches: Vec::new(),
            excluded: Excluded::default(),
            preferred: Vec::new(),
        }
    }

    /// This resource would do as well. Those named first are asked for first, with a question each.
    ///
    /// One that is wanted anyway is not asked for again.
    pub fn or_resource(mut self, resource: impl Into<ResourceId>) -> Self {
        let resource = resource.into();
        if !self.other_resources.contains(&resource) {
            self.other_resources.push(resource);
        }
        self
    }

    /// This branch would do as well, whoever serves there. Asked for after the resources.
    ///
    /// The one that is wanted anyway is not asked for again.
    pub fn or_branch(mut self, branch: impl Into<BranchId>) -> Self {
        let branch = branch.into();
        if !self.other_branches.contains(&branch) {
            self.other_branches.push(branch);
        }
        self
    }

    /// Slots at this time come first. Several times add up; without any, all are alike.
    pub fn prefer(mut self, time: PreferredTime) -> Self {
        self.preferred.push(time);
        self
    }

    /// Offers nothing that starts at this instant: what was offered and refused already.
    pub fn exclude_start(mut self, start: DateTime<Utc>) -> Self {
        self.excluded.starts.insert(start);
        self
    }

    /// Offers nothing that starts on this day, in the zone of the question.
    pub fn exclude_day(mut self, day: NaiveDate) -> Self {
        self.excluded.days.insert(day);
        self
    }

    /// Offers nothing that this resource would serve. A slot of which nobody tells who serves it is then
    /// not offered either.
    pub fn exclude_resource(mut self, resource: impl Into<ResourceId>) -> Self {
        self.excluded.resources.insert(resource.into());
        self
    }

    pub(super) fn start(&self) -> DateTime<Utc> {
        self.query.window.start()
    }

    pub(super) fn length(&self) -> Duration {
        self.query.window.duration()
    }

    /// Whether a start that the clocks show like this is preferred.
    pub(super) fn prefers(&self, local: NaiveDateTime) -> bool {
        self.preferred.iter().any(|time| time.holds(local))
    }

    /// Whether a start on this day of the week may be preferred.
    pub(super) fn may_prefer(&self, weekday: Weekday) -> bool {
        self.preferred.iter().any(|time| time.touches(weekday))
    }

    pub(super) fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }
}
