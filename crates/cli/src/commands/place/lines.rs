//! Lines of a file or of standard input, some at a time.

use super::asked::usage;
use crate::exit::{Exit, Told};
use skyfresh_placement::MAX_LINE_BYTES;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Lines that are answered together: enough for all threads, and little memory.
const BATCH_LINES: usize = 16_384;

/// Where lines come from.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
}

impl Lines {
    /// Of a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Lines, Told> {
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::open(path)
                .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
            Box::new(BufReader::new(file))
        };
        Ok(Lines {
            reader,
            name: path.display().to_string(),
        })
    }

    /// The next lines, without those that are blank; none at the end. A line longer than what is answered is cut, so that it is
    /// still too long.
    pub(super) fn batch(&mut self) -> Result<Vec<String>, Told> {
        let mut lines = Vec::new();
        while lines.len() < BATCH_LINES {
            let mut line = Vec::new();
            let more = read_line(&mut *self.reader, &mut line).map_err(|error| {
                let why = format!("cannot read {}: {error}", self.name);
                Told::new(Exit::Failed, why)
            })?;
            if !more {
                break;
            }
            if !line.trim_ascii().is_empty() {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        Ok(lines)
    }
}

/// Reads to the end of the line and keeps no more than one byte above the limit. False at the end of the file.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut any = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(available.len());
        let room = (MAX_LINE_BYTES + 1).saturating_sub(line.len());
        line.extend_from_slice(&available[..length.min(room)]);
        reader.consume(length + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_blank_ones_left_out() {
        let text = format!("a\n\n{}\r\nlast", "x".repeat(MAX_LINE_BYTES + 5000));
        let mut lines = Lines {
            reader: Box::new(io::Cursor::new(text)),
            name: "text".into(),
        };
        let read = lines.batch().unwrap();
        let lengths: Vec<usize> = read.iter().map(String::len).collect();
        assert_eq!(lengths, [1, MAX_LINE_BYTES + 1, 4]);
        assert!(lines.batch().unwrap().is_empty());
    }
}
