//! A bus that carries no traces.

use tracing::Span;

/// No trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct TraceContext;

impl TraceContext {
    pub(crate) fn current() -> Self {
        Self
    }

    pub(crate) fn of(_: &Span) -> Self {
        Self
    }

    pub(crate) fn or(self, _: &Self) -> Self {
        self
    }

    pub(crate) fn within(self, _: &Self) -> Self {
        self
    }

    pub(crate) fn replaying(_: &Self) -> Self {
        Self
    }

    pub(crate) fn onward(&self) -> Self {
        Self
    }

    pub(crate) fn leads_to(&self, _: &Span) {}

    pub(crate) fn joins(&self, _: &Span) {}

    pub(crate) fn failed(_: &Span, _: &'static str) {}
}
