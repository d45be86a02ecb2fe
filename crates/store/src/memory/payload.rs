//! Bytes as a bucket holds them.

use super::BucketStyle;
use super::bucket::Moment;
use crate::checksum::Crc64;
use bytes::Bytes;
use md5::{Digest, Md5};
use std::ops::Range;
use std::sync::Arc;

/// Bytes received, as the chunks they came in.
#[derive(Clone)]
pub(super) struct Payload {
    pub(super) chunks: Arc<[Bytes]>,
    pub(super) size: u64,
    pub(super) crc64: Crc64,
    /// `None` where the bucket's entity tags say nothing about content: summing it takes most of a put's time.
    pub(super) md5: Option<[u8; 16]>,
}

impl Payload {
    pub(super) fn of(chunks: Vec<Bytes>, style: BucketStyle) -> Self {
        let mut md5 = style.content_etags.then(Md5::new);
        let mut crc64 = Crc64::EMPTY;
        let mut size = 0;
        for chunk in &chunks {
            if let Some(md5) = &mut md5 {
                md5.update(chunk);
            }
            crc64 = crc64.then(Crc64::of(chunk), chunk.len() as u64);
            size += chunk.len() as u64;
        }
        Payload {
            chunks: chunks.into(),
            size,
            crc64,
            md5: md5.map(|md5| md5.finalize().into()),
        }
    }

    /// The entity tag of what one request wrote.
    pub(super) fn etag(&self, moment: Moment) -> String {
        match self.md5 {
            Some(md5) => hex::encode(md5),
            None => opaque_etag(moment),
        }
    }

    /// Slices of the chunks that make up a range, none larger than `most` bytes.
    pub(super) fn slices(chunks: &[Bytes], range: &Range<u64>, most: usize) -> Vec<Bytes> {
        let mut slices = Vec::new();
        let mut offset = 0u64;
        for chunk in chunks {
            let end = offset + chunk.len() as u64;
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from < to {
                let mut rest = chunk.slice((from - offset) as usize..(to - offset) as usize);
                while rest.len() > most {
                    slices.push(rest.split_to(most));
                }
                slices.push(rest);
            }
            offset = end;
        }
        slices
    }
}

/// An entity tag that says nothing about content and never recurs.
pub(super) fn opaque_etag(moment: Moment) -> String {
    format!("0x{:014X}", moment.identity)
}
