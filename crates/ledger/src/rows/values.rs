//! Values that occur in several rows.

use super::Parsed;
use crate::model::*;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectVersion, Timestamp};

#[derive(Serialize, Deserialize)]
pub(crate) struct SignalFormat {
    origin: u8,
    changed_ms: u64,
    notified_ms: u64,
    size: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct VersionFormat<'a> {
    etag: &'a str,
    #[serde(borrow)]
    version_id: Option<&'a str>,
}

pub(super) fn task_key(rule: String, destination: &str, key: &str) -> Parsed<TaskKey> {
    let key = skyfresh_sky::ObjectKey::new(key).map_err(|_| "bad object key")?;
    Ok(TaskKey {
        rule,
        destination: destination.to_owned(),
        key,
    })
}

pub(super) fn signal_format(signal: &Signal) -> SignalFormat {
    SignalFormat {
        origin: origin_byte(signal.origin),
        changed_ms: signal.changed.unix_ms(),
        notified_ms: signal.notified.unix_ms(),
        size: signal.size,
    }
}

pub(super) fn signal(format: SignalFormat) -> Parsed<Signal> {
    Ok(Signal {
        origin: origin(format.origin)?,
        changed: Timestamp::from_unix_ms(format.changed_ms),
        notified: Timestamp::from_unix_ms(format.notified_ms),
        size: format.size,
    })
}

pub(super) fn version_format(version: &ObjectVersion) -> VersionFormat<'_> {
    VersionFormat {
        etag: &version.etag,
        version_id: version.version_id.as_deref(),
    }
}

pub(super) fn version(format: VersionFormat<'_>) -> ObjectVersion {
    ObjectVersion {
        etag: format.etag.to_owned(),
        version_id: format.version_id.map(str::to_owned),
    }
}

/// The bytes of an enum's values: written out, so that reordering the model cannot change the file.
macro_rules! bytes_of {
    ($to:ident, $from:ident, $what:literal, $type:ty: $($byte:literal = $value:path),+ $(,)?) => {
        pub(super) fn $to(value: $type) -> u8 {
            match value { $($value => $byte),+ }
        }

        pub(super) fn $from(byte: u8) -> Parsed<$type> {
            match byte { $($byte => Ok($value),)+ _ => Err(concat!("unknown ", $what)) }
        }
    };
}

bytes_of!(origin_byte, origin, "origin", Origin: 0 = Origin::Live, 1 = Origin::Backfill, 2 = Origin::Repair);
bytes_of!(outcome_byte, outcome, "outcome", Outcome:
    0 = Outcome::Copied, 1 = Outcome::AlreadyEqual, 2 = Outcome::Deleted, 3 = Outcome::Absent, 4 = Outcome::OutOfScope);
bytes_of!(kind_byte, kind, "kind of failure", Kind:
    0 = Kind::RetryAfter, 1 = Kind::Missing, 2 = Kind::Precondition, 3 = Kind::Denied, 4 = Kind::Invalid,
    5 = Kind::Unsupported, 6 = Kind::Corrupt, 7 = Kind::Internal);
