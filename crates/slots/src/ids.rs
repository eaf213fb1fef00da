//! Who and what an appointment is about: opaque ids that are never coerced into one another.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The longest id, in bytes of its text.
pub const MAX_ID_BYTES: usize = 8192;

/// An opaque id of one kind of thing; see [`TenantId`] and its siblings.
///
/// Its identity is its text: the number `15` and the text `"15"` are the same id, `"015"` is another
/// one, and `"9f4d…"` is never `9`. Any text from 1 to [`MAX_ID_BYTES`] bytes is an id, whatever it
/// contains. There is no default id.
///
/// Ids of different kinds are different types. `clone` copies a pointer.
///
/// In serialized form an id is a string; it is read from a string or from a whole number that is
/// not negative.
///
/// # Examples
///
/// ```
/// use vacancy_slots::{InvalidId, TenantId};
///
/// let tenant = TenantId::from(15);
/// assert_eq!(tenant, "15".parse()?);
/// assert_ne!(tenant, TenantId::try_from("015")?);
/// assert_eq!(TenantId::try_from(""), Err(InvalidId::Empty));
/// # Ok::<(), InvalidId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id<K: IdKind> {
    text: Arc<str>,
    kind: PhantomData<K>,
}

/// Whose data it is, and must never be shown to another.
pub type TenantId = Id<TenantKind>;
/// A place of business of a tenant.
pub type BranchId = Id<BranchKind>;
/// What can be booked: a service with its length, buffers and rules.
pub type EventTypeId = Id<EventTypeKind>;
/// The host, room or chair that an appointment occupies.
pub type ResourceId = Id<ResourceKind>;
/// One appointment, or one seat of it where several people book the same one.
pub type AppointmentId = Id<AppointmentKind>;

/// Who has reserved something, or asks for slots: a customer, a session, a call.
pub type OwnerId = Id<OwnerKind>;
/// One reservation among those of its owner.
pub type ReservationId = Id<ReservationKind>;

/// What an [`Id`] names. Implemented by this crate's kinds only.
pub trait IdKind:
    sealed::Sealed + Copy + Eq + Hash + Ord + fmt::Debug + Send + Sync + 'static
{
    /// The name of the id's type, as `Debug` and error messages show it.
    const NAME: &'static str;
}

mod sealed {
    #[expect(unnameable_types, reason = "no other crate may add a kind")]
    pub trait Sealed {}
}

/// The kind of [`TenantId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TenantKind {}
/// The kind of [`BranchId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BranchKind {}
/// The kind of [`EventTypeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventTypeKind {}
/// The kind of [`ResourceId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {}
/// The kind of [`AppointmentId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AppointmentKind {}
/// The kind of [`OwnerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {}
/// The kind of [`ReservationId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReservationKind {}

impl sealed::Sealed for TenantKind {}
impl IdKind for TenantKind {
    const NAME: &'static str = "TenantId";
}
impl sealed::Sealed for BranchKind {}
impl IdKind for BranchKind {
    const NAME: &'static str = "BranchId";
}
impl sealed::Sealed for EventTypeKind {}
impl IdKind for EventTypeKind {
    const NAME: &'static str = "EventTypeId";
}
impl sealed::Sealed for ResourceKind {}
impl IdKind for ResourceKind {
    const NAME: &'static str = "ResourceId";
}
impl sealed::Sealed for AppointmentKind {}
impl IdKind for AppointmentKind {
    const NAME: &'static str = "AppointmentId";
}
impl sealed::Sealed for OwnerKind {}
impl IdKind for OwnerKind {
    const NAME: &'static str = "OwnerId";
}
impl sealed::Sealed for ReservationKind {}
impl IdKind for ReservationKind {
    const NAME: &'static str = "ReservationId";
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty. An id that is not known is an absent id, not an empty one.
    #[error("an id must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_BYTES`]; it is probably not an id.
    #[error("an id of {length} bytes is longer than {max}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
}

impl<K: IdKind> Id<K> {
    /// The id's text, which is its identity.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl ReservationId {
    /// An id that no other reservation has, in this process or another one.
    #[must_use]
    pub fn unique() -> Self {
        Self {
            text: vacancy_cache::unique_claim_id().into(),
            kind: PhantomData,
        }
    }
}

impl<K: IdKind> From<u64> for Id<K> {
    fn from(number: u64) -> Self {
        Self {
            text: number.to_string().into(),
            kind: PhantomData,
        }
    }
}

impl<K: IdKind> TryFrom<&str> for Id<K> {
    type Error = InvalidId;

    fn try_from(text: &str) -> Result<Self, InvalidId> {
        match text.len() {
            0 => Err(InvalidId::Empty),
            length if length > MAX_ID_BYTES => Err(InvalidId::TooLong {
                length,
                max: MAX_ID_BYTES,
            }),
            _ => Ok(Self {
                text: text.into(),
                kind: PhantomData,
            }),
        }
    }
}

impl<K: IdKind> TryFrom<String> for Id<K> {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::try_from(text.as_str())
    }
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::try_from(text)
    }
}

impl<K: IdKind> AsRef<str> for Id<K> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl<K: IdKind> Borrow<str> for Id<K> {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// Copies a pointer, not the text.
impl<K: IdKind> From<Id<K>> for Arc<str> {
    fn from(id: Id<K>) -> Self {
        id.text
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", K::NAME, self.as_str())
    }
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = IdVisitor(PhantomData);
        // A format that does not describe itself holds what we wrote: a string.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(visitor)
        } else {
            deserializer.deserialize_str(visitor)
        }
    }
}

struct IdVisitor<K>(PhantomData<K>);

impl<K: IdKind> Visitor<'_> for IdVisitor<K> {
    type Value = Id<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} as a string or as a whole number that is not negative",
            K::NAME
        )
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id<K>, E> {
        Ok(Id::from(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id<K>, E> {
        u64::try_from(number)
            .map(Id::from)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<K>, E> {
        Id::try_from(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text() {
        assert_eq!(TenantId::from(15), TenantId::try_from("15").unwrap());
        assert_ne!(TenantId::from(15), TenantId::try_from("015").unwrap());
        assert_ne!(
            BranchId::from(9),
            "9f4d2b1e-0000-4000-8000-000000000000".parse().unwrap()
        );
        assert_eq!(TenantId::from(u64::MAX).as_str(), "18446744073709551615");
    }

    #[test]
    fn the_length_of_an_id_is_bounded() {
        assert_eq!(TenantId::try_from(""), Err(InvalidId::Empty));
        assert!(TenantId::try_from("x".repeat(MAX_ID_BYTES)).is_ok());
        assert_eq!(
            TenantId::try_from("x".repeat(MAX_ID_BYTES + 1)),
            Err(InvalidId::TooLong {
                length: MAX_ID_BYTES + 1,
                max: MAX_ID_BYTES
            })
        );
    }

    #[test]
    fn json_ids_are_strings_or_whole_numbers() {
        let read = serde_json::from_str::<TenantId>;
        assert_eq!(read("15").unwrap(), TenantId::from(15));
        assert_eq!(read("\"15\"").unwrap(), TenantId::from(15));
        assert_eq!(
            serde_json::to_string(&TenantId::from(15)).unwrap(),
            "\"15\""
        );
        for not_an_id in ["-1", "1.0", "1e3", "true", "null", "\"\"", "[15]", "{}"] {
            assert!(read(not_an_id).is_err(), "{not_an_id}");
        }
    }

    #[test]
    fn debug_tells_the_kind() {
        assert_eq!(format!("{:?}", ResourceId::from(7)), "ResourceId(\"7\")");
        assert_eq!(format!("{:>3}", ResourceId::from(7)), "  7");
    }
}
