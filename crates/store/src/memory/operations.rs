//! [`ObjectStore`] on top of a bucket: bodies are moved without a lock, decisions are taken under it.

use super::bucket::Bucket;
use super::call::Details;
use super::payload::Payload;
use super::{MEMORY_CAPABILITIES, MemoryStore, OperationKind, PAGE_LIMIT};
use crate::level::DELIMITER;
use crate::local::{Refusal, check_put_size, check_range};
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, GetOptions, GetResult, LevelPage,
    ListPage, ListedObject, ListedUpload, ObjectHead, ObjectStore, PartReceipt, PartSum,
    Precondition, PutOptions, PutReceipt, Result, UploadPage,
};
use async_trait::async_trait;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

/// Largest chunk a read yields, bytes: small enough that a reader can be interrupted in the middle of an object.
const CHUNK_BYTES: usize = 256 << 10;

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

    async fn parts(
        &self,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        self.begin(OperationKind::Parts, Details::key(key))
            .await?
            .run(|bucket, full_key, _| bucket.parts(full_key, version))
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

    async fn list_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        self.begin(OperationKind::ListParts, Details::upload(key, upload))
            .await?
            .run(|bucket, full_key, _| bucket.list_parts(full_key, upload).map(Some))
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
                    Ok(key) => page.objects.push(listed(key, &object.head)),
                    Err(_) => page.unusable.push(full_key.clone()),
                }
            }
            Ok(page)
        })
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        let call = self.begin(OperationKind::List, Details::default()).await?;
        let prefix = self.location.prefix.clone();
        let limit = limit.clamp(1, PAGE_LIMIT);
        call.run(|bucket, _, _| Ok(level(bucket, &prefix, after, limit)))
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

/// An object as listings tell of it.
fn listed(key: ObjectKey, head: &ObjectHead) -> ListedObject {
    ListedObject {
        key,
        size: head.size,
        etag: head.version.etag.clone(),
        modified: head.modified,
    }
}

/// A page of the level that begins with `prefix`, after a line of it: an object's key, or a common prefix, which ends in `/`.
fn level(bucket: &Bucket, prefix: &str, after: Option<&str>, limit: usize) -> LevelPage {
    let mut from = match after {
        Some(after) if after.ends_with(DELIMITER) => behind_all_below(&format!("{prefix}{after}")),
        Some(after) => Bound::Excluded(format!("{prefix}{after}")),
        None => Bound::Included(prefix.to_owned()),
    };
    let mut page = LevelPage::default();
    let mut last = None;
    while let Some((full_key, object)) = bucket.objects.range((from, Bound::Unbounded)).next() {
        let Some(relative) = full_key.strip_prefix(prefix) else {
            break;
        };
        if page.lines() == limit {
            page.next = last;
            break;
        }
        if let Some(end) = relative.find(DELIMITER) {
            let common = &relative[..=end];
            page.prefixes.push(common.to_owned());
            last = Some(common.to_owned());
            from = behind_all_below(&full_key[..=prefix.len() + end]);
            continue;
        }
        match ObjectKey::new(relative) {
            Ok(key) => page.objects.push(listed(key, &object.head)),
            Err(_) => page.unusable.push(full_key.clone()),
        }
        last = Some(relative.to_owned());
        from = Bound::Excluded(full_key.clone());
    }
    page
}

/// Where the keys begin that come after all of those that begin with this, which ends in `/`: at the same with `0`, which is next to it.
fn behind_all_below(common: &str) -> Bound<String> {
    let name = common.strip_suffix(DELIMITER).unwrap_or(common);
    Bound::Included(format!("{name}0"))
}
