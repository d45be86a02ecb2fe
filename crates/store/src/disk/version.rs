//! Which content a file holds, told from what the file system says about it. Pure.

use crate::checksum::Crc64;
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// A file changed this recently may be changed again without its times showing it: file systems stamp files with a clock
/// that ticks every 1 to 10 ms (Linux `CONFIG_HZ`; finer since 6.13).
pub(super) const RACY: Duration = Duration::from_millis(20);

/// What the file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since the Unix epoch at which the content last changed.
    pub(super) modified_ns: i64,
    /// The same of anything about the file, its name and permissions included.
    pub(super) changed_ns: i64,
    /// How many names it has; 0 once it was deleted or replaced.
    links: u64,
}

impl Fingerprint {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the types of these fields differ between platforms"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Fingerprint {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size.max(0) as u64,
            modified_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            links: stat.st_nlink as u64,
        }
    }

    /// When the content last changed.
    pub(super) fn modified(&self) -> Timestamp {
        Timestamp::from_unix_ms(u64::try_from(self.modified_ns / 1_000_000).unwrap_or(0))
    }

    /// The entity tag of a file that was not written by us.
    pub(super) fn etag(&self) -> String {
        let text = format!(
            "{} {} {} {}",
            self.inode, self.size, self.modified_ns, self.changed_ns
        );
        hex::encode(&Sha256::digest(text.as_bytes())[..16])
    }

    /// The entity tag of a file written by us: its content, and a part that does not recur when content does.
    pub(super) fn published_etag(&self, crc64: Crc64) -> String {
        let text = format!("{} {} {}", self.inode, self.size, self.modified_ns);
        format!(
            "{crc64}-{}",
            hex::encode(&Sha256::digest(text.as_bytes())[..8])
        )
    }

    /// How long until a change of the content is sure to change the fingerprint; `None` where it is already.
    pub(super) fn racy_for(&self, now: Timestamp) -> Option<Duration> {
        let modified = self.modified();
        let age = now.since(modified);
        // A file from the future is none that has just been written, but for a little difference of clocks.
        if age >= RACY || modified.since(now) >= RACY {
            None
        } else {
            Some(RACY - age)
        }
    }

    /// Whether a file that was `self` when a read began still has the same content. A file that has no name any more was
    /// replaced as a whole: what is being read is then no longer changed, though `changed_ns` is.
    pub(super) fn is_same_content(&self, now: &Fingerprint) -> bool {
        self.inode == now.inode
            && self.size == now.size
            && self.modified_ns == now.modified_ns
            && (self.changed_ns == now.changed_ns || now.links == 0)
    }
}

/// Saturates in the year 2262.
fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// What of a fingerprint a sidecar names: not the change time, which a rename changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified_ns: i64,
}

impl From<&Fingerprint> for Stamp {
    fn from(fingerprint: &Fingerprint) -> Self {
        Stamp {
            inode: fingerprint.inode,
            size: fingerprint.size,
            modified_ns: fingerprint.modified_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Fingerprint = Fingerprint {
        device: 1,
        inode: 2,
        size: 3,
        modified_ns: 5_000_000_000,
        changed_ns: 5_000_000_000,
        links: 1,
    };

    #[test]
    fn every_sign_of_change_changes_the_tag() {
        let changed = [
            Fingerprint { inode: 9, ..FILE },
            Fingerprint { size: 9, ..FILE },
            Fingerprint {
                modified_ns: 9,
                ..FILE
            },
            Fingerprint {
                changed_ns: 9,
                ..FILE
            },
        ];
        for other in changed {
            assert_ne!(FILE.etag(), other.etag());
            assert!(!FILE.is_same_content(&other));
        }
        assert_eq!(
            FILE.etag(),
            Fingerprint {
                links: 2,
                device: 7,
                ..FILE
            }
            .etag()
        );
    }

    #[test]
    fn a_file_replaced_as_a_whole_keeps_its_content() {
        assert!(FILE.is_same_content(&Fingerprint {
            changed_ns: 9,
            links: 0,
            ..FILE
        }));
        assert!(!FILE.is_same_content(&Fingerprint {
            size: 9,
            links: 0,
            ..FILE
        }));
    }

    #[test]
    fn only_fresh_files_are_racy() {
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert_eq!(FILE.racy_for(at(5_000)), Some(RACY));
        assert_eq!(FILE.racy_for(at(5_015)), Some(Duration::from_millis(5)));
        assert_eq!(FILE.racy_for(at(4_990)), Some(RACY));
        assert_eq!(FILE.racy_for(at(5_020)), None);
        assert_eq!(FILE.racy_for(at(1_000)), None);
    }
}
