//! What can be said on the command line.

use std::{fmt, path::PathBuf, time::Duration};

use clap::Parser;
use vacancy::cache::RedisUrl;

/// A salon that takes bookings: a page, JSON, webhooks, a phone agent and metrics over one diary.
#[derive(Clone, Debug, Parser)]
#[command(name = "booking_app", max_term_width = 100)]
pub struct Settings {
    /// Port on 127.0.0.1; another one that is free if it is taken.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// SQLite file of the diary; by default one that is removed at the end.
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Redis that shares the cached answers with other processes.
    #[arg(long, value_name = "URL")]
    pub redis: Option<RedisUrl>,
    /// Varnish before this application, to be told what to forget.
    #[arg(long, value_name = "URL")]
    pub varnish: Option<String>,
    /// How long the calendar takes for an answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "150", value_parser = milliseconds)]
    pub calendar_delay: Duration,
    /// For how long the calendar goes on giving an old answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "2000", value_parser = milliseconds)]
    pub calendar_lag: Duration,
    /// For how long the TTL cache keeps an answer, in seconds.
    #[arg(long, value_name = "S", default_value = "300", value_parser = seconds)]
    pub ttl: Duration,
    /// What the first bookings and the failures of the calendar sync are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Starts with an empty diary.
    #[arg(long)]
    pub empty: bool,
    /// What webhooks and the phone agent sign with.
    #[arg(skip)]
    pub secrets: Secrets,
}

/// The keys that callers sign with. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Secret of the Cal.com webhook.
    pub calcom: String,
    /// API key of the phone agent.
    pub retell: String,
}

/// The longest delay, lag or time to live: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn milliseconds(text: &str) -> Result<Duration, String> {
    bounded(Duration::from_millis(number(text)?))
}

fn seconds(text: &str) -> Result<Duration, String> {
    bounded(Duration::from_secs(number(text)?))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "not a whole number".to_owned())
}

fn bounded(duration: Duration) -> Result<Duration, String> {
    match duration > LONGEST {
        true => Err("longer than a day".to_owned()),
        false => Ok(duration),
    }
}

impl Secrets {
    /// The keys in `CALCOM_WEBHOOK_SECRET` and `RETELL_API_KEY`; those of the demonstration where
    /// they are not set.
    #[must_use]
    pub fn from_environment() -> Self {
        let demo = Self::default();
        let set = |name| std::env::var(name).ok().filter(|key| !key.is_empty());
        Self {
            calcom: set("CALCOM_WEBHOOK_SECRET").unwrap_or(demo.calcom),
            retell: set("RETELL_API_KEY").unwrap_or(demo.retell),
        }
    }
}

/// The keys of the demonstration, which protect nothing.
impl Default for Secrets {
    fn default() -> Self {
        Self {
            calcom: "demo-secret".to_owned(),
            retell: "demo-key".to_owned(),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// What holds when nothing is said on the command line.
impl Default for Settings {
    fn default() -> Self {
        Self::parse_from(["booking_app"])
    }
}
