//! A bus that carries traces: the ids of the span that an event was dispatched in.
//!
//! # Invariants
//!
//! 1. The tracing subscriber, with its samplers and processors, is the application's code: it runs
//!    guarded.

use std::{fmt, sync::Arc};

use opentelemetry::{
    Context,
    trace::{SpanContext, Status, TraceContextExt, TraceFlags},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{Delivery, guard::guarded};

/// The ids of the span that goes on, if there is one. `clone` is cheap, and none costs no allocation.
#[derive(Clone, Default)]
pub(crate) struct TraceContext {
    span: Option<Arc<SpanContext>>,
    /// The span of the event that this one replays.
    replays: Option<Arc<SpanContext>>,
}

impl TraceContext {
    /// That of the current `tracing` span; else that of the current OpenTelemetry context, which
    /// somebody may have attached who does not use `tracing`.
    pub(crate) fn current() -> Self {
        let span = Self::of(&Span::current());
        if span.span.is_some() {
            return span;
        }
        let attached = || Context::map_current(|context| Self::new(context.span().span_context()));
        guarded(attached).unwrap_or_default()
    }

    /// That of a span.
    pub(crate) fn of(span: &Span) -> Self {
        if span.is_none() {
            return Self::default();
        }
        guarded(|| Self::new(span.context().span().span_context())).unwrap_or_default()
    }

    fn new(context: &SpanContext) -> Self {
        Self {
            span: context.is_valid().then(|| Arc::new(context.clone())),
            replays: None,
        }
    }

    /// That of a replay: of whoever asks for it now, and linked to the original's.
    pub(crate) fn replaying(original: &Self) -> Self {
        Self {
            replays: original.span.clone().or_else(|| original.replays.clone()),
            ..Self::current()
        }
    }

    /// The same for another event.
    pub(crate) fn onward(&self) -> Self {
        Self {
            span: self.span.clone(),
            replays: None,
        }
    }

    /// This one; `other` if there is none.
    pub(crate) fn or(self, other: &Self) -> Self {
        if self.span.is_some() {
            self
        } else {
            other.onward()
        }
    }

    /// This one if it is of the same trace as `other`; else `other`.
    pub(crate) fn within(self, other: &Self) -> Self {
        match (&self.span, &other.span) {
            (Some(one), Some(two)) if one.trace_id() != two.trace_id() => other.onward(),
            _ => self.or(other),
        }
    }

    /// Makes a span that nobody has entered yet the next one of this trace.
    pub(crate) fn leads_to(&self, span: &Span) {
        if let Some(replays) = &self.replays {
            link(span, replays);
        }
        if let Some(parent) = &self.span {
            let parent = SpanContext::clone(parent);
            // Without a layer that exports spans, or for one that is filtered out, there is no child.
            let _ = guarded(|| span.set_parent(Context::new().with_remote_span_context(parent)));
        }
    }

    /// Links a span that goes on with another trace.
    pub(crate) fn joins(&self, span: &Span) {
        if let Some(other) = &self.span {
            link(span, other);
        }
    }

    /// Marks a span as that of a call that did not succeed; what went wrong is for the log.
    pub(crate) fn failed(span: &Span, how: &'static str) {
        let _ = guarded(|| span.set_status(Status::error(how)));
    }

    fn traceparent(&self) -> Option<String> {
        let span = self.span.as_ref()?;
        Some(format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags() & TraceFlags::SAMPLED
        ))
    }

    fn tracestate(&self) -> Option<String> {
        let state = self.span.as_ref()?.trace_state().header();
        (!state.is_empty()).then_some(state)
    }
}

fn link(span: &Span, other: &Arc<SpanContext>) {
    let _ = guarded(|| span.add_link(SpanContext::clone(other)));
}

/// Without the trace state, which other systems fill.
impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext")
            .field(&self.traceparent())
            .finish()
    }
}

impl Delivery {
    /// The W3C trace context for calls that the listener makes, as the header `traceparent`.
    ///
    /// Names the current span, if that is of the trace that the event belongs to; else, as in a task
    /// that was spawned, the span of this call of the listener, or the one that the event was
    /// dispatched in if the former is not exported. None if the event was dispatched outside a trace
    /// and nothing exports spans.
    pub fn traceparent(&self) -> Option<String> {
        self.trace_here().traceparent()
    }

    /// What goes with [`traceparent`](Self::traceparent) as the header `tracestate`, if there is any.
    pub fn tracestate(&self) -> Option<String> {
        self.trace_here().tracestate()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{SpanId, TraceId, trace::TraceState};

    use super::*;

    #[test]
    fn what_a_replay_leads_to_is_linked_to_nothing() {
        let original = TraceContext::new(&SpanContext::new(
            TraceId::from(7),
            SpanId::from(8),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ));
        let replay = TraceContext::replaying(&original);
        assert!(replay.span.is_none());
        assert_eq!(replay.replays, original.span);
        for next in [
            replay.onward(),
            TraceContext::default().or(&replay),
            TraceContext::default().within(&replay),
        ] {
            assert!(next.replays.is_none());
        }
    }
}
