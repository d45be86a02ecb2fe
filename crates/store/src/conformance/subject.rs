//! The store under test, and what every case needs to do with it.

use super::{Backend, CaseResult, Failure, Verdict, ensure};
use crate::{
    ByteStream, Capabilities, CompletedPart, ConditionSupport, Error, GetOptions, ListedObject,
    ObjectHead, ObjectStore, Precondition, PutOptions, PutReceipt, Result,
};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion};
use std::ops::Range;
use std::sync::Arc;

/// A store at an empty place of its own.
pub(crate) struct Subject<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) place: Location,
    pub(crate) capabilities: Capabilities,
}

/// A key that is known to be one.
pub(crate) fn key(text: &str) -> std::result::Result<ObjectKey, Failure> {
    ObjectKey::new(text).map_err(|invalid| Failure(invalid.to_string()))
}

/// `size` bytes that follow from `seed`, without a period that a part size could hide.
pub(crate) fn content(size: u64, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size as usize + 8);
    while (bytes.len() as u64) < size {
        // Xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size as usize);
    Bytes::from(bytes)
}

/// A body in several chunks.
pub(crate) fn chunked(bytes: &Bytes) -> ByteStream {
    const CHUNK_BYTES: usize = 100_003;
    let mut rest = bytes.clone();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(Ok(rest.split_to(rest.len().min(CHUNK_BYTES))));
    }
    stream::iter(chunks).boxed()
}

/// A body that fails after `bytes`.
pub(crate) fn failing(bytes: &Bytes) -> ByteStream {
    let error = Error::new(
        Kind::RetryAfter,
        "get",
        "the source of this body",
        "connection reset",
    );
    chunked(bytes)
        .chain(stream::once(async { Err(error) }))
        .boxed()
}

/// The error of an operation that must fail in one of these ways.
pub(crate) fn refused<T>(
    what: &str,
    result: Result<T>,
    kinds: &[Kind],
) -> std::result::Result<Error, Failure> {
    match result {
        Ok(_) => Err(Failure(format!("{what} succeeded, expected {kinds:?}"))),
        Err(error) if kinds.contains(&error.kind) => Ok(error),
        Err(error) => Err(Failure(format!(
            "{what} failed as {:?}, expected {kinds:?}: {error}",
            error.kind
        ))),
    }
}

/// Puts an object through this handle.
pub(crate) async fn put_through(
    store: &dyn ObjectStore,
    name: &str,
    bytes: &Bytes,
    precondition: Precondition,
) -> Result<PutReceipt> {
    let options = PutOptions {
        size: bytes.len() as u64,
        attributes: Attributes::default(),
        precondition,
    };
    let key = ObjectKey::new(name)
        .map_err(|invalid| Error::new(Kind::Internal, "put", name, invalid.to_string()))?;
    store.put(&key, options, chunked(bytes)).await
}

impl Subject<'_> {
    /// Another handle at the same place, as another process would have.
    pub(crate) async fn another(&self) -> Result<Arc<dyn ObjectStore>> {
        self.backend.open(&self.place).await
    }

    pub(crate) async fn put(
        &self,
        name: &str,
        bytes: &Bytes,
    ) -> std::result::Result<PutReceipt, Failure> {
        Ok(self.put_if(name, bytes, Precondition::None).await?)
    }

    pub(crate) async fn put_if(
        &self,
        name: &str,
        bytes: &Bytes,
        precondition: Precondition,
    ) -> Result<PutReceipt> {
        put_through(&*self.store, name, bytes, precondition).await
    }

    pub(crate) async fn head(&self, name: &str) -> std::result::Result<ObjectHead, Failure> {
        Ok(self.store.head(&key(name)?).await?)
    }

    /// Reads an object, or a part of it.
    pub(crate) async fn read(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&ObjectVersion>,
    ) -> Result<Bytes> {
        let key = ObjectKey::new(name)
            .map_err(|invalid| Error::new(Kind::Internal, "get", name, invalid.to_string()))?;
        let result = self
            .store
            .get(
                &key,
                GetOptions {
                    range,
                    version: version.cloned(),
                },
            )
            .await?;
        let chunks: Vec<Bytes> = result.body.try_collect().await?;
        Ok(chunks.concat().into())
    }

    /// Fails unless the object holds exactly these bytes.
    pub(crate) async fn expect(
        &self,
        name: &str,
        bytes: &Bytes,
    ) -> std::result::Result<(), Failure> {
        let found = self.read(name, None, None).await?;
        ensure!(
            found == *bytes,
            "{name:?} holds {} bytes that are not the {} expected",
            found.len(),
            bytes.len()
        );
        let head = self.head(name).await?;
        ensure!(
            head.size == bytes.len() as u64,
            "head of {name:?} says {} bytes of {}",
            head.size,
            bytes.len()
        );
        Ok(())
    }

    /// Fails unless there is no such object.
    pub(crate) async fn expect_absent(&self, name: &str) -> std::result::Result<(), Failure> {
        let error = refused(
            &format!("head of {name:?}"),
            self.store.head(&key(name)?).await,
            &[Kind::Missing],
        )?;
        ensure!(
            !error.is_missing_bucket(),
            "a missing key is reported as a missing bucket: {error}"
        );
        Ok(())
    }

    /// Uploads a part and says what completion needs.
    pub(crate) async fn part(
        &self,
        store: &dyn ObjectStore,
        name: &str,
        upload: &str,
        number: u32,
        bytes: &Bytes,
    ) -> std::result::Result<CompletedPart, Failure> {
        let size = bytes.len() as u64;
        let receipt = store
            .upload_part(&key(name)?, upload, number, size, chunked(bytes))
            .await?;
        let crc64 = crate::checksum::Crc64::of(bytes);
        ensure!(
            receipt.crc64 == Some(crc64),
            "the receipt of part {number} says {:?}, not {crc64}",
            receipt.crc64
        );
        Ok(CompletedPart {
            number,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        })
    }

    /// A size that a part which is not the last may have, bytes.
    pub(crate) fn part_bytes(&self) -> u64 {
        self.capabilities.upload_limits.min_part_bytes.max(64 << 10)
    }

    /// The whole listing in pages of `limit`.
    pub(crate) async fn list_all(
        &self,
        limit: usize,
    ) -> std::result::Result<Vec<ListedObject>, Failure> {
        let mut found: Vec<ListedObject> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(after.as_deref(), limit).await?;
            ensure!(
                page.objects.len() + page.unusable.len() <= limit,
                "a page of {limit} has {} objects",
                page.objects.len()
            );
            ensure!(
                page.unusable.is_empty(),
                "unusable keys: {:?}",
                page.unusable
            );
            found.extend(page.objects);
            match page.next {
                None => break,
                Some(next) => {
                    ensure!(
                        after.as_ref() != Some(&next),
                        "the listing stands still at {next:?}"
                    );
                    after = Some(next);
                }
            }
        }
        for pair in found.windows(2) {
            ensure!(
                pair[0].key.as_str().as_bytes() < pair[1].key.as_str().as_bytes(),
                "{:?} is listed before {:?}",
                pair[0].key.as_str(),
                pair[1].key.as_str()
            );
        }
        Ok(found)
    }

    /// For a condition that the record does not call enforced: `broken` is a write under a false condition.
    pub(crate) fn condition_is_not_enforced<T>(
        &self,
        support: ConditionSupport,
        what: &'static str,
        broken: Result<T>,
    ) -> CaseResult {
        match (support, broken) {
            (ConditionSupport::Ignored, Ok(_)) => Ok(Verdict::NotSupported(what)),
            (ConditionSupport::Ignored, Err(error)) => Err(Failure(format!(
                "the record says that {what} is ignored, but a false condition was refused: {error}"
            ))),
            (_, result) => {
                refused(what, result, &[Kind::Unsupported])?;
                Ok(Verdict::NotSupported(what))
            }
        }
    }

    /// Removes everything the case left.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.clear_objects().await?;
        if self.capabilities.list_uploads {
            self.clear_uploads().await
        } else {
            Ok(())
        }
    }

    async fn clear_objects(&self) -> Result<()> {
        for _ in 0..CLEARING_ROUNDS {
            let page = match self.store.list(None, 1000).await {
                Err(error) if error.kind == Kind::Missing => return Ok(()),
                other => other?,
            };
            if page.objects.is_empty() {
                return Ok(());
            }
            stream::iter(page.objects)
                .map(Ok)
                .try_for_each_concurrent(16, |object| async move {
                    self.store.delete(&object.key, &Precondition::None).await
                })
                .await?;
        }
        Err(self.does_not_empty("objects"))
    }

    async fn clear_uploads(&self) -> Result<()> {
        for _ in 0..CLEARING_ROUNDS {
            let page = self.store.list_uploads(None).await?;
            if page.uploads.is_empty() {
                return Ok(());
            }
            stream::iter(page.uploads)
                .map(Ok)
                .try_for_each_concurrent(16, |upload| async move {
                    self.store.abort_upload(&upload.key, &upload.upload).await
                })
                .await?;
        }
        Err(self.does_not_empty("unfinished uploads"))
    }

    fn does_not_empty(&self, what: &str) -> Error {
        let target = self.store.location().to_string();
        Error::new(
            Kind::Internal,
            "clear",
            target,
            format!("{what} are listed again after they were removed"),
        )
    }
}

/// No case leaves more than this many pages behind; a store that goes on listing what was removed is broken.
const CLEARING_ROUNDS: usize = 20;
