//! An entry as it is written in Redis: a mark, a format version, a flag, a checksum (CRC-32) of the flag and the
//! rest, then postcard.
//!
//! The tenant and the name are written with the value, so that an entry which is found under another
//! name is not taken for that one's.

use serde::{Deserialize, Serialize};

use super::store::{EntryName, Position};

/// What every entry begins with, and the version of what follows.
const MARK: [u8; 4] = [b'V', b'C', b'Y', 1];

/// The value as it is, or compressed by LZ4.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// Where what follows begins: behind mark, flag and checksum.
const CHECKED_FROM: usize = 9;

/// Bytes that there may be around a value: the names, and what compression adds at worst.
const AROUND: usize = 64 << 10;

/// Smaller ones are not worth the work.
const COMPRESSED_FROM: usize = 1024;

/// What is known of a value besides itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The state of the partition when level 2 was looked at before the load.
    pub(crate) under: Position,
    /// When that was, by the server's clock.
    pub(crate) loaded_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    tenant: &'a str,
    name: &'a str,
    incarnation: &'a str,
    number: u64,
    loaded_ms: u64,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Corrupt, foreign, of another format, or somebody else's.
    Unreadable,
    /// More than the limit.
    Oversized,
}

/// Writes an entry whose value has at most `limit` bytes.
pub(crate) fn write(
    entry: EntryName<'_>,
    origin: &Origin,
    value: &[u8],
    limit: usize,
) -> Result<Vec<u8>, Misfit> {
    if value.len() > limit {
        return Err(Misfit::Oversized);
    }
    let head = Head {
        tenant: entry.tenant,
        name: entry.name,
        incarnation: &origin.under.incarnation,
        number: origin.under.number,
        loaded_ms: origin.loaded_ms,
    };
    let mut bytes = MARK.to_vec();
    bytes.push(if value.len() < COMPRESSED_FROM {
        PLAIN
    } else {
        COMPRESSED
    });
    bytes.extend_from_slice(&[0; 4]);
    let mut bytes = postcard::to_extend(&head, bytes).map_err(|_| Misfit::Unreadable)?;
    if value.len() < COMPRESSED_FROM {
        bytes.extend_from_slice(value);
    } else {
        bytes.extend_from_slice(&lz4_flex::compress_prepend_size(value));
    }
    seal(&mut bytes);
    Ok(bytes)
}

/// Puts the checksum where it belongs, if there is such a place.
pub(super) fn seal(bytes: &mut [u8]) {
    let Some((head, rest)) = bytes.split_at_mut_checked(CHECKED_FROM) else {
        return;
    };
    let checksum = checksum(head[MARK.len()], rest);
    head[CHECKED_FROM - 4..].copy_from_slice(&checksum.to_le_bytes());
}

fn checksum(flag: u8, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[flag]);
    hasher.update(rest);
    hasher.finalize()
}

/// Reads an entry of this name: what is known of it, and the value.
pub(crate) fn read(
    entry: EntryName<'_>,
    bytes: &[u8],
    limit: usize,
) -> Result<(Origin, Vec<u8>), Misfit> {
    // Before all of it is looked at.
    if bytes.len() > limit.saturating_add(AROUND) {
        return Err(Misfit::Oversized);
    }
    let rest = bytes.strip_prefix(&MARK).ok_or(Misfit::Unreadable)?;
    let (&flag, rest) = rest.split_first().ok_or(Misfit::Unreadable)?;
    let (stored, rest) = rest.split_first_chunk().ok_or(Misfit::Unreadable)?;
    if u32::from_le_bytes(*stored) != checksum(flag, rest) {
        return Err(Misfit::Unreadable);
    }
    let (head, body) =
        postcard::take_from_bytes::<Head<'_>>(rest).map_err(|_| Misfit::Unreadable)?;
    if head.tenant != entry.tenant || head.name != entry.name {
        return Err(Misfit::Unreadable);
    }
    let value = match flag {
        PLAIN if body.len() > limit => return Err(Misfit::Oversized),
        PLAIN => body.to_vec(),
        COMPRESSED => {
            // Before anything of that size is allocated.
            let (size, body) =
                lz4_flex::block::uncompressed_size(body).map_err(|_| Misfit::Unreadable)?;
            if size > limit {
                return Err(Misfit::Oversized);
            }
            lz4_flex::block::decompress(body, size).map_err(|_| Misfit::Unreadable)?
        }
        _ => return Err(Misfit::Unreadable),
    };
    let origin = Origin {
        under: Position {
            incarnation: head.incarnation.into(),
            number: head.number,
        },
        loaded_ms: head.loaded_ms,
    };
    Ok((origin, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AROUND, Misfit, Origin, read, write};
    use crate::level2::store::{EntryName, Position};

    const NAME: EntryName<'_> = EntryName {
        tenant: "15",
        name: "2025-10-15",
    };
    const LIMIT: usize = 100_000;

    fn origin() -> Origin {
        Origin {
            under: Position {
                incarnation: "abc.1".into(),
                number: 7,
            },
            loaded_ms: 1_760_000_000_000,
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back(value in prop::collection::vec(any::<u8>(), 0..5000)) {
            let bytes = write(NAME, &origin(), &value, LIMIT).unwrap();
            prop_assert_eq!(read(NAME, &bytes, LIMIT), Ok((origin(), value)));
        }

        #[test]
        fn spoilt_bytes_are_a_misfit(bytes in prop::collection::vec(any::<u8>(), 0..200), flips in any::<[u8; 2]>()) {
            let _ = read(NAME, &bytes, LIMIT);
            let mut entry = write(NAME, &origin(), &[7; 3000], LIMIT).unwrap();
            let place = flips[0] as usize % entry.len();
            entry[place] ^= flips[1].max(1);
            prop_assert!(read(NAME, &entry, LIMIT).is_err());
            prop_assert!(read(NAME, &entry[..place], LIMIT).is_err());
        }
    }

    /// The flag was outside of the checksum: with one bit of it wrong, what was compressed was given as it was.
    #[test]
    fn no_single_byte_is_spoilt_unnoticed() {
        for value in [&[7; 10][..], &[7; 3000]] {
            let bytes = write(NAME, &origin(), value, LIMIT).unwrap();
            for place in 0..bytes.len() {
                for flip in 1..=u8::MAX {
                    let mut spoilt = bytes.clone();
                    spoilt[place] ^= flip;
                    assert!(read(NAME, &spoilt, LIMIT).is_err(), "byte {place}");
                }
            }
        }
    }

    #[test]
    fn an_entry_found_under_another_name_is_not_that_ones() {
        let bytes = write(NAME, &origin(), b"value", LIMIT).unwrap();
        let other = |tenant, name| read(EntryName { tenant, name }, &bytes, LIMIT);
        assert_eq!(other("16", NAME.name), Err(Misfit::Unreadable));
        assert_eq!(other(NAME.tenant, "2025-10-16"), Err(Misfit::Unreadable));
    }

    #[test]
    fn what_is_far_too_large_is_not_looked_at() {
        let garbage = vec![0; AROUND + 6];
        assert_eq!(read(NAME, &garbage[1..], 5), Err(Misfit::Unreadable));
        assert_eq!(read(NAME, &garbage, 5), Err(Misfit::Oversized));
    }

    #[test]
    fn a_plain_value_is_as_large_as_the_limit_at_most() {
        let bytes = write(NAME, &origin(), b"value", 5).unwrap();
        assert_eq!(read(NAME, &bytes, 5), Ok((origin(), b"value".to_vec())));
        assert_eq!(read(NAME, &bytes, 4), Err(Misfit::Oversized));
        let refused = write(NAME, &origin(), b"value", 4);
        assert_eq!(refused, Err(Misfit::Oversized));
    }

    #[test]
    fn an_older_format_is_a_miss() {
        let mut bytes = write(NAME, &origin(), b"value", LIMIT).unwrap();
        bytes[3] = 0;
        assert_eq!(read(NAME, &bytes, LIMIT), Err(Misfit::Unreadable));
    }

    #[test]
    fn a_large_value_is_compressed_and_one_beyond_the_limit_refused() {
        let value = vec![7; 50_000];
        let bytes = write(NAME, &origin(), &value, LIMIT).unwrap();
        assert!(bytes.len() < 1_000);
        assert_eq!(read(NAME, &bytes, 50_000), Ok((origin(), value.clone())));
        assert_eq!(read(NAME, &bytes, 49_999), Err(Misfit::Oversized));
        assert_eq!(
            write(NAME, &origin(), &value, 49_999),
            Err(Misfit::Oversized)
        );
    }
}
