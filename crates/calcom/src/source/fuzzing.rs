//! The way in for fuzz targets.

use crate::source::{answer, builder::CalcomApi};

/// Reads the bytes as an answer of each form. Whatever they are, it neither panics nor hangs.
pub fn slots_answer(bytes: &[u8]) {
    for api in [CalcomApi::V2024_09_04, CalcomApi::V2024_04_15] {
        let _ = answer::read(api, bytes);
    }
}
