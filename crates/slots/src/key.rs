//! What an answer is kept under.
//!
//! [`DayKey`] is the typed key and [`SlotsKey`] its only textual form, so reader and writer of a
//! cache cannot derive different ones.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;

use crate::ids::{BranchId, EventTypeId, Id, IdKind, InvalidId, ResourceId, TenantId};
use crate::local_day::LocalDay;
use crate::query::SlotsQuery;

/// One local day of one question: what an answer is cached under.
///
/// Two queries that differ in anything that changes the answer have different keys; their windows
/// do not matter, since whole days are kept. `clone` copies a pointer, and the days of one query
/// share all but the date.
#[derive(Clone)]
pub struct DayKey {
    question: Arc<Question>,
    date: NaiveDate,
}

#[derive(PartialEq, Eq)]
struct Question {
    /// Of the other fields. Taken once, not at every look-up of every day.
    hash: u64,
    tenant: TenantId,
    branch: Option<BranchId>,
    event_type: EventTypeId,
    resources: Box<[ResourceId]>,
    duration: Option<Duration>,
    zone: Tz,
}

impl DayKey {
    /// The key of the day of `query` with this date, in the query's zone.
    #[must_use]
    pub fn new(query: &SlotsQuery, date: NaiveDate) -> Self {
        // Random for each process: whoever chooses ids cannot choose what they hash to.
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = STATE.hash_one((
            &query.tenant,
            &query.branch,
            &query.event_type,
            query.resources(),
            query.duration,
            query.zone,
        ));
        let question = Question {
            hash,
            tenant: query.tenant.clone(),
            branch: query.branch.clone(),
            event_type: query.event_type.clone(),
            resources: query.resources().into(),
            duration: query.duration,
            zone: query.zone,
        };
        Self {
            date: LocalDay::new(date, query.zone).date(),
            question: Arc::new(question),
        }
    }

    /// The key of another day of the same question.
    #[must_use]
    pub fn on(&self, date: NaiveDate) -> Self {
        Self {
            question: Arc::clone(&self.question),
            date: LocalDay::new(date, self.question.zone).date(),
        }
    }

    /// Whose slots.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.question.tenant
    }

    /// Where, unless anywhere.
    #[must_use]
    pub fn branch(&self) -> Option<&BranchId> {
        self.question.branch.as_ref()
    }

    /// Slots of what.
    #[must_use]
    pub fn event_type(&self) -> &EventTypeId {
        &self.question.event_type
    }

    /// The resources asked for, sorted; empty when any will do.
    #[must_use]
    pub fn resources(&self) -> &[ResourceId] {
        &self.question.resources
    }

    /// The length asked for.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.question.duration
    }

    /// The day.
    #[must_use]
    pub fn day(&self) -> LocalDay {
        LocalDay::new(self.date, self.question.zone)
    }

    /// The textual form.
    #[must_use]
    pub fn to_slots_key(&self) -> SlotsKey {
        let day = self.day();
        SlotsKey {
            tenant: self.question.tenant.clone(),
            branch: self.question.branch.clone(),
            event_type: self.question.event_type.clone(),
            start: day.start(),
            end: day.end(),
            duration: self.question.duration,
            zone: self.question.zone,
            resources: self.question.resources.to_vec(),
        }
    }
}

#[cfg(feature = "redis")]
impl vacancy_cache::SharedKey for DayKey {
    fn tenant(&self) -> &str {
        Self::tenant(self).as_str()
    }

    fn name(&self) -> String {
        self.to_slots_key().to_string()
    }
}

impl PartialEq for DayKey {
    fn eq(&self, other: &Self) -> bool {
        self.date == other.date
            && (Arc::ptr_eq(&self.question, &other.question) || self.question == other.question)
    }
}

impl Eq for DayKey {}

impl Hash for DayKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.question.hash);
        state.write_i32(self.date.num_days_from_ce());
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DayKey({})", self.to_slots_key())
    }
}

/// The textual key of the slots that start in a range of instants.
///
/// Whole hours are written as they always were:
/// `cal_slots_{tenant}_{branch}_{event type}_{start}_{end}`, the instants as `%Y-%m-%d-%H` in UTC.
/// Whatever else changes the answer is added to that:
///
/// - minutes, seconds and nanoseconds of an instant, as far as they are not zero: `…-14-30`;
/// - `~` in place of a branch that is not asked for;
/// - `_d` and the duration in seconds, `_z` and the zone unless it is UTC, and `_r` with each
///   resource, sorted, in this order.
///
/// Bytes of ids outside `A-Za-z0-9.-` are percent-escaped, so `_` only ever separates and no id can
/// look like a part of the key. Different keys have different texts, and a text is parsed only if
/// it is exactly what its key would be written as.
///
/// # Examples
///
/// ```
/// use vacancy_slots::SlotsKey;
///
/// let key: SlotsKey = "cal_slots_15_1_123_2025-10-15-14_2025-10-15-15".parse()?;
/// assert_eq!(key.tenant, 15.into());
/// assert_eq!(key.to_string(), "cal_slots_15_1_123_2025-10-15-14_2025-10-15-15");
/// # Ok::<(), vacancy_slots::InvalidKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SlotsKey {
    /// Whose slots.
    pub tenant: TenantId,
    /// Where, unless anywhere.
    pub branch: Option<BranchId>,
    /// Slots of what.
    pub event_type: EventTypeId,
    /// The first start that is covered.
    pub start: DateTime<Utc>,
    /// The first start that is not.
    pub end: DateTime<Utc>,
    /// The length asked for.
    pub duration: Option<Duration>,
    /// The zone in which the source is asked.
    pub zone: Tz,
    /// The resources asked for; empty when any will do.
    pub resources: Vec<ResourceId>,
}

/// Why a text is not a [`SlotsKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It does not begin as these keys do: it belongs to something else.
    #[error("not a key of slots")]
    Foreign,
    /// A part is missing.
    #[error("the key has no {part}")]
    Missing {
        /// Which.
        part: &'static str,
    },
    /// A part cannot be read.
    #[error("the key's {part} cannot be read")]
    Unreadable {
        /// Which.
        part: &'static str,
    },
    /// An id in it is not one.
    #[error("the key's {part} is not an id")]
    Id {
        /// Which.
        part: &'static str,
        /// Why.
        source: InvalidId,
    },
    /// It can be read but would be written otherwise, so it was not written by this crate.
    #[error("the key is not in its canonical form")]
    NotCanonical,
}

const PREFIX: &str = "cal_slots_";
/// No id is written so: `~` is escaped.
const NO_BRANCH: &str = "~";

impl SlotsKey {
    /// The key of the slots of an event type, anywhere and by anyone, that start in `[start, end)`.
    #[must_use]
    pub const fn new(
        tenant: TenantId,
        event_type: EventTypeId,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Self {
        Self {
            tenant,
            branch: None,
            event_type,
            start,
            end,
            duration: None,
            zone: Tz::UTC,
            resources: Vec::new(),
        }
    }

    /// Reads a key from its text.
    ///
    /// # Errors
    ///
    /// When the text is not exactly what a key is written as.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text
            .strip_prefix(PREFIX)
            .ok_or(InvalidKey::Foreign)?
            .split('_');
        let mut next = |part| parts.next().ok_or(InvalidKey::Missing { part });
        let tenant = parse_id(next("tenant")?, "tenant")?;
        let branch = match next("branch")? {
            NO_BRANCH => None,
            branch => Some(parse_id(branch, "branch")?),
        };
        let event_type = parse_id(next("event type")?, "event type")?;
        let instant = |text, part| parse_instant(text).ok_or(InvalidKey::Unreadable { part });
        let start = instant(next("start")?, "start")?;
        let end = instant(next("end")?, "end")?;
        let mut key = Self {
            branch,
            ..Self::new(tenant, event_type, start, end)
        };
        for suffix in parts {
            let unreadable = |part| InvalidKey::Unreadable { part };
            if let Some(text) = suffix.strip_prefix('d') {
                key.duration = Some(parse_duration(text).ok_or(unreadable("duration"))?);
            } else if let Some(text) = suffix.strip_prefix('z') {
                let name = unescape(text).ok_or(unreadable("zone"))?;
                key.zone = name.parse().map_err(|_| unreadable("zone"))?;
            } else if let Some(text) = suffix.strip_prefix('r') {
                key.resources.push(parse_id(text, "resource")?);
            } else {
                return Err(unreadable("suffix"));
            }
        }
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(InvalidKey::NotCanonical)
        }
    }
}

impl FromStr for SlotsKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::parse(text)
    }
}

impl fmt::Display for SlotsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        write_escaped(f, self.tenant.as_str())?;
        f.write_str("_")?;
        match &self.branch {
            Some(branch) => write_escaped(f, branch.as_str())?,
            None => f.write_str(NO_BRANCH)?,
        }
        f.write_str("_")?;
        write_escaped(f, self.event_type.as_str())?;
        f.write_str("_")?;
        write_instant(f, self.start)?;
        f.write_str("_")?;
        write_instant(f, self.end)?;
        if let Some(duration) = self.duration {
            write!(f, "_d{}", duration.as_secs())?;
            if duration.subsec_nanos() > 0 {
                write!(f, ".{:09}", duration.subsec_nanos())?;
            }
        }
        if self.zone != Tz::UTC {
            f.write_str("_z")?;
            write_escaped(f, self.zone.name())?;
        }
        for resource in &self.resources {
            f.write_str("_r")?;
            write_escaped(f, resource.as_str())?;
        }
        Ok(())
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|byte| !is_plain(byte)) {
        // The bytes before are ASCII, so this is a boundary.
        f.write_str(&rest[..place])?;
        let character = rest[place..].chars().next().map_or(1, char::len_utf8);
        for byte in &rest.as_bytes()[place..place + character] {
            write!(f, "%{byte:02X}")?;
        }
        rest = &rest[place + character..];
    }
    f.write_str(rest)
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| {
                char::from(byte)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            };
            plain.push(digit(bytes.next()?)? * 16 + digit(bytes.next()?)?);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).ok()
}

fn parse_id<K: IdKind>(text: &str, part: &'static str) -> Result<Id<K>, InvalidKey> {
    let plain = unescape(text).ok_or(InvalidKey::Unreadable { part })?;
    Id::try_from(plain).map_err(|source| InvalidKey::Id { part, source })
}

fn write_instant(f: &mut fmt::Formatter<'_>, instant: DateTime<Utc>) -> fmt::Result {
    let year = instant.year();
    if (0..=9999).contains(&year) {
        write!(f, "{year:04}")?;
    } else {
        write!(f, "{year:+}")?;
    }
    write!(
        f,
        "-{:02}-{:02}-{:02}",
        instant.month(),
        instant.day(),
        instant.hour()
    )?;
    let (minute, second, nanosecond) = (instant.minute(), instant.second(), instant.nanosecond());
    if (minute, second, nanosecond) != (0, 0, 0) {
        write!(f, "-{minute:02}")?;
    }
    if (second, nanosecond) != (0, 0) {
        write!(f, "-{second:02}")?;
    }
    if nanosecond != 0 {
        write!(f, "-{nanosecond:09}")?;
    }
    Ok(())
}

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let year_ends = sign + text.get(sign..)?.find('-')?;
    let year = text[..year_ends].parse().ok()?;
    let mut numbers = text[year_ends + 1..]
        .split('-')
        .map(|number| number.parse::<u32>().ok());
    let (month, day, hour) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut finer = || numbers.next().unwrap_or(Some(0));
    let (minute, second, nanosecond) = (finer()?, finer()?, finer()?);
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(
        date.and_hms_nano_opt(hour, minute, second, nanosecond)?
            .and_utc(),
    )
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (seconds, nanoseconds) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = nanoseconds
        .parse()
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000)?;
    Some(Duration::new(seconds.parse().ok()?, nanoseconds))
}

#[cfg(test)]
mod tests {
    use chrono_tz::TZ_VARIANTS;
    use proptest::prelude::*;

    use super::*;

    fn id<K: IdKind>() -> impl Strategy<Value = Id<K>> {
        let text = prop_oneof![
            "[0-9]{1,4}",
            "[-_~%.:{}*?\\[\\]drz0-9+\u{0}/ ]{1,12}",
            "(?s).{1,20}",
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
            "[_%~é]{4090,4096}".prop_filter("short enough", |text| text.len() <= 8192),
            Just("~".to_owned()),
            Just("2025-10-15-14_2025-10-15-15".to_owned()),
            Just("_d3600".to_owned()),
            Just("%5F".to_owned()),
        ];
        text.prop_map(|text| Id::try_from(text).unwrap())
    }

    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        let ends = DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp();
        let seconds = prop_oneof![
            (400_000_i64..500_000).prop_map(|hour| hour * 3600),
            (25_000_000_i64..30_000_000).prop_map(|minute| minute * 60),
            ends,
        ];
        let nanos = prop_oneof![3 => Just(0_u32), 1 => 0..1_000_000_000_u32];
        (seconds, nanos).prop_map(|(second, nano)| DateTime::from_timestamp(second, nano).unwrap())
    }

    fn duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0_u64..100).prop_map(|minutes| Duration::from_secs(minutes * 60)),
            (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
        ]
    }

    prop_compose! {
        fn key()(
            tenant in id(),
            branch in prop::option::of(id()),
            event_type in id(),
            (start, end) in (time(), time()),
            duration in prop::option::of(duration()),
            zone in 0..TZ_VARIANTS.len(),
            resources in prop::collection::vec(id(), 0..3),
        ) -> SlotsKey {
            let zone = TZ_VARIANTS[zone];
            SlotsKey { tenant, branch, event_type, start, end, duration, zone, resources }
        }
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_text(key in key()) {
            prop_assert_eq!(SlotsKey::parse(&key.to_string()).unwrap(), key);
        }

        #[test]
        fn any_text_is_a_key_or_a_typed_error(
            text in "cal_slots_[0-9~%A-F_drz.+é-]{0,60}|(?s).{0,40}",
        ) {
            if let Ok(key) = SlotsKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn whole_hours_are_written_as_they_always_were() {
        let text = "cal_slots_15_1_123_2025-10-15-14_2025-10-15-15";
        let start = "2025-10-15T16:00:00+02:00".parse().unwrap();
        let end = "2025-10-15T15:00:00Z".parse().unwrap();
        let mut key = SlotsKey::new(15.into(), 123.into(), start, end);
        key.branch = Some(1.into());
        assert_eq!(key.to_string(), text);
        assert_eq!(SlotsKey::parse(text), Ok(key));
    }

    #[test]
    fn whatever_changes_the_answer_changes_the_key() {
        let start = "2025-10-15T14:30:00Z".parse().unwrap();
        let end = "2025-10-15T15:00:05Z".parse().unwrap();
        let mut key = SlotsKey::new(15.into(), "a_b".parse().unwrap(), start, end);
        key.duration = Some(Duration::from_secs(2700));
        key.zone = chrono_tz::Europe::Berlin;
        key.resources = vec![7.into(), "x/y".parse().unwrap()];
        assert_eq!(
            key.to_string(),
            "cal_slots_15_~_a%5Fb_2025-10-15-14-30_2025-10-15-15-00-05\
             _d2700_zEurope%2FBerlin_r7_rx%2Fy"
        );
    }

    #[test]
    fn texts_that_are_not_canonical_are_refused() {
        let times = "2025-10-15-14_2025-10-15-15";
        for text in [
            format!("cal_slots_%31_1_1_{times}"),
            format!("cal_slots_a%5fb_1_1_{times}"),
            format!("cal_slots_1_1_1_{times}_zUTC"),
            format!("cal_slots_1_1_1_{times}_r1_d60"),
            format!("cal_slots_1_1_1_{times}_d060"),
            "cal_slots_1_1_1_2025-10-15-14-00_2025-10-15-15".to_owned(),
            "cal_slots_1_1_1_2025-10-15-4_2025-10-15-15".to_owned(),
        ] {
            assert_eq!(
                SlotsKey::parse(&text),
                Err(InvalidKey::NotCanonical),
                "{text}"
            );
        }
        assert_eq!(SlotsKey::parse("availability:1"), Err(InvalidKey::Foreign));
        assert_eq!(
            SlotsKey::parse("cal_slots_1"),
            Err(InvalidKey::Missing { part: "branch" })
        );
        let empty = SlotsKey::parse(&format!("cal_slots_1__1_{times}"));
        assert_eq!(
            empty,
            Err(InvalidKey::Id {
                part: "branch",
                source: InvalidId::Empty
            })
        );
    }
}
