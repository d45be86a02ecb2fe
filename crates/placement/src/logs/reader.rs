//! Bytes of a log, some at a time → accesses.

use super::{Access, Format, MAGIC, Record, azure, cloudtrail, csv, gcs, s3};
use memchr::memchr;

/// Longer lines, or events, are bad: S3 and its peers write none.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Bad lines that are kept, to be shown.
const SHOWN: usize = 5;
/// Where no line ends before, a format is told by this much.
const GUESSED_BYTES: usize = 4096;
/// Of a bad line, what is shown.
const SHOWN_CHARS: usize = 120;

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Of which number in its log, from 1: lines, or events.
    pub number: u64,
    /// What is wrong.
    pub why: &'static str,
    /// Its beginning.
    pub text: String,
}

/// What was in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines that are not blank, or events.
    pub records: u64,
    /// Requests for objects that were served.
    pub accesses: u64,
    /// Requests for objects that were refused or failed.
    pub failed: u64,
    /// Listings, requests about buckets, comments, headers.
    pub others: u64,
    /// Records that cannot be read.
    pub bad: u64,
    /// The first of them.
    pub shown: Vec<Bad>,
}

/// What has been read so far of the log at hand.
#[derive(Debug, Default)]
enum State {
    /// Nothing but blanks.
    #[default]
    Start,
    S3,
    Csv(csv::Columns),
    Gcs(gcs::Columns),
    Azure,
    CloudTrail(Events),
    /// Parquet, which cannot be read in order.
    Unordered,
}

/// Where in a text of JSON the reader is: events are objects of their own, or stand in `{"Records":[…]}`.
#[derive(Clone, Copy, Debug, Default)]
struct Events {
    depth: u32,
    /// The depth that events begin at.
    base: u32,
    in_string: bool,
    escaped: bool,
}

/// What files of CloudTrail begin with, without blanks.
const RECORDS: &[u8] = b"{\"Records\":[";

/// Reads logs, one after the other.
#[derive(Debug)]
pub struct LogReader {
    /// As asked; `None`: as each log looks.
    format: Option<Format>,
    state: State,
    /// The beginning of a record whose end has not come.
    carry: Vec<u8>,
    /// Whether the record is too long, and what comes of it dropped.
    too_long: bool,
    /// Records of this log.
    number: u64,
    counts: LogCounts,
}

impl LogReader {
    /// Of logs in `format`; `None`: each by its beginning.
    pub fn new(format: Option<Format>) -> Self {
        LogReader {
            format,
            state: State::Start,
            carry: Vec::new(),
            too_long: false,
            number: 0,
            counts: LogCounts::default(),
        }
    }

    /// What was read so far, of all logs.
    pub fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// The next bytes, of any length; `take` is called with each access that ends in them.
    pub fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        if !matches!(self.state, State::Start) {
            return self.read(bytes, take);
        }
        let bytes = match self.carry.is_empty() {
            true => bytes.trim_ascii_start(),
            false => bytes,
        };
        self.carry.extend_from_slice(bytes);
        if self.carry.len() >= GUESSED_BYTES || self.carry.contains(&b'\n') {
            self.start(take);
        }
    }

    /// Reads the beginning, which is in `carry`, in the format that it is in.
    fn start(&mut self, take: &mut dyn FnMut(Access<'_>)) {
        let beginning = std::mem::take(&mut self.carry);
        let format = self.format.unwrap_or_else(|| Format::guess(&beginning));
        self.state = match format {
            Format::S3 => State::S3,
            Format::Csv => State::Csv(None),
            Format::Gcs => State::Gcs(None),
            Format::Azure => State::Azure,
            Format::CloudTrail => State::CloudTrail(Events::default()),
            Format::Parquet => State::Unordered,
        };
        if matches!(self.state, State::Unordered) {
            let why = "Parquet that comes as a stream, or packed: name the file itself";
            self.counts.records += 1;
            self.number += 1;
            return self.bad(why, MAGIC);
        }
        self.read(&beginning, take);
    }

    fn read(&mut self, bytes: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        match self.state {
            State::CloudTrail(events) => self.events(events, bytes, take),
            State::Unordered => {}
            _ => self.lines(bytes, take),
        }
    }

    /// The log at hand has ended: what is left is its last record, and the next one may be in another format.
    pub fn end(&mut self, take: &mut dyn FnMut(Access<'_>)) {
        if matches!(self.state, State::Start) {
            self.start(take);
        }
        let left = std::mem::take(&mut self.carry);
        if self.too_long {
            self.long(&left);
        } else if !left.trim_ascii().is_empty() {
            match self.state {
                State::CloudTrail(_) => {
                    self.number += 1;
                    self.counts.records += 1;
                    self.bad("the log ends within an event", &left);
                }
                _ => self.record(&left, take),
            }
        }
        self.state = State::Start;
        self.number = 0;
    }

    fn lines(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.carry.is_empty() && !self.too_long {
                self.line(line, take);
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.carry);
                match std::mem::take(&mut self.too_long) {
                    true => self.long(&whole),
                    false => self.line(&whole, take),
                }
                self.carry = whole;
                self.carry.clear();
            }
        }
        self.keep(bytes);
    }

    /// Keeps the beginning of a record, if it is not too long.
    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_RECORD_BYTES - self.carry.len();
        self.too_long |= bytes.len() > room;
        self.carry
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn long(&mut self, beginning: &[u8]) {
        self.number += 1;
        self.counts.records += 1;
        self.too_long = false;
        self.bad("longer than 1 MiB", beginning);
    }

    fn line(&mut self, line: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_RECORD_BYTES {
            self.long(line);
        } else if !line.trim_ascii().is_empty() {
            self.record(line, take);
        }
    }

    /// Goes through a text of JSON, and takes out the events.
    fn events(&mut self, mut at: Events, bytes: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        let mut from = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if at.in_string {
                match byte {
                    _ if at.escaped => at.escaped = false,
                    b'\\' => at.escaped = true,
                    b'"' => at.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => at.in_string = true,
                b'{' | b'[' => {
                    if at.depth == at.base {
                        // What stands between events is no part of one.
                        from = place;
                        self.carry.clear();
                    }
                    at.depth += 1;
                    if at.base == 0 && at.depth == 2 && *byte == b'[' {
                        self.keep(&bytes[from..=place]);
                        from = place + 1;
                        let begun = self.carry.iter().filter(|byte| !byte.is_ascii_whitespace());
                        if self.carry.len() < 100 && begun.copied().eq(RECORDS.iter().copied()) {
                            at.base = 2;
                            self.carry.clear();
                            self.too_long = false;
                        }
                    }
                }
                b'}' | b']' => {
                    at.depth = at.depth.saturating_sub(1);
                    if at.depth < at.base {
                        // The end of the records: what follows their object is a text of its own.
                        at.base = at.depth;
                        self.carry.clear();
                    } else if at.depth == at.base {
                        self.keep(&bytes[from..=place]);
                        from = place + 1;
                        self.event(take);
                    }
                }
                _ => {}
            }
        }
        if at.depth > at.base {
            self.keep(&bytes[from..]);
        }
        self.state = State::CloudTrail(at);
    }

    fn event(&mut self, take: &mut dyn FnMut(Access<'_>)) {
        let whole = std::mem::take(&mut self.carry);
        match std::mem::take(&mut self.too_long) {
            true => self.long(&whole),
            false => self.record(&whole, take),
        }
        self.carry = whole;
        self.carry.clear();
    }

    fn record(&mut self, record: &[u8], take: &mut dyn FnMut(Access<'_>)) {
        self.number += 1;
        self.counts.records += 1;
        let text = || std::str::from_utf8(record).map_err(|_| "not UTF-8");
        let read = match &mut self.state {
            State::Start | State::S3 => s3::parse(record),
            _ if record.starts_with(b"#") => Ok(Record::Other),
            State::Csv(columns) => text().and_then(|line| csv::parse(line, columns)),
            State::Gcs(columns) => text().and_then(|line| gcs::parse(line, columns)),
            State::Azure => text().and_then(azure::parse),
            State::CloudTrail(_) => text().and_then(cloudtrail::parse),
            State::Unordered => Ok(Record::Other),
        };
        self.told(read, record, take);
    }

    /// Counts a row of a table that is read elsewhere.
    #[cfg(feature = "parquet")]
    pub(super) fn row(
        &mut self,
        number: u64,
        read: Result<Record<'_>, &'static str>,
        text: &str,
        take: &mut dyn FnMut(Access<'_>),
    ) {
        self.counts.records += 1;
        self.number = number;
        self.told(read, text.as_bytes(), take);
        self.number = 0;
    }

    fn told(
        &mut self,
        read: Result<Record<'_>, &'static str>,
        record: &[u8],
        take: &mut dyn FnMut(Access<'_>),
    ) {
        match read {
            Ok(Record::Access(access)) => {
                self.counts.accesses += 1;
                take(access);
            }
            Ok(Record::Other) => self.counts.others += 1,
            Ok(Record::Failed) => self.counts.failed += 1,
            Err(why) => self.bad(why, record),
        }
    }

    fn bad(&mut self, why: &'static str, record: &[u8]) {
        self.counts.bad += 1;
        if self.counts.shown.len() < SHOWN {
            let beginning = &record[..record.len().min(4 * SHOWN_CHARS)];
            let text = String::from_utf8_lossy(beginning);
            self.counts.shown.push(Bad {
                number: self.number,
                why,
                text: text.chars().take(SHOWN_CHARS).collect(),
            });
        }
    }
}
