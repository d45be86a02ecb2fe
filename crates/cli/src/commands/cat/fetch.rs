//! One object, read in pieces that are pinned to its version, and what its store states of the whole.

use crate::exit::{Exit, Told};
use crate::listing::Place;
use anyhow::Context as _;
use bytes::Bytes;
use futures::TryStreamExt as _;
use skyfresh_sky::{Clock, Kind, ObjectKey, Scheme};
use skyfresh_store::checksum::{Crc32c, Md5, Sums, Wanted};
use skyfresh_store::{GetOptions, ObjectHead};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes that are asked for at once.
const PIECE_BYTES: u64 = 8 << 20;
/// Tries for each piece; the store's own come on top for what is asked, not for what breaks off.
const TRIES: u32 = 5;
/// Before the second try; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Source {
    place: Arc<Place>,
    key: ObjectKey,
    head: ObjectHead,
    bounds: Range<u64>,
    /// A piece could not be read: none need be begun any more.
    broken: AtomicBool,
}

/// A piece that is to be read.
#[derive(Debug)]
pub(super) enum Piece {
    /// These bytes.
    Bytes(Arc<Source>, Range<u64>),
    /// Nothing more of this object.
    End(Arc<Source>),
    /// An object that cannot be read.
    Failed(anyhow::Error),
}

/// A piece that was read.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Bytes from this offset on.
    Bytes {
        source: Arc<Source>,
        offset: u64,
        chunks: Vec<Bytes>,
    },
    /// As [`Piece::End`].
    End(Arc<Source>),
    /// It could not be read, so what follows of its object, where there is one, is of no use.
    Failed(Option<Arc<Source>>, anyhow::Error),
}

impl Source {
    /// What is to be read of an object.
    ///
    /// # Errors
    /// It has no bytes there.
    pub(super) fn new(
        place: Arc<Place>,
        key: ObjectKey,
        head: ObjectHead,
        bounds: Range<u64>,
    ) -> anyhow::Result<Arc<Self>> {
        if bounds.is_empty() && head.size > 0 {
            let shown = place.shown(key.as_str());
            let why = format!(
                "{shown} has no bytes in that range: its size is {}",
                head.size
            );
            return Err(Told::new(Exit::Failed, why).into());
        }
        Ok(Arc::new(Source {
            place,
            key,
            head,
            bounds,
            broken: AtomicBool::new(false),
        }))
    }

    /// The object as its store has it.
    pub(super) fn head(&self) -> &ObjectHead {
        &self.head
    }

    /// The bytes that are read.
    pub(super) fn bounds(&self) -> &Range<u64> {
        &self.bounds
    }

    /// As a command takes it.
    pub(super) fn uri(&self) -> String {
        self.place.uri(self.key.as_str())
    }

    /// As people write it.
    pub(super) fn shown(&self) -> String {
        self.place.shown(self.key.as_str())
    }

    fn is_whole(&self) -> bool {
        self.bounds == (0..self.head.size)
    }

    /// An entity tag of S3 that may be an MD5.
    fn perhaps_md5(&self) -> Option<&str> {
        let etag = self.head.version.etag.as_str();
        (self.place.location().scheme == Scheme::S3 && etag.len() == 32).then_some(etag)
    }

    /// Which checksums are needed: the strongest that is stated, no other.
    pub(super) fn wanted(&self) -> Wanted {
        let head = &self.head;
        let crc32c = head.crc64.is_none() && head.crc32c.is_some();
        let other = head.crc64.is_some() || crc32c || !self.is_whole();
        Wanted {
            crc32c,
            md5: !other && (head.md5.is_some() || self.perhaps_md5().is_some()),
        }
    }

    /// Compares what was read with what the store states, and names the checksum; `None` where it states none of what was read.
    ///
    /// # Errors
    /// They differ.
    pub(super) fn verify(&self, sums: &Sums) -> Result<Option<&'static str>, Told> {
        if !self.is_whole() {
            return Ok(None);
        }
        let head = &self.head;
        let stated = |name, stated: String, read: String| match stated == read {
            true => Ok(Some(name)),
            false => Err(self.corrupt(name, &stated, &read)),
        };
        let md5 = sums.md5.map(|md5| Md5(md5).to_string());
        match (
            head.crc64,
            head.crc32c.zip(sums.crc32c),
            head.md5.zip(md5.clone()),
        ) {
            (Some(crc64), _, _) => stated("CRC64NVME", crc64.to_string(), sums.crc64.to_string()),
            (None, Some((crc32c, read)), _) => {
                stated("CRC32C", crc32c.to_string(), Crc32c(read).to_string())
            }
            (None, None, Some((md5, read))) => stated("MD5", md5.to_string(), read),
            // The entity tag of an encrypted object is none: only that they are equal proves something.
            (None, None, None) => {
                let proved = md5
                    .as_deref()
                    .is_some_and(|md5| self.perhaps_md5() == Some(md5));
                Ok(proved.then_some("MD5"))
            }
        }
    }

    fn corrupt(&self, name: &str, stated: &str, read: &str) -> Told {
        let what = format!(
            "{} IS NOT WHAT WAS WRITTEN: the bytes have the {name} {read}, the store states {stated}",
            self.shown()
        );
        Told::new(Exit::Failed, what).hint(
            "throw away what came out and read it again; where that does not help the object is damaged: restore it from a copy",
        )
    }

    async fn read(&self, range: &Range<u64>, clock: &dyn Clock) -> anyhow::Result<Vec<Bytes>> {
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            let options = GetOptions {
                range: (*range != (0..self.head.size)).then(|| range.clone()),
                version: Some(self.head.version.clone()),
            };
            let read = match self.place.store().get(&self.key, options).await {
                Ok(read) => read.body.try_collect::<Vec<Bytes>>().await,
                Err(error) => Err(error),
            };
            match read {
                Ok(chunks) => return Ok(chunks),
                Err(error) if error.kind == Kind::RetryAfter && tries < TRIES => {
                    tracing::info!(%error, "{}: trying again", self.shown());
                    clock.sleep(error.retry_after.unwrap_or(wait)).await;
                    wait *= 2;
                    tries += 1;
                }
                Err(error) => {
                    let (shown, from) = (self.shown(), range.start);
                    let what = match error.kind {
                        Kind::Precondition | Kind::Missing => {
                            "it changed, or went away, while it was read:"
                        }
                        _ => "it cannot be read:",
                    };
                    return Err(error).with_context(|| {
                        format!("{shown}: {what} nothing was written from byte {from} on")
                    });
                }
            }
        }
    }
}

impl Piece {
    /// An object in pieces, in order.
    pub(super) fn all_of(source: anyhow::Result<Arc<Source>>) -> impl Iterator<Item = Piece> {
        let (source, failed) = match source {
            Ok(source) => (Some(source), None),
            Err(error) => (None, Some(Piece::Failed(error))),
        };
        let pieces = source.into_iter().flat_map(|source| {
            let Range { start, end } = source.bounds;
            let starts = (start..end).step_by(PIECE_BYTES as usize);
            let whole = Arc::clone(&source);
            starts
                .map(move |from| {
                    let range = from..end.min(from.saturating_add(PIECE_BYTES));
                    Piece::Bytes(Arc::clone(&whole), range)
                })
                .chain(std::iter::once(Piece::End(source)))
        });
        pieces.chain(failed)
    }

    /// Reads it; again where it breaks off.
    pub(super) async fn fetch(self, clock: &dyn Clock) -> Fetched {
        let (source, range) = match self {
            Piece::Bytes(source, range) => (source, range),
            Piece::End(source) => return Fetched::End(source),
            Piece::Failed(error) => return Fetched::Failed(None, error),
        };
        if source.broken.load(Ordering::Relaxed) {
            return Fetched::End(source);
        }
        match source.read(&range, clock).await {
            Ok(chunks) => Fetched::Bytes {
                offset: range.start,
                source,
                chunks,
            },
            Err(error) => {
                source.broken.store(true, Ordering::Relaxed);
                Fetched::Failed(Some(source), error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
