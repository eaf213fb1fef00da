//! [`Retry`]: how often and when a failed listener is called again; and the errors that say
//! otherwise, [`Permanent`] and [`Skip`].

use std::{error::Error, fmt, num::NonZeroU32, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::BoxError;

/// How often and when a listener that failed is called again.
///
/// The pauses double, with jitter: each is lengthened by a random part of itself. All attempts and
/// pauses together stay within the listener's time-out. Only errors are retried; a panic is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    pub(crate) attempts: NonZeroU32,
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
}

impl Retry {
    /// At most `attempts` calls, the first included. Pauses begin at 100 ms and end at 10 s.
    pub fn new(attempts: NonZeroU32) -> Self {
        Self {
            attempts,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }

    /// Sets the pause after the first attempt, before jitter. Default: 100 ms.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets the pause at which doubling ends, before jitter. Default: 10 s.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// The pauses between attempts; one fewer than there are attempts.
    pub(crate) fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.attempts.get() as usize - 1)
            .with_jitter()
            .build()
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × from {:?}", self.attempts, self.first_pause)
    }
}

/// Marks an error that another attempt cannot mend: the listener is not called again.
#[derive(Debug)]
pub struct Permanent(BoxError);

impl Permanent {
    /// Marks `error` as permanent.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Permanent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Returned as an error by a listener that had nothing to do, for instance because it has handled
/// the event before. The outcome is [`Outcome::Skipped`](crate::Outcome::Skipped).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skip;

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the listener had nothing to do")
    }
}

impl Error for Skip {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_pause_fewer_than_attempts() {
        for attempts in 1..5 {
            let retry = Retry::new(NonZeroU32::new(attempts).expect("not zero"));
            assert_eq!(retry.pauses().count() as u32, attempts - 1);
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let retry = Retry::new(NonZeroU32::new(9).expect("not zero"))
            .first_pause(Duration::from_millis(10))
            .longest_pause(Duration::from_millis(40));
        for pause in retry.pauses() {
            assert!(pause >= Duration::from_millis(10) && pause <= Duration::from_millis(80));
        }
    }
}
