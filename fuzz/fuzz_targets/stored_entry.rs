//! An entry in Redis is read back as it was written, spoilt bytes are not an entry, and bytes whose checksum is
//! right all the same never panic the reader, never give more than the limit, and never give the value of
//! another name.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vacancy_cache::fuzzing::{StoredEntry, mend, read, write};

/// Larger values are compressed from a kilobyte on.
const LIMIT: usize = 16 << 10;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    tenant: &'a str,
    name: &'a str,
    incarnation: &'a str,
    number: u64,
    loaded_ms: u64,
    value: &'a [u8],
    /// How often the value is repeated, so that there is something to compress.
    repeated: u16,
    other: (&'a str, &'a str),
    spoilt: (u16, u8),
    changed: Vec<(u16, u8)>,
    /// What is added at the end, or how much is cut from it.
    tail: Result<&'a [u8], u16>,
}

fuzz_target!(|input: Input<'_>| {
    let limit = LIMIT / input.value.len().max(1);
    let repeated = usize::from(input.repeated) % (limit + 1);
    let entry = StoredEntry {
        tenant: input.tenant.to_owned(),
        name: input.name.to_owned(),
        incarnation: input.incarnation.to_owned(),
        number: input.number,
        loaded_ms: input.loaded_ms,
        value: input.value.repeat(repeated),
    };
    let (tenant, name) = (input.tenant, input.name);
    let Some(bytes) = write(&entry, LIMIT) else {
        assert!(entry.value.len() > LIMIT);
        return;
    };
    assert_eq!(read(tenant, name, &bytes, LIMIT), Some(entry));
    let is_other = input.other != (tenant, name);
    if is_other {
        assert_eq!(read(input.other.0, input.other.1, &bytes, LIMIT), None);
    }

    // One byte is spoilt: whichever it is, somebody notices.
    let mut spoilt = bytes.clone();
    let place = usize::from(input.spoilt.0) % spoilt.len();
    spoilt[place] ^= input.spoilt.1.max(1);
    assert_eq!(read(tenant, name, &spoilt, LIMIT), None, "byte {place}");

    // Much is changed, by somebody who knows the format.
    let mut changed = bytes;
    for (place, flip) in input.changed {
        let place = usize::from(place) % changed.len();
        changed[place] ^= flip;
    }
    match input.tail {
        Ok(more) => changed.extend_from_slice(more),
        Err(less) => changed.truncate(changed.len() - usize::from(less) % changed.len()),
    }
    mend(&mut changed);
    let ours = read(tenant, name, &changed, LIMIT);
    let theirs = read(input.other.0, input.other.1, &changed, LIMIT);
    for read in [&ours, &theirs].into_iter().flatten() {
        assert!(read.value.len() <= LIMIT);
    }
    assert!(!is_other || ours.is_none() || theirs.is_none());
});
