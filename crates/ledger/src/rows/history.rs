//! Rows of receipts, upload intents and tombstones.

use super::values::*;
use super::{Parsed, Row};
use crate::model::*;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Timestamp, Usd};

#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptFormat<'a> {
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

    fn to_format(&self) -> ReceiptFormat<'_> {
        ReceiptFormat {
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
        }
    }

    fn from_format(rule: String, format: ReceiptFormat<'_>) -> Parsed<Self> {
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
