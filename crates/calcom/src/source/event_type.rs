//! Which of Cal.com's event types is asked, and what is known of it.

use std::{fmt, time::Duration};

use vacancy_slots::ResourceId;

/// An event type of Cal.com that answers a request, or a part of it.
///
/// Cal.com's answer names no host. Whoever asks for a host has to ask an event type that he alone
/// serves: his own, or his child of a managed one. Say whom its slots are served by with
/// [`resource`](Self::resource); a team's event type of which any host may serve a slot is left
/// without.
///
/// # Examples
///
/// ```
/// use vacancy_calcom::CalcomEventType;
///
/// let marie = CalcomEventType::id(4711).resource(42);
/// let team = CalcomEventType::of_team("haircut", "salon").organization("chain");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CalcomEventType {
    pub(crate) name: Name,
    pub(crate) resources: Vec<ResourceId>,
    pub(crate) length: Option<Duration>,
}

/// By what Cal.com knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Id(u64),
    Slug {
        slug: String,
        owner: Owner,
        organization: Option<String>,
    },
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    User(String),
    Team(String),
}

/// A user's name is a person's.
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(_) => f.write_str("User(..)"),
            Self::Team(team) => f.debug_tuple("Team").field(team).finish(),
        }
    }
}

impl CalcomEventType {
    /// The one with this id.
    pub fn id(id: u64) -> Self {
        Self::named(Name::Id(id))
    }

    /// The one that this user has under this slug.
    pub fn of_user(slug: impl Into<String>, username: impl Into<String>) -> Self {
        Self::named(Name::Slug {
            slug: slug.into(),
            owner: Owner::User(username.into()),
            organization: None,
        })
    }

    /// The one that this team has under this slug.
    pub fn of_team(slug: impl Into<String>, team: impl Into<String>) -> Self {
        Self::named(Name::Slug {
            slug: slug.into(),
            owner: Owner::Team(team.into()),
            organization: None,
        })
    }

    fn named(name: Name) -> Self {
        Self {
            name,
            resources: Vec::new(),
            length: None,
        }
    }

    /// Says in which organization a slug is looked up. Nothing for an id, which needs none.
    pub fn organization(mut self, slug: impl Into<String>) -> Self {
        if let Name::Slug { organization, .. } = &mut self.name {
            *organization = Some(slug.into());
        }
        self
    }

    /// Says who serves each of its slots, or can serve it too.
    pub fn resource(mut self, resource: impl Into<ResourceId>) -> Self {
        let resource = resource.into();
        if !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
        self
    }

    /// Says how long its slots are, for answers that give starts alone to a request that names no
    /// duration. Not needed where answers give both ends, as the present API's do.
    pub const fn length(mut self, length: Duration) -> Self {
        self.length = Some(length);
        self
    }
}
