//! What an invalidation names and what an entry answers for.

use std::{borrow::Cow, fmt, sync::Arc};

/// What an invalidation names: one thing of one tenant whose changes make answers untrue.
///
/// A scope is opaque to the cache. It has three parts, so that no joining of strings can make two
/// scopes meet: the tenant, the kind of thing (`"resource"`, `"branch"`), and the thing's own id.
/// `clone` is cheap.
///
/// # Examples
///
/// ```
/// use vacancy_cache::Scope;
///
/// let chair = Scope::new("15", "resource", "chair_1");
/// assert_ne!(chair, Scope::new("15_resource", "chair", "1"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    tenant: Arc<str>,
    kind: Cow<'static, str>,
    id: Arc<str>,
}

impl Scope {
    /// Names the thing `id` of kind `kind` that belongs to `tenant`.
    #[must_use]
    pub fn new(
        tenant: impl Into<Arc<str>>,
        kind: impl Into<Cow<'static, str>>,
        id: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            tenant: tenant.into(),
            kind: kind.into(),
            id: id.into(),
        }
    }

    /// The tenant whose thing this is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(crate) fn tenant_arc(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The kind of thing.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The thing's id within its tenant and kind.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?} {} {:?})", self.tenant, self.kind, self.id)
    }
}

/// A half-open range `[from, to)` on a scope's integer axis.
///
/// The cache gives the axis no meaning; slots use UTC seconds. Plain keys use [`Span::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    from: i64,
    to: i64,
}

impl Span {
    /// The whole axis.
    pub const ALL: Self = Self {
        from: i64::MIN,
        to: i64::MAX,
    };

    /// The range `[from, to)`. It is empty, and meets nothing, when `to <= from`.
    #[must_use]
    pub const fn new(from: i64, to: i64) -> Self {
        Self { from, to }
    }

    /// The first point in the range.
    #[must_use]
    pub const fn from(self) -> i64 {
        self.from
    }

    /// The first point behind the range.
    #[must_use]
    pub const fn to(self) -> i64 {
        self.to
    }

    /// Whether the range has no point.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether some point lies in both ranges.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        let from = if self.from > other.from {
            self.from
        } else {
            other.from
        };
        let to = if self.to < other.to {
            self.to
        } else {
            other.to
        };
        from < to
    }

    /// Whether every point of `other` lies in this range.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        other.is_empty() || (self.from <= other.from && other.to <= self.to)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("[..)");
        }
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// A scope and span that an entry answers for.
///
/// An entry stands as long as nothing in any of its covers has been invalidated since before its
/// load began.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cover {
    /// Whose changes matter.
    pub scope: Scope,
    /// Which of them.
    pub span: Span,
}

impl Cover {
    /// The span `span` of `scope`.
    #[must_use]
    pub fn new(scope: Scope, span: Span) -> Self {
        Self { scope, span }
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn half_open_ranges_that_touch_do_not_meet() {
        assert!(!Span::new(0, 10).meets(Span::new(10, 20)));
        assert!(Span::new(0, 11).meets(Span::new(10, 20)));
        assert!(Span::ALL.meets(Span::new(-1, 0)));
    }

    #[test]
    fn an_empty_range_meets_nothing() {
        assert!(!Span::new(5, 5).meets(Span::ALL));
        assert!(!Span::new(6, 5).meets(Span::new(0, 10)));
    }
}
