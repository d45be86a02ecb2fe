//! A plain table of accesses, for logs of any other kind: CSV with a header.

use super::fields::{Header, number, number_or_dash, separated};
use super::{Access, Operation, Origin, Record};
use skyfresh_sky::Timestamp;
use std::borrow::Cow;

/// The columns of a table of accesses, in CSV or Parquet.
pub(super) const NAMES: [&str; 6] = [
    "time",
    "operation",
    "key",
    "bytes",
    "object_bytes",
    "region",
];
pub(super) const TIME: usize = 0;
pub(super) const OPERATION: usize = 1;
pub(super) const KEY: usize = 2;
pub(super) const BYTES: usize = 3;
pub(super) const OBJECT_BYTES: usize = 4;
pub(super) const REGION: usize = 5;
const MAX_FIELDS: usize = 64;

/// Where the columns are; `None` before the header.
pub(super) type Columns = Option<Header<6>>;

/// RFC 3339, or seconds since the Unix epoch.
pub(super) fn time_ms(text: &str) -> Option<u64> {
    if let Some(seconds) = number(text.as_bytes()) {
        return seconds.checked_mul(1000);
    }
    Timestamp::parse(text).ok().map(Timestamp::unix_ms)
}

pub(super) fn parse<'a>(line: &'a str, columns: &mut Columns) -> Result<Record<'a>, &'static str> {
    let fields = separated(line, b',', MAX_FIELDS).ok_or("a quote without its other")?;
    let Some(header) = columns else {
        let header = Header::new(&fields, NAMES);
        if ![TIME, OPERATION, KEY].iter().all(|name| header.has(*name)) {
            return Err(
                "the first line must name the columns: time,operation,key,bytes,object_bytes,region",
            );
        }
        *columns = Some(header);
        return Ok(Record::Other);
    };
    let get = |column: usize| header.get(&fields, column);
    Row {
        time_ms: time_ms(get(TIME)),
        operation: get(OPERATION),
        key: get(KEY),
        bytes: number_or_dash(get(BYTES).as_bytes()),
        object_bytes: number_or_dash(get(OBJECT_BYTES).as_bytes()),
        // The region must outlive the fields; most are not quoted.
        region: header.borrowed(&fields, REGION).unwrap_or_default(),
    }
    .record()
}

/// A row of a table of accesses. What cannot be read is `None`; numbers that are left out are `Some(None)`.
pub(super) struct Row<'a, 'r> {
    pub(super) time_ms: Option<u64>,
    pub(super) operation: &'r str,
    pub(super) key: &'r str,
    pub(super) bytes: Option<Option<u64>>,
    pub(super) object_bytes: Option<Option<u64>>,
    pub(super) region: &'a str,
}

impl<'a> Row<'a, '_> {
    /// What it tells; an error is for people.
    pub(super) fn record(self) -> Result<Record<'a>, &'static str> {
        let operation = match self.operation.to_ascii_lowercase().as_str() {
            "get" | "head" | "read" => Operation::Get,
            "put" | "post" | "write" => Operation::Put,
            "part" => Operation::Part,
            "complete" => Operation::Complete,
            "delete" => Operation::Delete,
            "" => return Err("no operation"),
            _ => return Ok(Record::Other),
        };
        let bytes = self.bytes.ok_or("bytes are no number")?;
        let object_bytes = self.object_bytes;
        let object_bytes = object_bytes.ok_or("the object's bytes are no number")?;
        let bytes = match operation {
            Operation::Put => bytes.or(object_bytes),
            _ => bytes,
        };
        if self.key.is_empty() {
            return Err("no key");
        }
        Ok(Record::Access(Access {
            time_ms: self.time_ms.ok_or("the time is none")?,
            operation,
            bucket: Cow::Borrowed(""),
            key: Cow::Owned(self.key.to_owned()),
            bytes: bytes.unwrap_or(0),
            object_bytes,
            origin: match self.region {
                "" | "-" => Origin::Address(""),
                region => Origin::Region(region),
            },
        }))
    }
}
