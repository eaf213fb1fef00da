//! A booking application on Vacancy: a small salon with a page, JSON, webhooks, a phone agent and
//! metrics over one diary.
//!
//! `main.rs` runs it. This library is there so that its tests can.

mod alternatives;
mod app;
mod booking;
mod bookings;
mod calcom;
mod calendar;
mod calendar_sync;
mod confirmation;
mod counts;
mod days;
mod desk;
mod diary;
mod dispatched;
mod exporter;
mod feed;
mod first_bookings;
mod lanes;
mod listeners;
mod phone;
mod problem;
mod routes;
mod running;
mod salon;
mod settings;
mod stale;
mod statistics;
mod ttl_cache;
mod under_way;
mod watch;

pub use exporter::exporter;
pub use running::{Running, serve};
pub use settings::{Secrets, Settings};
