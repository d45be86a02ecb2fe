//! A plain table of accesses, for logs of any other kind: CSV with a header.

use super::fields::{Header, number, number_or_dash, separated};
use super::{Access, Operation, Origin, Record};
use skyfresh_sky::Timestamp;
use std::borrow::Cow;

const NAMES: [&str; 6] = [
    "time",
    "operation",
    "key",
    "bytes",
    "object_bytes",
    "region",
];
const TIME: usize = 0;
const OPERATION: usize = 1;
const KEY: usize = 2;
const BYTES: usize = 3;
const OBJECT_BYTES: usize = 4;
const REGION: usize = 5;
const MAX_FIELDS: usize = 64;

/// Where the columns are; `None` before the header.
pub(super) type Columns = Option<Header<6>>;

/// RFC 3339, or seconds since the Unix epoch.
fn time_ms(text: &str) -> Option<u64> {
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
    let named = get(OPERATION).to_ascii_lowercase();
    let operation = match named.as_str() {
        "get" | "head" | "read" => Operation::Get,
        "put" | "post" | "write" => Operation::Put,
        "part" => Operation::Part,
        "complete" => Operation::Complete,
        "delete" => Operation::Delete,
        "" => return Err("no operation"),
        _ => return Ok(Record::Other),
    };
    let bytes = number_or_dash(get(BYTES).as_bytes()).ok_or("bytes are no number")?;
    let object_bytes =
        number_or_dash(get(OBJECT_BYTES).as_bytes()).ok_or("the object's bytes are no number")?;
    let bytes = match operation {
        Operation::Put => bytes.or(object_bytes),
        _ => bytes,
    };
    let key = get(KEY).to_owned();
    if key.is_empty() {
        return Err("no key");
    }
    // The region must outlive the fields; most are not quoted.
    let region = header.borrowed(&fields, REGION).unwrap_or_default();
    Ok(Record::Access(Access {
        time_ms: time_ms(get(TIME)).ok_or("the time is none")?,
        operation,
        bucket: Cow::Borrowed(""),
        key: Cow::Owned(key),
        bytes: bytes.unwrap_or(0),
        object_bytes,
        origin: match region {
            "" | "-" => Origin::Address(""),
            region => Origin::Region(region),
        },
    }))
}
