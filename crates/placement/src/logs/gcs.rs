//! Usage logs of Google Cloud Storage: CSV with a header (<https://cloud.google.com/storage/docs/access-logs>).
//!
//! The log has no sizes of objects: a read of status 200 is of a whole one, and so is a write.

use super::fields::{Header, number, number_or_dash, percent_decoded, separated};
use super::{Access, Operation, Origin, Record, served};
use std::borrow::Cow;

const NAMES: [&str; 8] = [
    "time_micros",
    "c_ip",
    "cs_method",
    "sc_status",
    "cs_bytes",
    "sc_bytes",
    "cs_bucket",
    "cs_object",
];
const TIME: usize = 0;
const ADDRESS: usize = 1;
const METHOD: usize = 2;
const STATUS: usize = 3;
const REQUEST_BYTES: usize = 4;
const RESPONSE_BYTES: usize = 5;
const BUCKET: usize = 6;
const OBJECT: usize = 7;
const MAX_FIELDS: usize = 64;

/// Where the columns are; `None` before the header.
pub(super) type Columns = Option<Header<8>>;

pub(super) fn parse<'a>(line: &'a str, columns: &mut Columns) -> Result<Record<'a>, &'static str> {
    let fields = separated(line, b',', MAX_FIELDS).ok_or("a quote without its other")?;
    let is_header = fields.iter().any(|field| field == NAMES[TIME]);
    let header = match columns {
        // Logs that were joined have a header again.
        Some(header) if !is_header => header,
        _ => {
            let header = Header::new(&fields, NAMES);
            if !(0..NAMES.len()).all(|name| header.has(name)) {
                return Err("the first line must name the columns, as Google's logs do");
            }
            *columns = Some(header);
            return Ok(Record::Other);
        }
    };
    let get = |column: usize| header.get(&fields, column);
    let key = get(OBJECT);
    let operation = match get(METHOD) {
        "GET" | "HEAD" => Operation::Get,
        "PUT" | "POST" => Operation::Put,
        "DELETE" => Operation::Delete,
        _ => return Ok(Record::Other),
    };
    if key.is_empty() {
        return Ok(Record::Other);
    }
    let status = number(get(STATUS).as_bytes()).ok_or("the status is no number")?;
    if !served(status as u16) {
        return Ok(Record::Failed);
    }
    let bytes = |column: usize| {
        number_or_dash(get(column).as_bytes())
            .map(Option::unwrap_or_default)
            .ok_or("bytes are no number")
    };
    let micros = number(get(TIME).as_bytes()).ok_or("the time is none")?;
    let (bytes, whole) = match operation {
        Operation::Get => (
            bytes(RESPONSE_BYTES)?,
            status == 200 && get(METHOD) == "GET",
        ),
        Operation::Put => (bytes(REQUEST_BYTES)?, true),
        _ => (0, false),
    };
    Ok(Record::Access(Access {
        time_ms: micros / 1000,
        operation,
        bucket: Cow::Owned(get(BUCKET).to_owned()),
        key: Cow::Owned(percent_decoded(key).into_owned()),
        bytes,
        object_bytes: whole.then_some(bytes),
        origin: Origin::Address(header.borrowed(&fields, ADDRESS).unwrap_or_default()),
    }))
}
