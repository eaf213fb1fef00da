//! A clock that goes on while the machine sleeps.
//!
//! A lease must run out on a machine that is suspended or a process that is stopped. `Instant` does
//! not count the time a Linux machine sleeps, so it cannot tell.

/// Nanoseconds since a fixed moment before this process began.
#[cfg(all(
    not(vacancy_simulation),
    any(target_os = "linux", target_os = "android")
))]
#[inline]
pub(crate) fn now() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

/// Nanoseconds since a fixed moment before this process began.
///
/// The monotonic clocks of these systems count sleep where there is any.
#[cfg(all(
    not(vacancy_simulation),
    unix,
    not(any(target_os = "linux", target_os = "android"))
))]
#[inline]
pub(crate) fn now() -> u64 {
    nanoseconds(rustix::time::ClockId::Monotonic)
}

#[cfg(all(not(vacancy_simulation), unix))]
#[inline]
fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    // Neither is negative, and 64 bits last for 584 years of uptime.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Nanoseconds since the first call. `Instant` counts sleep there.
#[cfg(all(not(vacancy_simulation), not(unix)))]
pub(crate) fn now() -> u64 {
    use std::{sync::LazyLock, time::Instant};
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of simulated time.
#[cfg(vacancy_simulation)]
pub(crate) fn now() -> u64 {
    use std::cell::OnceCell;
    use tokio::time::Instant;
    thread_local!(static BEGIN: OnceCell<Instant> = const { OnceCell::new() });
    // A simulation runs in one thread. Long before its hosts, whose clocks need not begin together.
    let long_ago = || Instant::now() - std::time::Duration::from_secs(3600);
    let begin = BEGIN.with(|begin| *begin.get_or_init(long_ago));
    // Never zero: zero is 'no lease'.
    1 + u64::try_from(Instant::now().saturating_duration_since(begin).as_nanos())
        .unwrap_or(u64::MAX - 1)
}
