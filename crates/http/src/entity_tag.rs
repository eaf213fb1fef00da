//! [`EntityTag`]: tells whether a client has the answer already.

use std::fmt;

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use vacancy_slots::{Slot, SlotsQuery};

/// Tells whether a client has an answer already: equal tags, equal slots.
///
/// Made of the slots, and neither of where they come from nor of when, so two processes give one
/// answer one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    strength: Strength,
    digest: [u8; 16],
}

/// What equal tags say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strength {
    /// The slots are the same. What is written beside them, an age or a source, may differ.
    #[default]
    Weak,
    /// The body is the same, byte by byte, because it is written from the query and the slots alone.
    Strong,
}

impl EntityTag {
    /// The tag of `slots` as an answer to `query`, in whatever order, written in the application's
    /// format number `format`.
    pub(crate) fn new(query: &SlotsQuery, slots: &[Slot], strength: Strength, format: u32) -> Self {
        let mut written: Vec<_> = slots.iter().map(write).collect();
        written.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(format.to_be_bytes());
        hash.update(query.zone.name());
        for slot in written {
            hash.update((slot.len() as u64).to_be_bytes());
            hash.update(slot);
        }
        let all: [u8; 32] = hash.finalize().into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&all[..16]);
        Self { strength, digest }
    }

    /// Whether the request's `If-None-Match` names this tag, or is `*`: then the answer is 304.
    ///
    /// Compared weakly, as RFC 9110 has it for this header. What is not written as the RFC says names
    /// nothing.
    #[must_use]
    pub fn is_known_to(&self, request: &HeaderMap) -> bool {
        let opaque = hex::encode(self.digest);
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.trim() == "*" || tags(line).any(|tag| tag == opaque))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("hexadecimal digits make a header")
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = match self.strength {
            Strength::Weak => "W/",
            Strength::Strong => "",
        };
        write!(f, "{weak}\"{}\"", hex::encode(self.digest))
    }
}

/// Different for slots that differ in anything but the order of their resources.
fn write(slot: &Slot) -> Vec<u8> {
    let mut written = Vec::new();
    for at in [slot.start(), slot.end()] {
        written.extend(at.timestamp().to_be_bytes());
        written.extend(at.timestamp_subsec_nanos().to_be_bytes());
    }
    match slot.seats {
        None => written.push(0),
        Some(seats) => {
            written.push(1);
            written.extend(seats.remaining.to_be_bytes());
            written.extend(seats.total.to_be_bytes());
        }
    }
    let mut resources: Vec<_> = slot.resources.iter().map(AsRef::<str>::as_ref).collect();
    resources.sort_unstable();
    for resource in resources {
        written.extend((resource.len() as u64).to_be_bytes());
        written.extend(resource.bytes());
    }
    written
}

/// The opaque parts of a list of tags. A comma in quotes does not separate. Ends where the list is
/// no list any more.
fn tags(mut list: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let rest = list.trim_start_matches([',', ' ', '\t']);
        let rest = rest.strip_prefix("W/").unwrap_or(rest);
        let (tag, after) = rest.strip_prefix('"')?.split_once('"')?;
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            list = "";
            return None;
        }
        list = after;
        Some(tag)
    })
}
