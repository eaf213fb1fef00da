//! [`Locked`]: what stands in the file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raised when an older build would misread the file.
pub(crate) const FORMAT: u32 = 1;

/// How to renew the file, for messages and for the file itself.
pub(crate) const RENEW: &str = "VACANCY_RENEW_LOCK=1 cargo test";

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Locked {
    /// For people; not read.
    readme: Vec<String>,
    format: u32,
    pub(crate) events: BTreeMap<String, LockedEvent>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedEvent {
    pub(crate) version: u16,
    /// Types by path; none if there was no sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<BTreeMap<String, String>>,
    pub(crate) listeners: BTreeMap<String, LockedListener>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedListener {
    pub(crate) kind: String,
    pub(crate) required: bool,
    pub(crate) enabled: bool,
    /// The settings of a lane, as a serialized topology has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) policy: BTreeMap<String, Value>,
}

/// What is asked of a file before the rest is.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Why there is nothing to compare with.
#[derive(Debug)]
pub(crate) enum Unread {
    Missing,
    Unreadable(io::Error),
    Malformed(serde_json::Error),
    Newer(u32),
}

impl Locked {
    pub(crate) fn new(events: BTreeMap<String, LockedEvent>) -> Self {
        Self {
            readme: vec![
                "The events of this application, their fields, and who listens to them and how."
                    .to_owned(),
                format!(
                    "Written by a program. When a change is meant, renew this file with `{RENEW}`, and commit it."
                ),
            ],
            format: FORMAT,
            events,
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Unread> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unread::Missing,
            _ => Unread::Unreadable(error),
        })?;
        // First: a newer file may have another shape altogether.
        let head: Head = serde_json::from_str(&text).map_err(Unread::Malformed)?;
        if head.format > FORMAT {
            return Err(Unread::Newer(head.format));
        }
        serde_json::from_str(&text).map_err(Unread::Malformed)
    }

    /// Writes the file beside the old one and then in its place, so that no reader sees half of it.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let mut draft = name.to_owned();
        draft.push(format!(".{}-{number}.new", process::id()));
        let draft = path.with_file_name(draft);
        let written = self
            .write_draft(&draft)
            .and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            // It may not even exist; the first error is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    fn write_draft(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut file = File::create(path)?;
        file.write_all(&text)?;
        file.sync_all()
    }
}
