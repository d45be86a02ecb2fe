//! Traces: who changed which object when, as a stream that needs the same memory for an hour and for a week.
//!
//! Read from files that users have ([`ibm`], [`s3_access_log`]) or made ([`synthetic`]). Files are not trusted: lines,
//! keys and numbers have limits, and a line that cannot be read is an error that says which and why. Reading goes on behind
//! it where the caller does.

mod ibm;
mod lines;
mod s3_log;
mod synthetic;

pub use ibm::ibm;
pub use s3_log::s3_access_log;
pub use synthetic::{SYNTHETIC_LABEL, Synthetic, synthetic};

use lines::Lines;
use skyfresh_sky::{Invalid, Kind};
use std::io::BufRead;

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// Milliseconds since the trace's first event. Never descends.
    pub at_ms: u64,
    /// How much earlier than the event before it the file has this one, in milliseconds; `at_ms` is then that of the event
    /// before. 0 in a file in order.
    pub late_ms: u64,
    /// What was asked.
    pub operation: TraceOperation,
    /// The object's key.
    pub key: String,
    /// Bytes of the object, 0 where the trace does not say.
    pub size: u64,
}

/// What a request of a trace asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceOperation {
    /// The object was written whole.
    Put,
    /// The object was deleted.
    Delete,
    /// The object was read.
    Get,
    /// The object's attributes were read.
    Head,
    /// The object was written from another one within the store.
    Copy,
    /// Anything else, failed requests included: changes no object.
    Other,
}

/// A trace, event by event.
pub type Trace = Box<dyn Iterator<Item = Result<TraceEvent, TraceError>> + Send>;

/// Why a trace, or a line of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A line is not what the format says. The next one may be.
    #[error("trace line {line}: {cause}: {remedy}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        cause: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The file could not be read on; the trace ends here.
    #[error(
        "trace line {line}: the file cannot be read further: check that it is whole, then start again"
    )]
    Read {
        /// The line that was being read.
        line: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The parameters of a synthetic trace describe none; the trace has no events.
    #[error("synthetic trace: {0}")]
    Parameters(#[from] Invalid),
}

impl TraceError {
    /// What the caller does next.
    pub fn kind(&self) -> Kind {
        match self {
            TraceError::Line { .. } | TraceError::Parameters(_) => Kind::Invalid,
            TraceError::Read { .. } => Kind::RetryAfter,
        }
    }
}

/// The longest key of S3, GCS and Azure, in bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1024;
/// 1 PiB: beyond the largest object of any store (S3: 48.8 TiB).
const MAX_OBJECT_BYTES: u64 = 1 << 50;
/// How far a file may go back in time. Stores deliver their logs about in order, within an hour; more is another file's order.
const MAX_LATE_MS: i64 = 3_600_000;
/// The end of the year 9999, in milliseconds since 1970.
const MAX_TIME_MS: i64 = 253_402_300_799_999;

/// What one line says.
struct Record {
    time_ms: i64,
    operation: TraceOperation,
    key: String,
    size: u64,
}

/// Why a line says nothing.
struct Fault {
    cause: String,
    remedy: &'static str,
}

/// Turns lines into events: the part that every format shares.
struct Reader<R> {
    lines: Lines<R>,
    parse: fn(&str) -> Result<Record, Fault>,
    /// The times of the first event and of the latest, in the file's own milliseconds.
    first_and_latest_ms: Option<(i64, i64)>,
}

impl<R: BufRead> Reader<R> {
    fn event(&mut self, record: Record) -> Result<TraceEvent, Fault> {
        let check = |bad: bool, cause: String, remedy| {
            if bad {
                Err(Fault { cause, remedy })
            } else {
                Ok(())
            }
        };
        check(
            record.key.len() > MAX_KEY_BYTES,
            format!(
                "a key of {} bytes, at most {MAX_KEY_BYTES}",
                record.key.len()
            ),
            "no store has such a key; drop the line",
        )?;
        check(
            record.size > MAX_OBJECT_BYTES,
            format!("a size of {} bytes", record.size),
            "no store has such an object; drop the line",
        )?;
        check(
            !(0..=MAX_TIME_MS).contains(&record.time_ms),
            format!("a time of {} ms", record.time_ms),
            "times are milliseconds from 1970 to 9999",
        )?;
        let (first, latest) = self
            .first_and_latest_ms
            .unwrap_or((record.time_ms, record.time_ms));
        let late_ms = (latest - record.time_ms).max(0);
        check(
            late_ms > MAX_LATE_MS,
            format!("{late_ms} ms earlier than a line before it, at most {MAX_LATE_MS}"),
            "sort the file by time",
        )?;
        let now = latest.max(record.time_ms);
        self.first_and_latest_ms = Some((first, now));
        Ok(TraceEvent {
            at_ms: (now - first).unsigned_abs(),
            late_ms: late_ms.unsigned_abs(),
            operation: record.operation,
            key: record.key,
            size: record.size,
        })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<TraceEvent, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.lines.next_line()? {
            Ok(line) => (self.parse)(line),
            Err(error) => return Some(Err(error)),
        };
        let event = record.and_then(|record| self.event(record));
        Some(event.map_err(|fault| self.lines.fault(fault)))
    }
}

fn read(reader: impl BufRead + Send + 'static, parse: fn(&str) -> Result<Record, Fault>) -> Trace {
    Box::new(Reader {
        lines: Lines::new(reader),
        parse,
        first_and_latest_ms: None,
    })
}

/// A whole number of a trace.
fn number(what: &str, text: &str, remedy: &'static str) -> Result<u64, Fault> {
    text.parse().map_err(|_| Fault {
        cause: format!("{what} {:?} is no whole number", shortened(text)),
        remedy,
    })
}

/// The beginning of a field, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
