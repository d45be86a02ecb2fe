//! Lines of a file that is not trusted: none is held that is longer than the limit.

use super::{Fault, TraceError};
use std::io::{BufRead, Read};

/// The longest line that is read. Lines of S3's logs carry URLs and user agents, each up to 8 KiB.
const MAX_LINE_BYTES: u64 = 64 << 10;

pub(super) struct Lines<R> {
    reader: R,
    /// Of the line read last, counted from 1.
    number: u64,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Lines {
            reader,
            number: 0,
            buffer: Vec::new(),
            ended: false,
        }
    }

    /// The next line that is not empty, without its end. After a [`TraceError::Read`] there is none.
    pub(super) fn next_line(&mut self) -> Option<Result<&str, TraceError>> {
        loop {
            if self.ended {
                return None;
            }
            self.number += 1;
            match self.read_one() {
                Ok(true) if self.buffer.trim_ascii().is_empty() => {}
                Ok(true) => break,
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let fault = || Fault {
            cause: "not UTF-8".into(),
            remedy: "give a text file; a compressed one has to be unpacked first",
        };
        // Not `self.fault`, which would borrow the buffer as well.
        let number = self.number;
        Some(std::str::from_utf8(self.buffer.trim_ascii()).map_err(|_| with_line(number, fault())))
    }

    /// Reads a line into the buffer; false at the end of the file.
    fn read_one(&mut self) -> Result<bool, TraceError> {
        if self.fill()? == 0 {
            return Ok(false);
        }
        if self.buffer.len() as u64 <= MAX_LINE_BYTES {
            return Ok(true);
        }
        while self.buffer.last() != Some(&b'\n') && self.fill()? > 0 {}
        Err(self.fault(Fault {
            cause: format!("longer than {MAX_LINE_BYTES} bytes"),
            remedy: "check that the file is a trace of this format",
        }))
    }

    /// Reads up to the end of the line, or one byte more than a line may have.
    fn fill(&mut self) -> Result<usize, TraceError> {
        self.buffer.clear();
        let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES + 1);
        limited
            .read_until(b'\n', &mut self.buffer)
            .inspect(|count| self.ended = *count == 0)
            .map_err(|source| {
                self.ended = true;
                TraceError::Read {
                    line: self.number,
                    source,
                }
            })
    }

    /// The error that says what is wrong with the line read last.
    pub(super) fn fault(&self, fault: Fault) -> TraceError {
        with_line(self.number, fault)
    }
}

fn with_line(line: u64, fault: Fault) -> TraceError {
    TraceError::Line {
        line,
        cause: fault.cause,
        remedy: fault.remedy,
    }
}
