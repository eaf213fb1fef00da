//! [`CalcomDirectory`]: whose a Cal.com booking is, as the application knows it.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use vacancy_slots::{BranchId, Buffers, EventTypeId, ResourceId, TenantId};

/// Tells whose a Cal.com booking is.
///
/// Implemented by the application, over what it has in memory: it is asked while a webhook is received, on
/// that task, several times a webhook, so it must not block. Where it panics, the request fails with the
/// panic, and nothing has been noted.
///
/// A payload never names a tenant. One Cal.com event type may belong to several tenants, and one person may
/// work for several: give all, and the tenant is told from what the event type and the people have in common.
pub trait CalcomDirectory: Send + Sync + 'static {
    /// Gives everything that `clue` stands for, of every tenant, in any order; nothing when it is not known.
    fn listings(&self, clue: &Clue<'_>) -> Vec<Listing>;
}

impl<D: CalcomDirectory + ?Sized> CalcomDirectory for Arc<D> {
    fn listings(&self, clue: &Clue<'_>) -> Vec<Listing> {
        (**self).listings(clue)
    }
}

/// Something in a payload that may tell whose a booking is.
///
/// Ids are in decimal digits, e-mail addresses and usernames in lower case. `Debug` does not show addresses
/// and names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clue<'a> {
    /// The id of an event type of Cal.com.
    EventType(&'a str),
    /// The e-mail address of a host: organizer, member of the team, or attendee.
    Email(&'a str),
    /// The username of a host.
    Username(&'a str),
    /// The id of a user of Cal.com.
    User(&'a str),
    /// The id of a team of Cal.com.
    Team(&'a str),
}

impl fmt::Debug for Clue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventType(id) => f.debug_tuple("EventType").field(id).finish(),
            Self::Email(_) => f.write_str("Email(..)"),
            Self::Username(_) => f.write_str("Username(..)"),
            Self::User(id) => f.debug_tuple("User").field(id).finish(),
            Self::Team(id) => f.debug_tuple("Team").field(id).finish(),
        }
    }
}

/// What a [`Clue`] stands for, at one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where, when it is one place.
    pub branch: Option<BranchId>,
    /// For an event type: which one it is to the application.
    pub event_type: Option<EventTypeId>,
    /// For an event type or a team, all who may serve it, empty when that is not known; for a person, who
    /// they are.
    pub resources: Vec<ResourceId>,
    /// For an event type: what its bookings keep free around themselves, when known.
    pub buffers: Option<Buffers>,
    /// For an event type: how long its bookings are, for payloads that give no end.
    pub length: Option<Duration>,
}

impl Listing {
    /// Something of `tenant`, of which nothing else is known yet.
    #[must_use]
    pub fn new(tenant: impl Into<TenantId>) -> Self {
        Self {
            tenant: tenant.into(),
            branch: None,
            event_type: None,
            resources: Vec::new(),
            buffers: None,
            length: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<BranchId>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    /// Says which event type it is to the application.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<EventTypeId>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Says what bookings keep free around themselves.
    #[must_use]
    pub fn buffers(mut self, buffers: Buffers) -> Self {
        self.buffers = Some(buffers);
        self
    }

    /// Says how long bookings are.
    #[must_use]
    pub fn length(mut self, length: Duration) -> Self {
        self.length = Some(length);
        self
    }
}

/// A directory that is filled once and then only read.
///
/// # Examples
///
/// ```
/// use vacancy_calcom::{CalcomDirectory, Clue, Listing, StaticCalcomDirectory};
///
/// let directory = StaticCalcomDirectory::new()
///     .list(Clue::EventType("4711"), Listing::new(15).branch(1).event_type(123).resource(42))
///     .list(Clue::Email("Ada@salon.example"), Listing::new(15).resource(42));
/// assert_eq!(directory.listings(&Clue::Email("ada@salon.example")).len(), 1);
/// assert!(directory.listings(&Clue::User("1")).is_empty());
/// ```
#[derive(Clone, Default)]
pub struct StaticCalcomDirectory {
    listings: HashMap<(Kind, String), Vec<Listing>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    EventType,
    Email,
    Username,
    User,
    Team,
}

impl StaticCalcomDirectory {
    /// A directory without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `clue` stands for at one tenant.
    #[must_use]
    pub fn list(mut self, clue: Clue<'_>, listing: Listing) -> Self {
        self.listings.entry(key(&clue)).or_default().push(listing);
        self
    }
}

impl CalcomDirectory for StaticCalcomDirectory {
    fn listings(&self, clue: &Clue<'_>) -> Vec<Listing> {
        self.listings.get(&key(clue)).cloned().unwrap_or_default()
    }
}

fn key(clue: &Clue<'_>) -> (Kind, String) {
    match *clue {
        Clue::EventType(id) => (Kind::EventType, id.to_owned()),
        Clue::Email(email) => (Kind::Email, email.to_ascii_lowercase()),
        Clue::Username(name) => (Kind::Username, name.to_ascii_lowercase()),
        Clue::User(id) => (Kind::User, id.to_owned()),
        Clue::Team(id) => (Kind::Team, id.to_owned()),
    }
}

impl fmt::Debug for StaticCalcomDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCalcomDirectory")
            .field("clues", &self.listings.len())
            .finish()
    }
}
