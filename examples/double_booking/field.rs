//! A value of a JSON line together with its place, so that what is wrong with it can be said.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use vacancy::slots::{Id, IdKind};

/// A value and the path that leads to it. What does not exist has a place too.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The whole line.
    pub(crate) fn line(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value: Some(value),
        }
    }

    /// A field of an object.
    pub(crate) fn get(&self, name: &str) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Self {
            path,
            value: self.value.and_then(|value| value.get(name)),
        }
    }

    /// The field, unless it is absent or null.
    pub(crate) fn present(self) -> Option<Self> {
        match self.value {
            None | Some(Value::Null) => None,
            Some(_) => Some(self),
        }
    }

    pub(crate) fn text(&self) -> Result<&'a str, String> {
        self.value
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong("a string"))
    }

    /// An id, as a number or as a string.
    pub(crate) fn id<K: IdKind>(&self) -> Result<Id<K>, String> {
        let id = match self.value {
            Some(Value::String(text)) => Id::try_from(text.as_str()).ok(),
            Some(Value::Number(number)) => number.as_u64().map(Id::from),
            _ => None,
        };
        id.ok_or_else(|| self.wrong("an id: a string, or a whole number"))
    }

    /// An instant, in any of the spellings that occur in webhooks.
    pub(crate) fn instant(&self) -> Result<DateTime<Utc>, String> {
        const EXPECTED: &str =
            "an instant of the years 1970 to 2100 such as \"2025-10-25T09:30:00Z\"";
        let text = self.value.and_then(Value::as_str);
        text.and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|instant| instant.to_utc())
            .filter(|instant| (1970..=2100).contains(&instant.year()))
            .ok_or_else(|| self.wrong(EXPECTED))
    }

    pub(crate) fn zone(&self) -> Result<Tz, String> {
        let name = self.value.and_then(Value::as_str);
        name.and_then(|name| name.parse().ok())
            .ok_or_else(|| self.wrong("a time zone such as \"Europe/Berlin\""))
    }

    pub(crate) fn time(&self) -> Result<NaiveTime, String> {
        let text = self.value.and_then(Value::as_str);
        text.and_then(|text| NaiveTime::parse_from_str(text, "%H:%M").ok())
            .ok_or_else(|| self.wrong("a local time such as \"09:30\""))
    }

    /// Whole minutes, at least so many, at most a day.
    pub(crate) fn minutes(&self, least: u64) -> Result<Duration, String> {
        self.value
            .and_then(Value::as_u64)
            .filter(|minutes| (least..=24 * 60).contains(minutes))
            .map(|minutes| Duration::from_secs(minutes * 60))
            .ok_or_else(|| self.wrong(&format!("minutes from {least} to 1440")))
    }

    /// The elements of an array that is not empty.
    pub(crate) fn elements(&self) -> Result<Vec<Self>, String> {
        let elements = self.value.and_then(Value::as_array);
        let elements = elements
            .filter(|elements| !elements.is_empty())
            .ok_or_else(|| self.wrong("an array that is not empty"))?;
        Ok(elements
            .iter()
            .enumerate()
            .map(|(index, value)| Self {
                path: format!("{}[{index}]", self.path),
                value: Some(value),
            })
            .collect())
    }

    /// Says that the value is not what is `expected` in its place.
    pub(crate) fn wrong(&self, expected: &str) -> String {
        let path = &self.path;
        match self.value {
            None => format!("`{path}` is missing; expected {expected}"),
            Some(value) => format!("`{path}` is {}; expected {expected}", shown(value)),
        }
    }
}

/// The value, but no more of it than helps.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
