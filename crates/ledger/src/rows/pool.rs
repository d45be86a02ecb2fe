//! Rows of counters, pools, holds and parts.

use super::values::*;
use super::{Parsed, Row};
use crate::model::PartDone;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;

/// What `counters` holds for one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) failing: BTreeMap<Kind, u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CountersFormat {
    objects: u64,
    bytes: u64,
    failing: Vec<(u8, u64)>,
}

impl Row for Counters {
    type Key = ();
    type Format<'a> = CountersFormat;

    fn to_format(&self) -> CountersFormat {
        CountersFormat {
            objects: self.objects,
            bytes: self.bytes,
            failing: self
                .failing
                .iter()
                .map(|(kind, count)| (kind_byte(*kind), *count))
                .collect(),
        }
    }

    fn from_format((): (), format: CountersFormat) -> Parsed<Self> {
        let failing = format
            .failing
            .into_iter()
            .map(|(byte, count)| Ok((kind(byte)?, count)));
        Ok(Counters {
            objects: format.objects,
            bytes: format.bytes,
            failing: failing.collect::<Parsed<_>>()?,
        })
    }
}

/// A part pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pool {
    /// Parts in all.
    pub(crate) total: u32,
    /// Parts done.
    pub(crate) done: u32,
    /// Parts from here on were never held.
    pub(crate) next: u32,
}

impl Row for Pool {
    type Key = ();
    type Format<'a> = Pool;

    fn to_format(&self) -> Pool {
        self.clone()
    }

    fn from_format((): (), format: Pool) -> Parsed<Self> {
        Ok(format)
    }
}

/// A worker's hold on a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) worker: String,
    pub(crate) claimed_ms: u64,
    pub(crate) expires_ms: u64,
}

/// Everybody who holds a part: two at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holders(pub(crate) Vec<Hold>);

impl Row for Holders {
    type Key = ();
    type Format<'a> = Holders;

    fn to_format(&self) -> Holders {
        self.clone()
    }

    fn from_format((): (), format: Holders) -> Parsed<Self> {
        Ok(format)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PartFormat<'a> {
    etag: &'a str,
    size: u64,
    crc64: Option<u64>,
    crc32c: Option<u32>,
}

impl Row for PartDone {
    /// The number.
    type Key = u32;
    type Format<'a> = PartFormat<'a>;

    fn to_format(&self) -> PartFormat<'_> {
        PartFormat {
            etag: &self.etag,
            size: self.size,
            crc64: self.crc64,
            crc32c: self.crc32c,
        }
    }

    fn from_format(number: u32, format: PartFormat<'_>) -> Parsed<Self> {
        Ok(PartDone {
            number,
            etag: format.etag.to_owned(),
            size: format.size,
            crc64: format.crc64,
            crc32c: format.crc32c,
        })
    }
}
