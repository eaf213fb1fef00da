//! One clock for both processes.

/// Nanoseconds since the machine was started. Comparable between processes, and never set back.
#[cfg(unix)]
pub(crate) fn now() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::Monotonic);
    // Neither is negative: the clock begins at zero.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Nanoseconds since 1970, where the system has no clock that its processes share but that on the wall.
#[cfg(not(unix))]
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
