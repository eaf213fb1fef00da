//! An [`Explanation`] for programs.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, Serializer};

use super::{Call, Explained, Explanation, Standing};

#[derive(Serialize)]
#[serde(rename = "Explanation")]
struct Fields<'a> {
    event: &'a str,
    id: String,
    cause: Option<String>,
    replay_of: Option<String>,
    accepted_at: String,
    age_us: u64,
    listeners: &'a [Explained],
    forgotten: usize,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = Fields {
            event: self.event,
            id: self.id.to_string(),
            cause: self.cause.map(|id| id.to_string()),
            replay_of: self.replay_of.map(|id| id.to_string()),
            accepted_at: humantime::format_rfc3339_micros(self.accepted_at).to_string(),
            age_us: micros(self.age),
            listeners: &self.listeners,
            forgotten: self.forgotten,
        };
        fields.serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename = "Explained")]
struct ExplainedFields<'a> {
    listener: &'a str,
    inline: bool,
    #[serde(flatten)]
    standing: StandingFields<'a>,
    calls: &'a [Call],
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = ExplainedFields {
            listener: &self.listener,
            inline: self.inline,
            standing: StandingFields::of(&self.standing),
            calls: &self.calls,
        };
        fields.serialize(serializer)
    }
}

/// Tagged by `standing`, beside the fields of the listener.
#[derive(Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
enum StandingFields<'a> {
    Waiting,
    After {
        after: &'a [Cow<'static, str>],
    },
    Paused,
    Running {
        attempt: u32,
        since_us: u64,
    },
    Retrying {
        attempt: u32,
        due_us: u64,
        error: &'a str,
    },
    Ended {
        outcome: String,
        attempts: u32,
        at_us: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        error: &'a str,
    },
    Refused,
    NotReplayed,
    Disabled,
}

impl<'a> StandingFields<'a> {
    fn of(standing: &'a Standing) -> Self {
        match standing {
            Standing::Waiting => Self::Waiting,
            Standing::After { listeners } => Self::After { after: listeners },
            Standing::Paused => Self::Paused,
            Standing::Refused => Self::Refused,
            Standing::NotReplayed => Self::NotReplayed,
            Standing::Disabled => Self::Disabled,
            &Standing::Running { attempt, since } => Self::Running {
                attempt,
                since_us: micros(since),
            },
            Standing::Retrying {
                attempt,
                due,
                error,
            } => Self::Retrying {
                attempt: *attempt,
                due_us: micros(*due),
                error,
            },
            Standing::Ended {
                outcome,
                attempts,
                error,
                at,
            } => Self::Ended {
                outcome: outcome.to_string(),
                attempts: *attempts,
                at_us: micros(*at),
                error,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename = "Call")]
struct CallFields<'a> {
    attempt: u32,
    started_us: u64,
    ended_us: Option<u64>,
    error: Option<&'a str>,
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = CallFields {
            attempt: self.attempt,
            started_us: micros(self.started),
            ended_us: self.ended.map(micros),
            error: self.error.as_deref(),
        };
        fields.serialize(serializer)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
