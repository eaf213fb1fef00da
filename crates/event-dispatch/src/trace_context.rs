//! [`TraceContext`]: the trace that an event belongs to, carried from dispatch to its listeners.
//!
//! Without the feature `otel` it is empty and does nothing.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod carried;

#[cfg(not(feature = "otel"))]
pub(crate) use absent::TraceContext;
#[cfg(feature = "otel")]
pub(crate) use carried::TraceContext;
