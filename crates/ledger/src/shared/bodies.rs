//! Contents of documents: one version byte, then the row formats that the other backends use, or postcard of what is here.

use crate::model::*;
use crate::rows::{decode, decode_mark, encode, encode_mark};
use crate::tables::{Table, corrupt};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, Timestamp};

/// The version byte of what is written today.
const VERSION: u8 = 1;

/// A document's content is at most this long: what every store holds (DynamoDB has 400 KB for a whole item).
pub(crate) const BODY_LIMIT_BYTES: usize = 300 << 10;

/// A task and the newest token ever given for it, which outlives its lease.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) fence: u64,
    pub(crate) task: Task,
}

impl Stored {
    /// When the task can be claimed: due, or its lease run out.
    pub(crate) fn claimable_at(&self) -> Timestamp {
        crate::logic::tasks::schedule(&self.task).1
    }

    pub(crate) fn encode(&self, operation: &'static str) -> Result<Vec<u8>> {
        let mut body = vec![VERSION];
        body.extend_from_slice(&self.fence.to_be_bytes());
        body.extend(encode(operation, &self.task)?);
        checked(operation, &self.task.task.to_string(), body)
    }

    pub(crate) fn decode(operation: &'static str, key: TaskKey, body: &[u8]) -> Result<Self> {
        let row = key.to_string().into_bytes();
        let (fence, body) = versioned(operation, Table::Tasks, &row, body)?
            .split_first_chunk::<8>()
            .ok_or_else(|| corrupt(operation, Table::Tasks, &row, "is too short"))?;
        Ok(Stored {
            fence: u64::from_be_bytes(*fence),
            task: decode(operation, Table::Tasks, &row, key, body)?,
        })
    }
}

/// What is remembered of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) mark: Option<Mark>,
    pub(crate) tombstone: Option<Tombstone>,
}

impl Memory {
    /// `None` where there is nothing to remember.
    pub(crate) fn encode(&self, operation: &'static str) -> Result<Option<Vec<u8>>> {
        if *self == Memory::default() {
            return Ok(None);
        }
        let mut body = vec![VERSION, u8::from(self.mark.is_some())];
        if let Some(mark) = self.mark {
            body.extend_from_slice(&encode_mark(mark));
        }
        if let Some(tombstone) = &self.tombstone {
            body.extend(encode(operation, tombstone)?);
        }
        Ok(Some(body))
    }

    pub(crate) fn decode(operation: &'static str, sort: &[u8], body: &[u8]) -> Result<Self> {
        let bad = || corrupt(operation, Table::Marks, sort, "does not decode");
        let body = versioned(operation, Table::Marks, sort, body)?;
        let (mark, body) = match body.split_first().ok_or_else(bad)? {
            (0, rest) => (None, rest),
            (1, rest) => {
                let (mark, rest) = rest.split_at_checked(16).ok_or_else(bad)?;
                (Some(decode_mark(operation, sort, mark)?), rest)
            }
            _ => return Err(bad()),
        };
        let tombstone = match body {
            [] => None,
            body => Some(decode(operation, Table::Tombstones, sort, (), body)?),
        };
        Ok(Memory { mark, tombstone })
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The claim's token: with time and key it names the line, however often it was written.
    pub(crate) token: u64,
    pub(crate) what: Line,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// A claim was finished.
    Receipt(Box<Receipt>),
    /// A tombstone was left.
    Tombstone(TaskKey, Timestamp),
}

impl Entry {
    /// By what lines are ordered and pruned.
    pub(crate) fn time(&self) -> Timestamp {
        match &self.what {
            Line::Receipt(receipt) => receipt.published,
            Line::Tombstone(_, deleted) => *deleted,
        }
    }

    pub(crate) fn task(&self) -> &TaskKey {
        match &self.what {
            Line::Receipt(receipt) => &receipt.task,
            Line::Tombstone(task, _) => task,
        }
    }

    /// The line's bytes.
    pub(crate) fn encode(&self, operation: &'static str) -> Result<Vec<u8>> {
        let what = match &self.what {
            Line::Receipt(receipt) => LineFormat::Receipt(encode(operation, &**receipt)?),
            Line::Tombstone(task, deleted) => LineFormat::Tombstone(
                task.destination.clone(),
                task.key.as_str().to_owned(),
                deleted.unix_ms(),
            ),
        };
        to_postcard(operation, Vec::new(), &(self.token, what))
    }
}

#[derive(Serialize, Deserialize)]
enum LineFormat {
    Receipt(Vec<u8>),
    Tombstone(String, String, u64),
}

/// A group of encoded lines as a body.
pub(crate) fn encode_group<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = vec![VERSION];
    for line in lines {
        body.extend_from_slice(line);
    }
    body
}

/// The lines of a group.
pub(crate) fn decode_group(
    operation: &'static str,
    rule: &str,
    sort: &[u8],
    body: &[u8],
) -> Result<Vec<Entry>> {
    let bad = |why| corrupt(operation, Table::Receipts, sort, why);
    let mut rest = versioned(operation, Table::Receipts, sort, body)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let ((token, line), after) = postcard::take_from_bytes::<(u64, LineFormat)>(rest)
            .map_err(|error| bad("does not decode").with_source(error))?;
        rest = after;
        let what = match line {
            LineFormat::Receipt(bytes) => Line::Receipt(Box::new(decode(
                operation,
                Table::Receipts,
                sort,
                rule.to_owned(),
                &bytes,
            )?)),
            LineFormat::Tombstone(destination, key, deleted_ms) => {
                let key = skyfresh_sky::ObjectKey::new(key).map_err(|_| bad("bad object key"))?;
                Line::Tombstone(
                    crate::logic::tasks::task_key(rule, &destination, key),
                    Timestamp::from_unix_ms(deleted_ms),
                )
            }
        };
        entries.push(Entry { token, what });
    }
    Ok(entries)
}

/// Postcard of a value behind the version byte.
pub(crate) fn pack<T: Serialize>(operation: &'static str, value: &T) -> Result<Vec<u8>> {
    to_postcard(operation, vec![VERSION], value)
}

/// The value of [`pack`].
pub(crate) fn unpack<'a, T: Deserialize<'a>>(
    operation: &'static str,
    table: Table,
    sort: &[u8],
    body: &'a [u8],
) -> Result<T> {
    let body = versioned(operation, table, sort, body)?;
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(corrupt(
            operation,
            table,
            sort,
            "is longer than its content",
        )),
        Err(error) => Err(corrupt(operation, table, sort, "does not decode").with_source(error)),
    }
}

/// The body, if a document can hold it.
pub(crate) fn checked(operation: &'static str, target: &str, body: Vec<u8>) -> Result<Vec<u8>> {
    if body.len() <= BODY_LIMIT_BYTES {
        return Ok(body);
    }
    let why = format!(
        "is {} bytes long; a shared ledger's documents hold {BODY_LIMIT_BYTES}",
        body.len()
    );
    Err(Error::new(Kind::Invalid, operation, target, why))
}

fn to_postcard<T: Serialize>(
    operation: &'static str,
    bytes: Vec<u8>,
    value: &T,
) -> Result<Vec<u8>> {
    postcard::to_extend(value, bytes).map_err(|error| {
        Error::new(Kind::Internal, operation, "document", "cannot be encoded").with_source(error)
    })
}

fn versioned<'a>(
    operation: &'static str,
    table: Table,
    row: &[u8],
    body: &'a [u8],
) -> Result<&'a [u8]> {
    match body.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((version, _)) => {
            let why = format!("is of version {version}; this program knows {VERSION}");
            Err(corrupt(operation, table, row, &why))
        }
        None => Err(corrupt(operation, table, row, "is empty")),
    }
}
