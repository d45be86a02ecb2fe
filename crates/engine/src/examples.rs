//! What unit tests of several stages begin with.

use skyfresh_ledger::{Origin, Outcome, Receipt, TaskKey};
use skyfresh_sky::{Attributes, ObjectKey, ObjectVersion, Timestamp, Usd};
use skyfresh_store::ObjectHead;
use skyfresh_store::checksum::Crc64;

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// A receipt of a copy that moved nothing and took no time; tests say what is different.
pub(crate) fn receipt(name: &str) -> Receipt {
    Receipt {
        task: TaskKey {
            rule: "rule".into(),
            destination: "d1".into(),
            key: key(name),
        },
        outcome: Outcome::Copied,
        origin: Origin::Live,
        source: None,
        destination: None,
        crc64: None,
        changed: Timestamp::ZERO,
        notified: Timestamp::ZERO,
        started: Timestamp::ZERO,
        published: Timestamp::ZERO,
        size: 0,
        bytes_moved: 0,
        requests: 0,
        spend: Usd::ZERO,
        strategy: "inline".into(),
        failures: 0,
        unkept: Vec::new(),
        bytes_saved: 0,
        saved: Usd::ZERO,
        expected: None,
    }
}

/// The head of an object of this content, whose store states its CRC64NVME.
pub(crate) fn head(etag: &str, text: &str) -> ObjectHead {
    ObjectHead {
        version: ObjectVersion::from_etag(etag),
        size: text.len() as u64,
        modified: Timestamp::ZERO,
        crc64: Some(Crc64::of(text.as_bytes())),
        crc32c: None,
        md5: None,
        attributes: Attributes::default(),
        tag_count: 0,
    }
}
