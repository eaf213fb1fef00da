//! The settings of a [`Retell`].

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::Function;
use crate::desk::PhoneDesk;
use crate::ledger::{Ledger, Limits};
use crate::retell::{Retell, Settings};
use crate::signature::ApiKey;

/// The settings of a [`Retell`]. Without a key it refuses every call; all else has a default.
#[must_use = "settings do nothing until `build`"]
pub struct RetellBuilder<D> {
    desk: D,
    settings: Settings,
    limits: Limits,
}

const HOUR: Duration = Duration::from_secs(3600);

impl<D: PhoneDesk> RetellBuilder<D> {
    pub(crate) fn new(desk: D, zone: Tz) -> Self {
        let names = Function::ALL.map(|function| (function.name().to_owned(), function));
        Self {
            desk,
            settings: Settings {
                key: None,
                zone,
                names: names.into(),
                answer_within: Duration::from_secs(2),
                max_body: 64 * 1024,
                clock: Box::new(Utc::now),
            },
            limits: Limits {
                calls: 4096,
                keep: HOUR,
                operation_time_out: Duration::from_secs(120),
            },
        }
    }

    /// The key that Retell signs with. Without one, or with an empty one, every call is refused with
    /// [`SignatureError::NoKey`](crate::SignatureError::NoKey).
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.settings.key = Some(key);
        self
    }

    /// Adds a name that the agent calls a function by, beside its [own](Function::name). Of two
    /// functions with one name the later one counts.
    pub fn function_name(mut self, name: impl Into<String>, function: Function) -> Self {
        self.settings.names.push((name.into(), function));
        self
    }

    /// How long a caller waits in silence. Default 2 s, from when the whole body is there. After it
    /// the answer is `running`.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.settings.answer_within = limit.min(24 * HOUR);
        self
    }

    /// How long an operation may take. Default 120 s, after which Retell gives up too; at most a day.
    /// Then the desk's future is dropped, and what it has done is not known.
    pub fn operation_time_out(mut self, limit: Duration) -> Self {
        self.limits.operation_time_out = limit.min(24 * HOUR);
        self
    }

    /// How long results are remembered. Default an hour; at most a day.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.limits.keep = keep.min(24 * HOUR);
        self
    }

    /// Of how many phone calls results are remembered. Default 4096. Operations that run are
    /// remembered in any case.
    pub fn max_calls(mut self, calls: NonZeroUsize) -> Self {
        self.limits.calls = calls.get();
        self
    }

    /// The longest body, in bytes. Default 64 KiB. A longer one is refused before it is checked.
    ///
    /// A body tells all of the call, the transcript included where the agent sends it: a call that
    /// lasts may need more.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// Where the time comes from: for the age of signatures, and for what has passed. By default the
    /// system's clock.
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// Begins to answer. Operations run on the tokio runtime of whoever asks for an answer.
    #[must_use]
    pub fn build(self) -> Retell<D> {
        Retell::new(self.desk, self.settings, Ledger::new(self.limits))
    }
}

impl<D> fmt::Debug for RetellBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetellBuilder")
            .field("zone", &self.settings.zone)
            .field("answer_within", &self.settings.answer_within)
            .field("max_body", &self.settings.max_body)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
