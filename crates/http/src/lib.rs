//! HTTP caching of availability at the edge.
