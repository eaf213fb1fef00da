//! The write path of a booking application over sqlx.
