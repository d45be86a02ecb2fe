//! An object's bytes: chunks in memory, or files on disk that live until their last reader is done.

use bytes::{Bytes, BytesMut};
use futures::Stream;
use s3s::stream::{ByteStream, RemainingLength};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// How much is read from a file at once.
const FILE_BLOCK_BYTES: u64 = 256 * 1024;

/// A data file. It is unlinked when its last user is gone, if it was never kept or has been released since: so a torn
/// upload leaves nothing, and an overwritten object stays readable to whoever has begun to read it.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    kept: AtomicBool,
}

impl DataFile {
    /// A file just being written: unlinked unless [`DataFile::keep`] follows.
    pub(crate) fn temporary(path: PathBuf) -> Self {
        DataFile {
            path,
            kept: AtomicBool::new(false),
        }
    }

    /// A file that a record on disk refers to.
    pub(crate) fn kept(path: PathBuf) -> Self {
        DataFile {
            path,
            kept: AtomicBool::new(true),
        }
    }

    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    pub(crate) fn release(&self) {
        self.kept.store(false, Ordering::Release);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Acquire)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a data file could not be removed");
        }
    }
}

/// A run of an object's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Memory(Bytes),
    File { file: Arc<DataFile>, len: u64 },
}

impl Segment {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Segment::Memory(bytes) => bytes.len() as u64,
            Segment::File { len, .. } => *len,
        }
    }
}

/// An object's bytes, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    segments: Vec<Segment>,
    len: u64,
}

impl Content {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let len = segments.iter().map(Segment::len).sum();
        Content { segments, len }
    }

    /// The parts' bytes one after another; nothing is copied.
    pub(crate) fn concat<'a>(parts: impl Iterator<Item = &'a Content>) -> Self {
        Content::new(
            parts
                .flat_map(|part| part.segments.iter().cloned())
                .collect(),
        )
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The files it consists of, with their lengths; empty for memory.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<DataFile>, u64)> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::File { file, len } => Some((file, *len)),
            Segment::Memory(_) => None,
        })
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes of `range`, which the caller has checked against [`Content::len`].
    pub(crate) fn stream(self: &Arc<Self>, range: Range<u64>) -> ContentStream {
        let mut skip = range.start;
        let mut segment = 0;
        while let Some(found) = self.segments.get(segment)
            && skip >= found.len()
        {
            skip -= found.len();
            segment += 1;
        }
        ContentStream {
            content: self.clone(),
            segment,
            offset: skip,
            remaining: range.end.saturating_sub(range.start),
            pending: None,
        }
    }
}

type BlockRead = tokio::task::JoinHandle<std::io::Result<Bytes>>;

/// Yields memory chunks as they lie, and files in blocks read on the blocking pool.
pub(crate) struct ContentStream {
    content: Arc<Content>,
    segment: usize,
    /// Within the current segment.
    offset: u64,
    remaining: u64,
    pending: Option<(BlockRead, u64)>,
}

impl ContentStream {
    fn advance(&mut self, by: u64, segment_len: u64) {
        self.remaining -= by;
        self.offset += by;
        if self.offset >= segment_len {
            self.segment += 1;
            self.offset = 0;
        }
    }
}

impl Stream for ContentStream {
    type Item = Result<Bytes, s3s::StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((read, _)) = &mut self.pending {
            let done = std::task::ready!(Pin::new(read).poll(context));
            self.pending = None;
            return Poll::Ready(Some(match done {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(error)) => Err(Box::new(error)),
                Err(error) => Err(Box::new(error)),
            }));
        }
        loop {
            if self.remaining == 0 {
                return Poll::Ready(None);
            }
            let Some(segment) = self.content.segments.get(self.segment).cloned() else {
                return Poll::Ready(None);
            };
            let segment_len = segment.len();
            let take = (segment_len - self.offset).min(self.remaining);
            let offset = self.offset;
            match segment {
                _ if take == 0 => self.advance(0, segment_len),
                Segment::Memory(bytes) => {
                    self.advance(take, segment_len);
                    return Poll::Ready(Some(Ok(
                        bytes.slice(offset as usize..(offset + take) as usize)
                    )));
                }
                Segment::File { file, .. } => {
                    let take = take.min(FILE_BLOCK_BYTES);
                    self.advance(take, segment_len);
                    let read =
                        tokio::task::spawn_blocking(move || read_block(file.path(), offset, take));
                    self.pending = Some((read, take));
                    return self.poll_next(context);
                }
            }
        }
    }
}

impl ByteStream for ContentStream {
    fn remaining_length(&self) -> RemainingLength {
        let pending = self.pending.as_ref().map_or(0, |(_, len)| *len);
        RemainingLength::new_exact((self.remaining + pending) as usize)
    }
}

fn read_block(path: &Path, offset: u64, len: u64) -> std::io::Result<Bytes> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut block = BytesMut::zeroed(len as usize);
    file.read_exact(&mut block)?;
    Ok(block.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn read(content: &Arc<Content>, range: Range<u64>) -> Vec<u8> {
        let mut stream = content.stream(range);
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        bytes
    }

    #[tokio::test]
    async fn ranges_cross_segments_of_both_kinds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        std::fs::write(&path, b"defg").unwrap();
        let file = Segment::File {
            file: Arc::new(DataFile::temporary(path.clone())),
            len: 4,
        };
        let memory = |text: &'static [u8]| Segment::Memory(Bytes::from_static(text));
        let content = Arc::new(Content::new(vec![
            memory(b"abc"),
            memory(b""),
            file,
            memory(b"h"),
        ]));
        let whole = b"abcdefgh";
        for start in 0..=8u64 {
            for end in start..=8 {
                assert_eq!(
                    read(&content, start..end).await,
                    whole[start as usize..end as usize]
                );
            }
        }
        drop(content);
        assert!(
            !path.exists(),
            "a file that was never kept is removed with its last user"
        );
    }
}
