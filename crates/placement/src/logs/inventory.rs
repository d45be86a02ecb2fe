//! What is stored, as a table: CSV with a header of `bucket`, `key` and `size`, in any order, with others between them.

use super::Tally;
use super::fields::{Header, number, percent_decoded, separated};
use memchr::memchr;
use skyfresh_sky::Invalid;

const NAMES: [&str; 3] = ["bucket", "key", "size"];
const BUCKET: usize = 0;
const KEY: usize = 1;
const SIZE: usize = 2;
const MAX_FIELDS: usize = 64;
/// A key has 1,024 bytes at most, its encoded form three times as many.
const MAX_LINE_BYTES: usize = 1 << 16;

/// Reads an inventory, some bytes at a time. Unlike a log it must be right: a size that is not read would be advice for something else.
#[derive(Debug, Default)]
pub struct InventoryReader {
    header: Option<Header<3>>,
    carry: Vec<u8>,
    number: u64,
}

impl InventoryReader {
    /// The next bytes, of any length, into `tally`. An error names the line.
    pub fn feed(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<(), Invalid> {
        while let Some(end) = memchr(b'\n', bytes) {
            self.keep(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            self.line(tally)?;
        }
        self.keep(bytes)
    }

    /// It has ended: what is left is its last line.
    pub fn end(&mut self, tally: &mut Tally) -> Result<(), Invalid> {
        self.line(tally)?;
        match self.header {
            Some(_) => Ok(()),
            None => Err(Invalid::new("inventory", "", "it is empty")),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if self.carry.len() + bytes.len() > MAX_LINE_BYTES {
            let why = format!("line {}: longer than 64 KiB", self.number + 1);
            return Err(Invalid::new("inventory", "", why));
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, tally: &mut Tally) -> Result<(), Invalid> {
        self.number += 1;
        let bytes = std::mem::take(&mut self.carry);
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim();
        let invalid = |why: &str| {
            let given: String = line.chars().take(100).collect();
            Invalid::new("inventory", given, format!("line {}: {why}", self.number))
        };
        if !line.is_empty() {
            let fields = separated(line, b',', MAX_FIELDS);
            let fields = fields.ok_or_else(|| invalid("a quote without its other"))?;
            match &self.header {
                None => {
                    let header = Header::new(&fields, NAMES);
                    if !header.has(KEY) || !header.has(SIZE) {
                        return Err(invalid(
                            "the first line must name the columns, among them key and size; S3's inventories have none: put one before them, e.g. bucket,key,size",
                        ));
                    }
                    self.header = Some(header);
                }
                Some(header) => {
                    let key = percent_decoded(header.get(&fields, KEY));
                    let size = number(header.get(&fields, SIZE).as_bytes())
                        .ok_or_else(|| invalid("the size is no number of bytes"))?;
                    if key.is_empty() {
                        return Err(invalid("no key"));
                    }
                    tally.store(header.get(&fields, BUCKET), &key, size);
                }
            }
        }
        drop(text);
        self.carry = bytes;
        self.carry.clear();
        Ok(())
    }
}
