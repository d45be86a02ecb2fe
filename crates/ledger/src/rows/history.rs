//! Rows of receipts, upload intents and tombstones.

use super::values::*;
use super::{Parsed, Row};
use crate::model::*;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Timestamp, Usd};

/// The first version of a receipt's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct FirstReceiptFormat<'a> {
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

/// The second: what the first has, what was saved, what was expected.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptFormat<'a> {
    #[serde(borrow)]
    first: FirstReceiptFormat<'a>,
    bytes_saved: u64,
    saved_units: i64,
    #[serde(borrow)]
    expected: Option<ExpectedFormat<'a>>,
}

#[derive(Serialize, Deserialize)]
struct ExpectedFormat<'a> {
    way: &'a str,
    why: &'a str,
    candidates: u32,
    p50_ms: u64,
    at_slo_ms: u64,
    left_ms: u64,
    in_time_permille: u16,
    price_units: i64,
    took_ms: Option<u64>,
}

fn expected_format(expected: &Expected) -> ExpectedFormat<'_> {
    ExpectedFormat {
        way: &expected.way,
        why: &expected.why,
        candidates: expected.candidates,
        p50_ms: expected.p50_ms,
        at_slo_ms: expected.at_slo_ms,
        left_ms: expected.left_ms,
        in_time_permille: expected.in_time_permille,
        price_units: expected.price.units(),
        took_ms: expected.took_ms,
    }
}

fn expected(format: ExpectedFormat<'_>) -> Expected {
    Expected {
        way: format.way.to_owned(),
        why: format.why.to_owned(),
        candidates: format.candidates,
        p50_ms: format.p50_ms,
        at_slo_ms: format.at_slo_ms,
        left_ms: format.left_ms,
        in_time_permille: format.in_time_permille,
        price: Usd::from_units(format.price_units),
        took_ms: format.took_ms,
    }
}

impl Row for Receipt {
    /// The rule.
    type Key = String;
    type Format<'a> = ReceiptFormat<'a>;

    const VERSION: u8 = 2;

    fn from_earlier(
        version: u8,
        body: &[u8],
    ) -> Option<postcard::Result<(ReceiptFormat<'_>, &[u8])>> {
        let widen = |(first, rest)| {
            let format = ReceiptFormat {
                first,
                bytes_saved: 0,
                saved_units: 0,
                expected: None,
            };
            (format, rest)
        };
        (version == 1).then(|| postcard::take_from_bytes(body).map(widen))
    }

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
            expected: self.expected.as_ref().map(expected_format),
        }
    }

    fn from_format(rule: String, format: ReceiptFormat<'_>) -> Parsed<Self> {
        let ReceiptFormat {
            first: format,
            bytes_saved,
            saved_units,
            expected: told,
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
            expected: told.map(expected),
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
    use super::super::{decode, encode};
    use super::*;
    use crate::tables::Table;
    use skyfresh_sky::{Kind, ObjectKey};

    fn receipt() -> Receipt {
        Receipt {
            task: TaskKey {
                rule: "rule".into(),
                destination: "d1".into(),
                key: ObjectKey::new("key").unwrap(),
            },
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: None,
            destination: None,
            crc64: None,
            changed: Timestamp::from_unix_ms(1),
            notified: Timestamp::from_unix_ms(2),
            started: Timestamp::from_unix_ms(3),
            published: Timestamp::from_unix_ms(4),
            size: 5,
            bytes_moved: 6,
            requests: 7,
            spend: Usd::from_units(8),
            strategy: "inline".into(),
            failures: 9,
            unkept: vec!["tags".into()],
            bytes_saved: 0,
            saved: Usd::ZERO,
            expected: None,
        }
    }

    #[test]
    fn receipts_of_the_first_version_are_still_read() {
        let receipt = receipt();
        let ReceiptFormat { first, .. } = receipt.to_format();
        let mut row = vec![1];
        row = postcard::to_extend(&first, row).unwrap();
        let read =
            |row: &[u8]| decode::<Receipt>("read", Table::Receipts, b"row", "rule".into(), row);
        assert_eq!(read(&row).unwrap(), receipt);
        assert_eq!(read(&encode("write", &receipt).unwrap()).unwrap(), receipt);
        row[0] = 3;
        assert_eq!(read(&row).unwrap_err().kind, Kind::Corrupt);
        row[0] = 2;
        assert_eq!(read(&row).unwrap_err().kind, Kind::Corrupt);
    }
}
