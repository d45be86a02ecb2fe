//! [`ObjectStore`] on top of a bucket: bodies are moved without a lock, decisions are taken under it.

use super::bucket::{Bucket, Moment, Object, ResolvedSource};
use super::fault::{Place, faulty};
use super::payload::Payload;
use super::{
    BucketStyle, Fault, MEMORY_CAPABILITIES, MemoryStore, Operation, OperationKind, PAGE_LIMIT,
};
use crate::checksum::tee;
use crate::local::{Refusal, check_put_size, check_range};
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, Error, GetOptions, GetResult, ListPage,
    ListedObject, ListedUpload, ObjectHead, ObjectStore, PartReceipt, Precondition, PutOptions,
    PutReceipt, Result, UploadPage,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Largest chunk a read yields, bytes: small enough that a reader can be interrupted in the middle of an object.
const CHUNK_BYTES: usize = 256 << 10;

/// An operation that the fault hook has let through.
struct Call<'a> {
    store: &'a MemoryStore,
    kind: OperationKind,
    full_key: String,
    fault: Option<Fault>,
}

#[derive(Default)]
struct Details<'a> {
    key: Option<&'a ObjectKey>,
    upload: Option<&'a str>,
    part_number: Option<u32>,
    range: Option<Range<u64>>,
}

impl<'a> Details<'a> {
    fn key(key: &'a ObjectKey) -> Self {
        Details {
            key: Some(key),
            ..Details::default()
        }
    }

    fn upload(key: &'a ObjectKey, upload: &'a str) -> Self {
        Details {
            key: Some(key),
            upload: Some(upload),
            ..Details::default()
        }
    }
}

impl MemoryStore {
    async fn begin(&self, kind: OperationKind, details: Details<'_>) -> Result<Call<'_>> {
        let full_key = details.key.map(|key| self.location.full_key(key));
        let (hook, sequence) = {
            let mut state = self.sky.lock();
            state.operations += 1;
            (state.fault.clone(), state.operations - 1)
        };
        let operation = Operation {
            kind,
            bucket: &self.location.bucket,
            full_key: full_key.as_deref(),
            upload: details.upload,
            part_number: details.part_number,
            range: details.range,
            sequence,
        };
        let fault = match hook.and_then(|hook| hook(&operation)) {
            Some(Fault::Refuse(error)) => return Err(error),
            Some(Fault::Delay(delay)) => {
                self.sky.clock.sleep(delay).await;
                None
            }
            other => other,
        };
        Ok(Call {
            store: self,
            kind,
            full_key: full_key.unwrap_or_default(),
            fault,
        })
    }
}

impl Call<'_> {
    /// Runs `work` under the lock; the answer is lost where the hook said so.
    fn run<T>(
        self,
        work: impl FnOnce(&mut Bucket, &str, Moment) -> Result<T, Refusal>,
    ) -> Result<T> {
        let result = self.attempt(work);
        match self.fault {
            Some(Fault::LoseAnswer(error)) => Err(error),
            _ => result,
        }
    }

    /// Runs `work` under the lock.
    fn attempt<T>(
        &self,
        work: impl FnOnce(&mut Bucket, &str, Moment) -> Result<T, Refusal>,
    ) -> Result<T> {
        self.store
            .sky
            .with_bucket(&self.store.location.bucket, |bucket, moment| {
                work(bucket, &self.full_key, moment)
            })
            .map_err(|refusal| self.error(refusal))
    }

    fn style(&self) -> BucketStyle {
        let bucket = &self.store.location.bucket;
        let sky = self.store.sky.lock();
        sky.buckets
            .get(bucket)
            .map_or(BucketStyle::S3, |bucket| bucket.style)
    }

    fn error(&self, refusal: Refusal) -> Error {
        let bucket = &self.store.location.bucket;
        let target = match self.full_key.as_str() {
            "" => format!("mem://{bucket}"),
            key => format!("mem://{bucket}/{key}"),
        };
        refusal.into_error(self.kind.as_str(), target)
    }

    fn body_with_fault(&mut self, body: ByteStream) -> ByteStream {
        match self.fault.take() {
            Some(Fault::Body(fault)) => {
                let place = Place {
                    sky: self.store.sky.clone(),
                    bucket: self.store.location.bucket.clone(),
                    full_key: self.full_key.clone(),
                };
                faulty(body, fault, place)
            }
            other => {
                self.fault = other;
                body
            }
        }
    }

    /// Takes in a body of exactly `size` bytes, and checks that what arrived is what was sent.
    async fn receive(&mut self, size: u64, body: ByteStream) -> Result<Payload> {
        // Without a fault on the way, what arrives is what was sent: it need not be summed twice.
        let (mut body, sent) = match &self.fault {
            Some(Fault::Body(_)) => {
                let (body, sent) = tee(body);
                (self.body_with_fault(body), Some(sent))
            }
            _ => (body, None),
        };
        let mut chunks: Vec<Bytes> = Vec::new();
        let mut received = 0u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            received += chunk.len() as u64;
            if received > size {
                break;
            }
            chunks.push(chunk);
        }
        if received != size {
            let more = if received > size { "or more " } else { "" };
            return Err(self.error(Refusal::new(
                Kind::Invalid,
                "IncompleteBody",
                format!("the body had {received} bytes {more}where {size} were announced"),
            )));
        }
        let payload = Payload::of(chunks, self.style());
        if let Some((crc64, _)) = sent.map(|sent| sent.read())
            && payload.crc64 != crc64
        {
            return Err(self.error(Refusal::new(
                Kind::Corrupt,
                "BadDigest",
                format!("checksum {} arrived where {crc64} was sent", payload.crc64),
            )));
        }
        Ok(payload)
    }

    /// The object a copy reads, with the bytes of `range`.
    fn copy_source(
        &self,
        source: &CopySource,
        range: Option<&Range<u64>>,
    ) -> Result<(Arc<Object>, Payload)> {
        let own_bucket = &self.store.location.bucket;
        let source = ResolvedSource::of(source, own_bucket);
        let object = self
            .store
            .sky
            .with_bucket(source.bucket, |bucket, _| {
                bucket.read(source.full_key, source.version)
            })
            .map_err(|refusal| {
                let context = format!(
                    "source {}/{}: {}",
                    source.bucket, source.full_key, refusal.context
                );
                self.error(Refusal { context, ..refusal })
            })?;
        let range = check_range(range, object.head.size).map_err(|refusal| self.error(refusal))?;
        let slices = Payload::slices(&object.chunks, &range, usize::MAX);
        let payload = Payload::of(slices, self.style());
        Ok((object, payload))
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    fn location(&self) -> &Location {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.sky
            .lock()
            .buckets
            .get(&self.location.bucket)
            .map_or(MEMORY_CAPABILITIES, |bucket| bucket.capabilities.clone())
    }

    /// Nothing need be tried out: the bucket keeps to its record by construction.
    async fn probe(&self, _nonce: &str) -> Result<Capabilities> {
        self.begin(OperationKind::Probe, Details::default())
            .await?
            .run(|bucket, _, _| Ok(bucket.capabilities.clone()))
    }

    async fn check_readable(&self) -> Result<()> {
        self.begin(OperationKind::CheckReadable, Details::default())
            .await?
            .run(|_, _, _| Ok(()))
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        self.begin(OperationKind::Head, Details::key(key))
            .await?
            .run(|bucket, full_key, _| bucket.object(full_key).map(|object| object.head.clone()))
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        let details = Details {
            range: options.range.clone(),
            ..Details::key(key)
        };
        let mut call = self.begin(OperationKind::Get, details).await?;
        let (object, range) = call.attempt(|bucket, full_key, _| {
            let object = bucket.read(full_key, options.version.as_ref())?;
            let range = check_range(options.range.as_ref(), object.head.size)?;
            Ok((object, range))
        })?;
        let slices = Payload::slices(&object.chunks, &range, CHUNK_BYTES);
        let body = call.body_with_fault(futures::stream::iter(slices.into_iter().map(Ok)).boxed());
        call.run(|_, _, _| {
            Ok(GetResult {
                head: object.head.clone(),
                body,
            })
        })
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let mut call = self.begin(OperationKind::Put, Details::key(key)).await?;
        call.attempt(|bucket, _, _| {
            check_put_size(options.size, &bucket.capabilities.upload_limits)
        })?;
        let payload = call.receive(options.size, body).await?;
        call.run(|bucket, full_key, moment| {
            bucket.put(
                full_key,
                payload,
                options.attributes,
                &options.precondition,
                moment,
            )
        })
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        self.begin(OperationKind::CreateUpload, Details::key(key))
            .await?
            .run(|bucket, full_key, moment| bucket.create_upload(full_key, attributes, moment))
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let details = Details {
            part_number: Some(number),
            ..Details::upload(key, upload)
        };
        let mut call = self.begin(OperationKind::UploadPart, details).await?;
        call.attempt(|bucket, full_key, _| {
            bucket.check_upload_part(full_key, upload, number, size)
        })?;
        let payload = call.receive(size, body).await?;
        call.run(|bucket, full_key, moment| {
            bucket.put_part(full_key, upload, number, payload, moment)
        })
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt> {
        let details = Details {
            part_number: Some(number),
            range: Some(range.clone()),
            ..Details::upload(key, upload)
        };
        let call = self.begin(OperationKind::CopyPart, details).await?;
        call.attempt(|bucket, full_key, _| {
            bucket.check_offered(bucket.capabilities.copy_part, "copying into a part")?;
            bucket.check_upload_part(
                full_key,
                upload,
                number,
                range.end.saturating_sub(range.start),
            )
        })?;
        let (_, payload) = call.copy_source(source, Some(&range))?;
        call.run(|bucket, full_key, moment| {
            bucket.put_part(full_key, upload, number, payload, moment)
        })
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.begin(OperationKind::CompleteUpload, Details::upload(key, upload))
            .await?
            .run(|bucket, full_key, moment| {
                bucket.complete_upload(full_key, upload, parts, precondition, moment)
            })
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        self.begin(OperationKind::AbortUpload, Details::upload(key, upload))
            .await?
            .run(|bucket, full_key, _| {
                bucket
                    .uploads
                    .remove(&(full_key.to_owned(), upload.to_owned()));
                Ok(())
            })
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        let call = self
            .begin(OperationKind::ListUploads, Details::default())
            .await?;
        let after = match after.map(|after| after.rsplit_once('\0')) {
            Some(Some((key, id))) => Some((key.to_owned(), id.to_owned())),
            Some(None) => {
                let why = "the place to go on from is not one that a page gave";
                return Err(call.error(Refusal::new(Kind::Invalid, "InvalidArgument", why)));
            }
            None => None,
        };
        let prefix = self.location.prefix.clone();
        call.run(|bucket, _, _| {
            bucket.check_offered(bucket.capabilities.list_uploads, "listing of uploads")?;
            let start = after.map_or(
                Bound::Included((prefix.clone(), String::new())),
                Bound::Excluded,
            );
            let mut page = UploadPage::default();
            for ((key, id), upload) in bucket.uploads.range((start, Bound::Unbounded)) {
                if !key.starts_with(&prefix) {
                    break;
                }
                let Some(relative) = self.location.relative_key(key) else {
                    continue;
                };
                if page.uploads.len() == PAGE_LIMIT {
                    page.next = page.uploads.last().map(|last| {
                        format!("{}\0{}", self.location.full_key(&last.key), last.upload)
                    });
                    break;
                }
                page.uploads.push(ListedUpload {
                    key: relative,
                    upload: id.clone(),
                    started: upload.started,
                });
            }
            Ok(page)
        })
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let call = self.begin(OperationKind::Copy, Details::key(key)).await?;
        call.attempt(|bucket, _, _| {
            bucket.check_offered(bucket.capabilities.copy, "copying an object")
        })?;
        let (object, payload) = call.copy_source(source, None)?;
        call.run(|bucket, full_key, moment| {
            bucket.copy(full_key, &object, payload, attributes, precondition, moment)
        })
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let call = self.begin(OperationKind::List, Details::default()).await?;
        let prefix = self.location.prefix.clone();
        let limit = limit.clamp(1, PAGE_LIMIT);
        call.run(|bucket, _, _| {
            let start = match after {
                Some(after) => Bound::Excluded(format!("{prefix}{after}")),
                None => Bound::Included(prefix.clone()),
            };
            let mut page = ListPage::default();
            let mut last = None;
            for (full_key, object) in bucket.objects.range((start, Bound::Unbounded)) {
                let Some(relative) = full_key.strip_prefix(&prefix) else {
                    break;
                };
                if page.objects.len() + page.unusable.len() == limit {
                    page.next = last;
                    break;
                }
                last = Some(relative.to_owned());
                match ObjectKey::new(relative) {
                    Ok(key) => page.objects.push(ListedObject {
                        key,
                        size: object.head.size,
                        etag: object.head.version.etag.clone(),
                        modified: object.head.modified,
                    }),
                    Err(_) => page.unusable.push(full_key.clone()),
                }
            }
            Ok(page)
        })
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        self.begin(OperationKind::Delete, Details::key(key))
            .await?
            .run(|bucket, full_key, _| bucket.delete(full_key, precondition))
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.begin(OperationKind::Tags, Details::key(key))
            .await?
            .run(|bucket, full_key, _| bucket.tags(full_key))
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        self.begin(OperationKind::SetTags, Details::key(key))
            .await?
            .run(|bucket, full_key, _| bucket.set_tags(full_key, tags))
    }
}
