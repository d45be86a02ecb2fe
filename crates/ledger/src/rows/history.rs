//! Rows of receipts, upload intents and tombstones.

use super::values::*;
use super::{Parsed, Row};
use crate::model::*;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Timestamp, Usd};

/// As version 1 wrote it, with what version 2 added behind.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptFormat<'a> {
    #[serde(borrow)]
    first: FirstReceiptFormat<'a>,
    bytes_saved: u64,
    saved_units: i64,
}

#[derive(Serialize, Deserialize)]
struct FirstReceiptFormat<'a> {
    destination_name: &'a str,
    key: &'a str,
    outcome: u8,
    origin: u8,
    #[serde(borrow)]
    source: Option<VersionFormat<'a>>,
    #[serde(borrow)]
    destination: Option<VersionFormat<'a>>,
    #[serde(borrow)]
    crc64: Option<&'a str>,
    changed_ms: u64,
    notified_ms: u64,
    started_ms: u64,
    published_ms: u64,
    size: u64,
    bytes_moved: u64,
    requests: u32,
    spend_units: i64,
    strategy: &'a str,
    failures: u32,
    #[serde(borrow)]
    unkept: Vec<&'a str>,
}

impl Row for Receipt {
    /// The rule.
    type Key = String;
    type Format<'a> = ReceiptFormat<'a>;
    const VERSION: u8 = 2;

    fn to_format(&self) -> ReceiptFormat<'_> {
        let first = FirstReceiptFormat {
            destination_name: &self.task.destination,
            key: self.task.key.as_str(),
            outcome: outcome_byte(self.outcome),
            origin: origin_byte(self.origin),
            source: self.source.as_ref().map(version_format),
            destination: self.destination.as_ref().map(version_format),
            crc64: self.crc64.as_deref(),
            changed_ms: self.changed.unix_ms(),
            notified_ms: self.notified.unix_ms(),
            started_ms: self.started.unix_ms(),
            published_ms: self.published.unix_ms(),
            size: self.size,
            bytes_moved: self.bytes_moved,
            requests: self.requests,
            spend_units: self.spend.units(),
            strategy: &self.strategy,
            failures: self.failures,
            unkept: self.unkept.iter().map(String::as_str).collect(),
        };
        ReceiptFormat {
            first,
            bytes_saved: self.bytes_saved,
            saved_units: self.saved.units(),
        }
    }

    fn older(version: u8, body: &[u8]) -> Option<ReceiptFormat<'_>> {
        let (first, rest) = postcard::take_from_bytes(body).ok()?;
        (version == 1 && rest.is_empty()).then_some(ReceiptFormat {
            first,
            bytes_saved: 0,
            saved_units: 0,
        })
    }

    fn from_format(rule: String, format: ReceiptFormat<'_>) -> Parsed<Self> {
        let ReceiptFormat {
            first: format,
            bytes_saved,
            saved_units,
        } = format;
        Ok(Receipt {
            task: task_key(rule, format.destination_name, format.key)?,
            outcome: outcome(format.outcome)?,
            origin: origin(format.origin)?,
            source: format.source.map(version),
            destination: format.destination.map(version),
            crc64: format.crc64.map(str::to_owned),
            changed: Timestamp::from_unix_ms(format.changed_ms),
            notified: Timestamp::from_unix_ms(format.notified_ms),
            started: Timestamp::from_unix_ms(format.started_ms),
            published: Timestamp::from_unix_ms(format.published_ms),
            size: format.size,
            bytes_moved: format.bytes_moved,
            requests: format.requests,
            spend: Usd::from_units(format.spend_units),
            strategy: format.strategy.to_owned(),
            failures: format.failures,
            unkept: format.unkept.into_iter().map(str::to_owned).collect(),
            bytes_saved,
            saved: Usd::from_units(saved_units),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct UploadFormat<'a> {
    rule: &'a str,
    destination: &'a str,
    key: &'a str,
    #[serde(borrow)]
    upload: Option<&'a str>,
    started_ms: u64,
}

impl Row for UploadIntent {
    /// The attempt.
    type Key = String;
    type Format<'a> = UploadFormat<'a>;

    fn to_format(&self) -> UploadFormat<'_> {
        UploadFormat {
            rule: &self.task.rule,
            destination: &self.task.destination,
            key: self.task.key.as_str(),
            upload: self.upload.as_deref(),
            started_ms: self.started.unix_ms(),
        }
    }

    fn from_format(attempt: String, format: UploadFormat<'_>) -> Parsed<Self> {
        Ok(UploadIntent {
            task: task_key(format.rule.to_owned(), format.destination, format.key)?,
            attempt,
            upload: format.upload.map(str::to_owned),
            started: Timestamp::from_unix_ms(format.started_ms),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TombstoneFormat<'a> {
    deleted_ms: u64,
    #[serde(borrow)]
    destination: Option<VersionFormat<'a>>,
}

impl Row for Tombstone {
    type Key = ();
    type Format<'a> = TombstoneFormat<'a>;

    fn to_format(&self) -> TombstoneFormat<'_> {
        TombstoneFormat {
            deleted_ms: self.deleted.unix_ms(),
            destination: self.destination.as_ref().map(version_format),
        }
    }

    fn from_format((): (), format: TombstoneFormat<'_>) -> Parsed<Self> {
        Ok(Tombstone {
            deleted: Timestamp::from_unix_ms(format.deleted_ms),
            destination: format.destination.map(version),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{decode, encode};
    use crate::tables::Table;
    use skyfresh_sky::ObjectKey;

    #[test]
    fn receipts_of_the_first_version_are_read() {
        let saved = Receipt {
            task: TaskKey {
                rule: "r".into(),
                destination: "d".into(),
                key: ObjectKey::new("k").unwrap(),
            },
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: None,
            destination: None,
            crc64: Some("00".into()),
            changed: Timestamp::from_unix_ms(1),
            notified: Timestamp::from_unix_ms(2),
            started: Timestamp::from_unix_ms(3),
            published: Timestamp::from_unix_ms(4),
            size: 5,
            bytes_moved: 0,
            requests: 6,
            spend: Usd::from_units(7),
            strategy: "server-side copy of a".into(),
            failures: 0,
            unkept: vec!["tags".into()],
            bytes_saved: 5,
            saved: Usd::from_units(-300),
        };
        let read =
            |bytes: &[u8]| decode::<Receipt>("read", Table::Receipts, b"row", "r".into(), bytes);
        let bytes = encode("write", &saved).unwrap();
        assert_eq!(read(&bytes).unwrap(), saved);
        let mut first = vec![1];
        first.extend(postcard::to_allocvec(&saved.to_format().first).unwrap());
        let unsaved = Receipt {
            bytes_saved: 0,
            saved: Usd::ZERO,
            ..saved
        };
        assert_eq!(read(&first).unwrap(), unsaved);
        first.push(0);
        assert!(read(&first).is_err(), "longer than its content");
        let mut third = bytes;
        third[0] = 3;
        assert!(read(&third).is_err());
    }
}
