//! Bytes as a bucket holds them.

use super::BucketStyle;
use super::bucket::Moment;
use crate::checksum::{Crc64, Running, Wanted};
use bytes::Bytes;
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
        let wanted = Wanted {
            md5: style.content_etags,
            ..Wanted::default()
        };
        // Summed as one stream: to combine the sums of chunks takes longer than to sum them.
        let mut running = Running::new(wanted);
        let mut size = 0;
        for chunk in &chunks {
            running.update(chunk);
            size += chunk.len() as u64;
        }
        let sums = running.finish();
        Payload {
            chunks: chunks.into(),
            size,
            crc64: sums.crc64,
            md5: sums.md5,
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
