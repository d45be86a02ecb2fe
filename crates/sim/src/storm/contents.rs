//! What users write: content that says which version of which key it is, so that no mixture of two is a third.

use bytes::Bytes;
use skyfresh_store::checksum::Crc64;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Numbers the versions of every key.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    versions: Mutex<HashMap<String, u64>>,
    /// Contents that keys have had by copies.
    copied: Mutex<HashSet<(String, Crc64)>>,
}

impl Contents {
    /// The next content of a key: unlike every other, but for the empty one.
    pub(crate) fn next(&self, key: &str, bytes: usize) -> Bytes {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let version = versions.entry(key.to_owned()).or_default();
        *version += 1;
        content(key, *version, bytes)
    }

    /// Whether a key may become a copy of this content: it must not have had it before, since what returns to an older content
    /// is beyond the promises (GUARANTEES.md, Limits).
    pub(crate) fn may_copy(&self, key: &str, bytes: &[u8]) -> bool {
        let own = bytes.starts_with(format!("{key}#").as_bytes());
        let mut copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner);
        !own && !bytes.is_empty() && copied.insert((key.to_owned(), Crc64::of(bytes)))
    }
}

/// `bytes` bytes of this version of this key, telling so every few bytes.
fn content(key: &str, version: u64, bytes: usize) -> Bytes {
    let line = format!("{key}#{version};");
    line.bytes().cycle().take(bytes).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_differ_wherever_they_are_cut() {
        let contents = Contents::default();
        let (first, second) = (contents.next("k", 5_000), contents.next("k", 5_000));
        for at in [3, 1_000, 2_500, 4_990] {
            let mixed = [&first[..at], &second[at..]].concat();
            assert!(mixed != first && mixed != second, "cut at {at}");
        }
    }
}
