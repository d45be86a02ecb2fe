//! Which parts of an object's new version the destination has already, as parts of the old one. Pure.
//!
//! In: the parts that the source states of both versions, and what was remembered when the old one was copied. Out: parts of the
//! new upload, with the range of the old object that holds their bytes, and the checksum of those. Never: IO; a part whose
//! checksum is not known.

use crate::decide::Plan;
use serde::{Deserialize, Serialize};
use skyfresh_sky::ObjectVersion;
use skyfresh_store::PartSum;
use skyfresh_store::checksum::Crc64;
use std::ops::Range;

/// Longest memory of one object: shared ledgers hold 300 KiB.
const MEMORY_LIMIT_BYTES: usize = 256 << 10;

/// What is remembered of a copy that was made in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// What was copied.
    pub(super) source: ObjectVersion,
    /// What it became.
    pub(super) destination: ObjectVersion,
    /// Bytes of every part of the copy but the last.
    pub(super) part_bytes: u64,
    /// CRC64NVME of the copy's parts, in order.
    pub(super) crc64s: Vec<Crc64>,
    /// The parts that the source states.
    pub(super) stated: Vec<PartSum>,
}

/// A memory in the ledger: ten thousand parts must fit.
#[derive(Serialize, Deserialize)]
struct Row {
    source: ObjectVersion,
    destination: ObjectVersion,
    part_bytes: u64,
    /// Sixteen hexadecimal digits each.
    crc64s: String,
    /// Sizes, each with the number of parts in a row that have it.
    sizes: Vec<(u64, u32)>,
    /// Separated by spaces.
    checksums: String,
}

impl Memory {
    /// The row's JSON; `None` where it is too long to be kept.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        let mut sizes: Vec<(u64, u32)> = Vec::new();
        for part in &self.stated {
            match sizes.last_mut() {
                Some((size, count)) if *size == part.size => *count += 1,
                _ => sizes.push((part.size, 1)),
            }
        }
        let checksums: Vec<&str> = self
            .stated
            .iter()
            .map(|part| part.checksum.as_str())
            .collect();
        let row = Row {
            source: self.source.clone(),
            destination: self.destination.clone(),
            part_bytes: self.part_bytes,
            crc64s: self.crc64s.iter().map(ToString::to_string).collect(),
            sizes,
            checksums: checksums.join(" "),
        };
        let value = serde_json::to_value(row).ok()?;
        (value.to_string().len() <= MEMORY_LIMIT_BYTES).then_some(value)
    }

    /// Reads [`Memory::to_json`]; `None` where it is something else.
    pub(super) fn from_json(value: serde_json::Value) -> Option<Self> {
        let row: Row = serde_json::from_value(value).ok()?;
        let digits = row.crc64s.as_bytes().chunks(16);
        let crc64s = digits.map(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            Some(Crc64(u64::from_str_radix(text, 16).ok()?))
        });
        let sizes = row
            .sizes
            .iter()
            .flat_map(|(size, count)| std::iter::repeat_n(*size, *count as usize));
        let checksums: Vec<&str> = row.checksums.split_ascii_whitespace().collect();
        let told: u64 = row.sizes.iter().map(|(_, count)| u64::from(*count)).sum();
        if told != checksums.len() as u64 {
            return None;
        }
        Some(Memory {
            crc64s: crc64s.collect::<Option<_>>()?,
            stated: sizes
                .zip(checksums)
                .map(|(size, checksum)| PartSum {
                    size,
                    checksum: checksum.to_owned(),
                })
                .collect(),
            source: row.source,
            destination: row.destination,
            part_bytes: row.part_bytes,
        })
    }

    /// CRC64NVME of a range of the copy, where it is made of whole parts of the copy, or of what the source states.
    fn crc64_of(&self, range: &Range<u64>, size: u64) -> Option<Crc64> {
        let stated = || self.stated_crc64_of(range);
        self.copied_crc64_of(range, size).or_else(stated)
    }

    fn stated_crc64_of(&self, range: &Range<u64>) -> Option<Crc64> {
        let (mut at, mut crc64) = (0, Crc64::EMPTY);
        for part in &self.stated {
            if at >= range.end {
                break;
            }
            if at >= range.start {
                crc64 = crc64.then(part.known_crc64()?, part.size);
            } else if at + part.size > range.start {
                return None;
            }
            at += part.size;
        }
        (at == range.end && range.start < range.end).then_some(crc64)
    }

    fn copied_crc64_of(&self, range: &Range<u64>, size: u64) -> Option<Crc64> {
        let whole_parts = self.part_bytes > 0 && range.start.is_multiple_of(self.part_bytes);
        let (mut at, mut crc64) = (range.start, Crc64::EMPTY);
        let first = whole_parts.then(|| range.start / self.part_bytes)?;
        for part in self.crc64s.get(usize::try_from(first).ok()?..)? {
            if at >= range.end {
                break;
            }
            let bytes = self.part_bytes.min(size.saturating_sub(at));
            (at, crc64) = (at + bytes, crc64.then(*part, bytes));
        }
        (at == range.end).then_some(crc64)
    }
}

/// A part of the new upload that the old object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnchangedPart {
    pub(super) number: u32,
    /// Where: the same range in the old object as in the new one.
    pub(super) range: Range<u64>,
    pub(super) crc64: Crc64,
}

/// The parts of a plan (of `part_bytes` each) that need not leave the source, which states `stated` of the version it plans for.
pub(super) fn unchanged_parts(
    memory: &Memory,
    stated: &[PartSum],
    plan: &Plan,
    part_bytes: u64,
) -> Vec<UnchangedPart> {
    let bytes = |parts: &[PartSum]| -> Option<u64> {
        parts
            .iter()
            .try_fold(0u64, |sum, part| sum.checked_add(part.size))
    };
    // Weak checksums are enough only where the whole is compared by a strong one before it is published.
    let proves =
        plan.crc64.is_some() || (plan.crc32c.is_none() && stated.iter().all(PartSum::is_strong));
    let (Some(old_size), true) = (
        bytes(&memory.stated),
        proves && bytes(stated) == Some(plan.size) && part_bytes > 0,
    ) else {
        return Vec::new();
    };
    let equal = equal_ranges(&memory.stated, stated);
    let mut equal = equal.iter().peekable();
    let mut unchanged = Vec::new();
    for (start, number) in (0..plan.size).step_by(part_bytes as usize).zip(1u32..) {
        let range = start..plan.size.min(start.saturating_add(part_bytes));
        while equal.next_if(|equal| equal.end <= range.start).is_some() {}
        let covered = equal
            .peek()
            .is_some_and(|equal| equal.start <= range.start && range.end <= equal.end);
        if covered && let Some(crc64) = memory.crc64_of(&range, old_size) {
            unchanged.push(UnchangedPart {
                number,
                range,
                crc64,
            });
        }
    }
    unchanged
}

/// Ranges in which both versions have the same parts at the same places, as long as can be, in order.
fn equal_ranges(old: &[PartSum], new: &[PartSum]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let (mut old, mut old_at) = (old.iter().peekable(), 0u64);
    let mut at = 0u64;
    for part in new {
        while let Some(passed) = old.next_if(|passed| old_at + passed.size.max(1) <= at) {
            old_at += passed.size;
        }
        let end = at + part.size;
        if old_at == at && old.peek() == Some(&part) {
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => ranges.push(at..end),
            }
        }
        at = end;
    }
    ranges
}

#[cfg(test)]
#[path = "unchanged_tests.rs"]
mod tests;
