//! An event bus for booking applications and an availability cache that never serves a slot that was taken before you asked.

pub use vacancy_cache as cache;
pub use vacancy_dispatch as dispatch;
pub use vacancy_slots as slots;
