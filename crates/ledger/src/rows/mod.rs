//! Values of rows: one version byte, then [postcard](https://postcard.jamesmunns.com/wire-format) of a struct made for the
//! file alone, so that the model can change without the file, and the file without losing what older versions wrote.
//!
//! What the key already says (rule, destination, object key, attempt, number) is not repeated. A new field or meaning takes
//! a new version byte here; what no version explains is [`Kind::Corrupt`], naming the row.

mod history;
mod pool;
mod task;
mod values;

pub(crate) use pool::{Counters, Hold, Holders, Pool};

use crate::model::Mark;
use crate::tables::{Table, corrupt};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;

/// Why a row cannot be read.
type Parsed<T> = std::result::Result<T, &'static str>;

/// A value that has a row format.
pub(crate) trait Row: Sized {
    /// What the key says about it.
    type Key;
    /// The struct in the file.
    type Format<'a>: Serialize + Deserialize<'a>;
    /// The version byte of the rows written today.
    const VERSION: u8 = 1;

    fn to_format(&self) -> Self::Format<'_>;
    fn from_format(key: Self::Key, format: Self::Format<'_>) -> Parsed<Self>;

    /// What a row of an older version holds; `None` where there was no such version, or it does not decode.
    fn older(_version: u8, _body: &[u8]) -> Option<Self::Format<'_>> {
        None
    }
}

/// The row's bytes.
pub(crate) fn encode<R: Row>(operation: &'static str, row: &R) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    bytes.push(R::VERSION);
    postcard::to_extend(&row.to_format(), bytes).map_err(|error| {
        Error::new(Kind::Internal, operation, "row", "cannot be encoded").with_source(error)
    })
}

/// The value of a row at `row_key` in `table`.
pub(crate) fn decode<R: Row>(
    operation: &'static str,
    table: Table,
    row_key: &[u8],
    key: R::Key,
    bytes: &[u8],
) -> Result<R> {
    let bad = |why: &str| corrupt(operation, table, row_key, why);
    let body = match bytes.split_first() {
        Some((version, body)) if *version == R::VERSION => body,
        Some((version, body)) => {
            let Some(format) = R::older(*version, body) else {
                let known = R::VERSION;
                return Err(bad(&format!(
                    "is of version {version}; this program knows {known}"
                )));
            };
            return R::from_format(key, format).map_err(bad);
        }
        None => return Err(bad("is empty")),
    };
    match postcard::take_from_bytes::<R::Format<'_>>(body) {
        Ok((format, [])) => R::from_format(key, format).map_err(bad),
        Ok(_) => Err(bad("is longer than its content")),
        Err(error) => Err(bad("does not decode").with_source(error)),
    }
}

/// A mark's 16 bytes. It has no version byte: at one row per key in scope every byte counts, and the table's name can carry
/// a version.
pub(crate) fn encode_mark(mark: Mark) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mark.source.to_be_bytes());
    bytes[8..].copy_from_slice(&mark.destination.to_be_bytes());
    bytes
}

/// The mark of 16 bytes.
pub(crate) fn decode_mark(operation: &'static str, row: &[u8], bytes: &[u8]) -> Result<Mark> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| corrupt(operation, Table::Marks, row, "a mark has 16 bytes"))?;
    let packed = u128::from_be_bytes(bytes);
    Ok(Mark {
        source: (packed >> 64) as u64,
        destination: packed as u64,
    })
}
