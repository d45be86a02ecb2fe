//! Access logs of object stores, as workloads.
//!
//! **In:** the bytes of a log, some at a time ([`LogReader`]); which clients are where ([`Clients`]); what is stored, where an inventory
//! tells. **Out:** what was read and written, how often and from where, by object, by prefix or by access set ([`Tally`], [`Group`]).
//! **Never:** stops at a line that it cannot read (these are counted, and the first ones shown), holds more than a number of objects
//! that is given, loses a request or a byte of those that it cannot hold, does IO but to read a file of Parquet that it is given.
//!
//! ```text
//! bytes ── LogReader ── Access ── Tally ── groups ── Group (a Workload, by name)
//!          s3, csv, gcs,          │ └ sample.rs: sizes of objects beyond the limit
//!          azure, cloudtrail      └ clients.rs: address → region
//! file ─── ParquetLog (rows as csv has them)
//! ```

mod azure;
mod clients;
mod cloudtrail;
mod csv;
mod fields;
mod gcs;
mod groups;
mod inventory;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(all(test, feature = "parquet"))]
mod parquet_tests;
mod reader;
mod s3;
mod sample;
mod tally;
#[cfg(test)]
mod tests;

pub use clients::Clients;
pub use groups::{Group, Grouping, period_s};
pub use inventory::InventoryReader;
#[cfg(feature = "parquet")]
pub use parquet::ParquetLog;
pub use reader::{Bad, LogCounts, LogReader, MAX_RECORD_BYTES};
pub use tally::{Folding, Tally};

use std::borrow::Cow;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Amazon S3 server access logs.
    S3,
    /// CSV with a header of `time,operation,key,bytes,object_bytes,region`, in any order; the last two may be left out.
    Csv,
    /// Usage logs of Google Cloud Storage, with their header.
    Gcs,
    /// Azure Storage Analytics logs, version 1.0 or 2.0.
    Azure,
    /// Data events of AWS CloudTrail: files as they are delivered, or one event a line.
    CloudTrail,
    /// Parquet with the columns that [`Format::Csv`] has: read by `ParquetLog`, as it is not in order.
    Parquet,
}

/// What a Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";

impl Format {
    /// The format whose logs begin like this.
    pub fn guess(beginning: &[u8]) -> Format {
        if beginning.starts_with(MAGIC) {
            return Format::Parquet;
        }
        let beginning = beginning.trim_ascii_start();
        let line = beginning
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let has = |text: &[u8]| line.windows(text.len()).any(|window| window == text);
        if line.first() == Some(&b'{') {
            Format::CloudTrail
        } else if has(b"time_micros") {
            Format::Gcs
        } else if has(b",") && has(b"operation") && has(b"key") {
            Format::Csv
        } else if line.starts_with(b"1.0;") || line.starts_with(b"2.0;") {
            Format::Azure
        } else {
            Format::S3
        }
    }
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A read request, of all of it, a range of it, or its head alone.
    Get,
    /// A write of all of it.
    Put,
    /// One more request of an upload in parts: its beginning (without bytes), or a part.
    Part,
    /// The request that makes an object of its parts.
    Complete,
    /// It is gone. Deleting costs nothing.
    Delete,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A client at an address.
    Address(&'a str),
    /// A client in a region that the log names.
    Region(&'a str),
    /// The store: bytes that it copied by itself.
    Store,
}

/// One request for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What.
    pub operation: Operation,
    /// Where the object is: bucket, account and container; empty where the log has none.
    pub bucket: Cow<'a, str>,
    /// The object's key there.
    pub key: Cow<'a, str>,
    /// Bytes of the object that went from the store to the client, or from the client to the store.
    pub bytes: u64,
    /// Bytes of the whole object, where the log tells.
    pub object_bytes: Option<u64>,
    /// Who asked.
    pub origin: Origin<'a>,
}

/// What one record of a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record<'a> {
    Access(Access<'a>),
    /// Something else: a listing, a request about a bucket, a comment, a header.
    Other,
    /// A request for an object that was refused, or failed.
    Failed,
}

/// Whether requests with this HTTP status are told as having been served: they succeeded, or the client had the object already.
fn served(status: u16) -> bool {
    (200..300).contains(&status) || status == 304
}
