//! Azure Storage Analytics logs, versions 1.0 and 2.0: fields between semicolons, some in quotes
//! (<https://learn.microsoft.com/rest/api/storageservices/storage-analytics-log-format>).
//!
//! The log has no sizes of objects: a read of status 200 is of a whole one, and so is a write with one request.

use super::fields::{number, number_or_dash, separated};
use super::{Access, Operation, Origin, Record, served};
use skyfresh_sky::Timestamp;
use std::borrow::Cow;

const TIME: usize = 1;
const OPERATION: usize = 2;
const STATUS: usize = 4;
const SERVICE: usize = 10;
const KEY: usize = 12;
const ADDRESS: usize = 15;
const RESPONSE_BYTES: usize = 20;
const CONTENT_LENGTH: usize = 21;
const MAX_FIELDS: usize = 64;

/// What Azure calls it, and whether the store copies by itself; `None`: nothing that is counted.
fn operation(name: &str) -> Option<(Operation, bool)> {
    Some(match name {
        "GetBlob" | "GetBlobProperties" | "GetBlobMetadata" => (Operation::Get, false),
        "PutBlob" => (Operation::Put, false),
        "CopyBlob" | "CopyBlobDestination" | "PutBlobFromURL" => (Operation::Put, true),
        "PutBlock" | "AppendBlock" | "PutPage" => (Operation::Part, false),
        "PutBlockFromURL" => (Operation::Part, true),
        "PutBlockList" => (Operation::Complete, false),
        "DeleteBlob" => (Operation::Delete, false),
        _ => return None,
    })
}

/// Without its port.
fn without_port(address: &str) -> &str {
    match address.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        // An address of version 6 without brackets has several colons, and no port.
        None if address.matches(':').count() > 1 => address,
        None => address.split(':').next().unwrap_or(address),
    }
}

pub(super) fn parse(line: &str) -> Result<Record<'_>, &'static str> {
    let fields = separated(line, b';', MAX_FIELDS).ok_or("a quote without its other")?;
    if fields.len() <= CONTENT_LENGTH {
        return Err("not as Azure writes it: too few fields");
    }
    let get = |at: usize| fields[at].as_ref();
    let Some((operation, by_store)) = operation(get(OPERATION)) else {
        return Ok(Record::Other);
    };
    if get(SERVICE) != "blob" {
        return Ok(Record::Other);
    }
    let status = number(get(STATUS).as_bytes()).ok_or("the status is no number")?;
    if !served(status as u16) {
        return Ok(Record::Failed);
    }
    let time = Timestamp::parse(get(TIME)).map_err(|_| "the time is none")?;
    // `/account/container/blob`, with `&quot;` and the like.
    let key = unescaped(get(KEY).trim_start_matches('/'));
    let mut names = key.splitn(3, '/');
    let (Some(account), Some(container), Some(blob)) = (names.next(), names.next(), names.next())
    else {
        return Ok(Record::Other);
    };
    let bytes = |at: usize| {
        number_or_dash(get(at).as_bytes())
            .map(Option::unwrap_or_default)
            .ok_or("bytes are no number")
    };
    let (bytes, whole) = match operation {
        Operation::Get => (
            bytes(RESPONSE_BYTES)?,
            status == 200 && get(OPERATION) == "GetBlob",
        ),
        Operation::Put => (bytes(CONTENT_LENGTH)?, !by_store),
        Operation::Part => (bytes(CONTENT_LENGTH)?, false),
        _ => (0, false),
    };
    let address = match &fields[ADDRESS] {
        Cow::Borrowed(address) => without_port(address),
        Cow::Owned(_) => "",
    };
    Ok(Record::Access(Access {
        time_ms: time.unix_ms(),
        operation,
        bucket: Cow::Owned(format!("{account}/{container}")),
        key: Cow::Owned(blob.to_owned()),
        bytes,
        object_bytes: whole.then_some(bytes),
        origin: match by_store {
            true => Origin::Store,
            false => Origin::Address(address),
        },
    }))
}

/// Quoted fields have the characters that matter to HTML escaped.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let plain = text
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#59;", ";")
        .replace("&amp;", "&");
    Cow::Owned(plain)
}
