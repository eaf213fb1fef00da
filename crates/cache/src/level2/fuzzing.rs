//! The way in for fuzz targets: the stored form of an entry.
//!
//! Compiled only with `--cfg fuzzing`.

use super::{
    store::{EntryName, Position},
    stored::{self, Origin},
};

/// All that an entry in Redis tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Whose it is.
    pub tenant: String,
    /// What it is called.
    pub name: String,
    /// The life of the partition in which it was loaded.
    pub incarnation: String,
    /// The number of the partition's last notice before the load.
    pub number: u64,
    /// When that was, in milliseconds by the server's clock.
    pub loaded_ms: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// Writes an entry; `None` when its value has more than `limit` bytes.
pub fn write(entry: &StoredEntry, limit: usize) -> Option<Vec<u8>> {
    let name = EntryName {
        tenant: &entry.tenant,
        name: &entry.name,
    };
    let origin = Origin {
        under: Position {
            incarnation: entry.incarnation.as_str().into(),
            number: entry.number,
        },
        loaded_ms: entry.loaded_ms,
    };
    stored::write(name, &origin, &entry.value, limit).ok()
}

/// Reads the entry of this name; `None` when the bytes are not one.
pub fn read(tenant: &str, name: &str, bytes: &[u8], limit: usize) -> Option<StoredEntry> {
    let (origin, value) = stored::read(EntryName { tenant, name }, bytes, limit).ok()?;
    Some(StoredEntry {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        incarnation: origin.under.incarnation.to_string(),
        number: origin.under.number,
        loaded_ms: origin.loaded_ms,
        value,
    })
}

/// Makes the checksum right for what the bytes are now, where they are long enough to have one.
pub fn mend(bytes: &mut [u8]) {
    stored::seal(bytes);
}
