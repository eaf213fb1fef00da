//! Function calls of a phone agent at the edge of a booking application.
