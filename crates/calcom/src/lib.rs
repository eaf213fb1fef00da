//! Cal.com at the edge of a booking application.
