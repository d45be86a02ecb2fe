//! Contents of a pool's documents. Parts done are kept sixteen to a document, the first sixteen in the pool's own: a document
//! for each would cost a removal for each.

use crate::model::PartDone;
use crate::shared::DocumentId;
use crate::shared::bodies::{checked, pack, unpack};
use crate::shared::names;
use crate::tables::{Table, corrupt};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;

/// Parts in one document: with etags of 32 hexadecimal digits they stay below 1 KiB, a unit of writing.
pub(crate) const GROUP_PARTS: u32 = 16;

/// Which document tells of a part that it is done: 0 is the pool's own.
pub(crate) fn group_of(number: u32) -> u32 {
    number.saturating_sub(1) / GROUP_PARTS
}

/// Parts that one process hands out to its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// The process, by a number it drew at its start.
    pub(crate) holder: u64,
    /// The first part.
    pub(crate) from: u32,
    /// The last part.
    pub(crate) to: u32,
    /// After this anyone may take it.
    pub(crate) expires_ms: u64,
}

/// The head of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) total: u32,
    /// By part; they do not overlap. What is in none is free.
    pub(crate) blocks: Vec<Block>,
}

/// Parts done, and who saw that they were the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) parts: BTreeMap<u32, PartDone>,
    /// The number of the call that completed the pool with this document's write.
    pub(crate) completed_by: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct GroupFormat {
    completed_by: Option<u64>,
    parts: Vec<PartFormat>,
}

#[derive(Serialize, Deserialize)]
struct PartFormat {
    number: u32,
    etag: EtagFormat,
    size: u64,
    crc64: Option<u64>,
    crc32c: Option<u32>,
}

/// Most stores' entity tags of parts are MD5 sums, in quotes or not, which halve.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum EtagFormat {
    Text(String),
    Sum([u8; 16]),
    QuotedSum([u8; 16]),
}

impl EtagFormat {
    fn of(etag: &str) -> Self {
        let quoted = etag
            .strip_prefix('"')
            .and_then(|etag| etag.strip_suffix('"'));
        match (sum(etag), quoted.and_then(sum)) {
            (Some(sum), _) => EtagFormat::Sum(sum),
            (_, Some(sum)) => EtagFormat::QuotedSum(sum),
            _ => EtagFormat::Text(etag.to_owned()),
        }
    }

    fn into_text(self) -> String {
        match self {
            EtagFormat::Text(text) => text,
            EtagFormat::Sum(sum) => format!("{:032x}", u128::from_be_bytes(sum)),
            EtagFormat::QuotedSum(sum) => format!("\"{:032x}\"", u128::from_be_bytes(sum)),
        }
    }
}

/// The bytes of 32 lower-case hexadecimal digits.
fn sum(text: &str) -> Option<[u8; 16]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.len() == 32 && text.bytes().all(is_digit);
    let packed = digits
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten();
    packed.map(u128::to_be_bytes)
}

impl Group {
    fn to_format(&self) -> GroupFormat {
        let parts = self.parts.values().map(|part| PartFormat {
            number: part.number,
            etag: EtagFormat::of(&part.etag),
            size: part.size,
            crc64: part.crc64,
            crc32c: part.crc32c,
        });
        GroupFormat {
            completed_by: self.completed_by,
            parts: parts.collect(),
        }
    }

    fn from_format(format: GroupFormat) -> Self {
        let parts = format.parts.into_iter().map(|part| {
            let done = PartDone {
                number: part.number,
                etag: part.etag.into_text(),
                size: part.size,
                crc64: part.crc64,
                crc32c: part.crc32c,
            };
            (part.number, done)
        });
        Group {
            parts: parts.collect(),
            completed_by: format.completed_by,
        }
    }
}

/// The pool's own document.
pub(crate) fn head_id(attempt: &str) -> DocumentId {
    DocumentId {
        partition: names::pool(attempt),
        sort: b"p".to_vec(),
    }
}

/// The document of a later group.
pub(crate) fn group_id(attempt: &str, group: u32) -> DocumentId {
    let mut sort = b"g".to_vec();
    sort.extend_from_slice(&group.to_be_bytes());
    DocumentId {
        partition: names::pool(attempt),
        sort,
    }
}

/// Which group a document of the pool's partition is of.
pub(crate) fn parse_group(operation: &'static str, sort: &[u8]) -> Result<u32> {
    let number = sort
        .strip_prefix(b"g")
        .and_then(|number| number.try_into().ok());
    number
        .map(u32::from_be_bytes)
        .ok_or_else(|| corrupt(operation, Table::Parts, sort, "bad key"))
}

pub(crate) fn encode_head(
    operation: &'static str,
    attempt: &str,
    head: &Head,
    group: &Group,
) -> Result<Vec<u8>> {
    checked(
        operation,
        attempt,
        pack(operation, &(head, group.to_format()))?,
    )
}

pub(crate) fn decode_head(
    operation: &'static str,
    attempt: &str,
    body: &[u8],
) -> Result<(Head, Group)> {
    let row = attempt.as_bytes();
    let (head, group): (Head, GroupFormat) = unpack(operation, Table::Pools, row, body)?;
    let ordered = head.blocks.is_sorted_by(|a, b| a.to < b.from);
    let inside =
        |block: &Block| 1 <= block.from && block.from <= block.to && block.to <= head.total;
    if !ordered || !head.blocks.iter().all(inside) {
        return Err(Error::new(
            Kind::Corrupt,
            operation,
            attempt,
            "the pool's blocks overlap or lie outside of it",
        ));
    }
    Ok((head, Group::from_format(group)))
}

pub(crate) fn encode_group(
    operation: &'static str,
    attempt: &str,
    group: &Group,
) -> Result<Vec<u8>> {
    checked(operation, attempt, pack(operation, &group.to_format())?)
}

pub(crate) fn decode_group(operation: &'static str, sort: &[u8], body: &[u8]) -> Result<Group> {
    unpack(operation, Table::Parts, sort, body).map(Group::from_format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_come_back_as_they_were() {
        let sum = "0123456789abcdef0123456789abcdef";
        for etag in [
            sum,
            &format!("\"{sum}\""),
            &sum.to_uppercase(),
            &format!("\"{sum}"),
            "",
            "\"",
            "\"\"",
            "+123456789abcdef0123456789abcdef",
            "0x8DC",
        ] {
            let format = EtagFormat::of(etag);
            let is_text = format == EtagFormat::Text(etag.to_owned());
            assert_eq!(
                is_text,
                !etag.trim_matches('"').eq(sum) || etag.len() == 33,
                "{etag}"
            );
            assert_eq!(format.into_text(), etag);
        }
    }

    #[test]
    fn a_full_group_is_a_unit_of_writing() {
        let part = |number: u32| PartDone {
            number,
            etag: format!("\"{:032x}\"", u128::MAX - u128::from(number)),
            size: u64::MAX >> 16,
            crc64: Some(u64::MAX),
            crc32c: None,
        };
        let mut group = Group::default();
        for number in 9_985..=10_000 {
            group.parts.insert(number, part(number));
        }
        assert_eq!(group_of(9_985), group_of(10_000));
        let body = encode_group("test", "attempt", &group).unwrap();
        assert!(body.len() < 800, "{} bytes", body.len());
        assert_eq!(decode_group("test", b"g", &body).unwrap(), group);
    }

    #[test]
    fn blocks_that_overlap_are_refused() {
        let block = |from, to| Block {
            holder: 1,
            from,
            to,
            expires_ms: 0,
        };
        for (blocks, good) in [
            (vec![block(1, 3), block(4, 9)], true),
            (vec![block(1, 4), block(4, 9)], false),
            (vec![block(0, 4)], false),
            (vec![block(5, 4)], false),
            (vec![block(5, 10)], false),
        ] {
            let head = Head { total: 9, blocks };
            let body = encode_head("test", "x", &head, &Group::default()).unwrap();
            assert_eq!(decode_head("test", "x", &body).is_ok(), good, "{head:?}");
        }
    }
}
