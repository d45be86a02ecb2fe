//! Small named values.

use crate::tables::{Table, check_name, corrupt};
use crate::transaction::{Read, Transaction};
use crate::{Error, Result};
use skyfresh_sky::Kind;

/// A cursor's JSON is at most this long.
const CURSOR_LIMIT_BYTES: usize = 1 << 20;

/// See [`Ledger::cursor`](crate::Ledger::cursor).
pub(crate) fn cursor(read: &dyn Read, name: &str) -> Result<Option<serde_json::Value>> {
    check_name(read.operation(), "cursor", name)?;
    let Some(value) = read.get(Table::Cursors, name.as_bytes())? else {
        return Ok(None);
    };
    from_text(read.operation(), name, &value).map(Some)
}

/// See [`Ledger::set_cursor`](crate::Ledger::set_cursor).
pub(crate) fn set_cursor(
    transaction: &mut dyn Transaction,
    name: &str,
    value: Option<&serde_json::Value>,
) -> Result<()> {
    let operation = transaction.operation();
    check_name(operation, "cursor", name)?;
    let Some(value) = value else {
        return transaction.delete(Table::Cursors, name.as_bytes().to_vec());
    };
    let text = to_text(operation, name, value, CURSOR_LIMIT_BYTES)?;
    transaction.put(Table::Cursors, name.as_bytes().to_vec(), text)
}

/// A value as JSON of at most `limit` bytes.
pub(crate) fn to_text(
    operation: &'static str,
    name: &str,
    value: &serde_json::Value,
    limit: usize,
) -> Result<Vec<u8>> {
    let text = value.to_string().into_bytes();
    if text.len() > limit {
        let why = format!("{} bytes of JSON; the limit is {limit}", text.len());
        return Err(Error::new(Kind::Invalid, operation, name, why));
    }
    Ok(text)
}

/// The value of a cursor's JSON.
pub(crate) fn from_text(
    operation: &'static str,
    name: &str,
    text: &[u8],
) -> Result<serde_json::Value> {
    serde_json::from_slice(text).map_err(|error| {
        corrupt(operation, Table::Cursors, name.as_bytes(), "is not JSON").with_source(error)
    })
}
