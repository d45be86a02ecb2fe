//! The seam: what every object store must offer, in the terms of the strictest one.

use crate::checksum::{Crc32c, Crc64, Md5};
use crate::{ByteStream, Capabilities, Deletion, Error, LevelPage, PartSum, ReadUrl, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion, Timestamp};
use std::collections::BTreeMap;
use std::ops::Range;

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// Which content this is.
    pub version: ObjectVersion,
    /// Size in bytes.
    pub size: u64,
    /// When the store says it was written; whole seconds on S3.
    pub modified: Timestamp,
    /// CRC64NVME of the whole object, where the store keeps one.
    pub crc64: Option<Crc64>,
    /// CRC32C of the whole object, where the store keeps one (GCS always).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<Crc32c>,
    /// MD5 of the whole object, where the store states it as such (GCS and Azure, not for every object). An S3 entity tag is
    /// not repeated here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5>,
    /// Everything carried beside the bytes.
    pub attributes: Attributes,
    /// How many tags it has (their values are read by [`ObjectStore::tags`]).
    pub tag_count: u32,
}

/// What a write demands of the object it would replace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precondition {
    /// Nothing. The engine uses this only where the store cannot enforce a condition.
    None,
    /// There must be no object.
    Absent,
    /// The object must still be this version.
    Version(ObjectVersion),
}

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct GetOptions {
    /// Byte range, end exclusive; `None` is the whole object. Must lie within the object.
    pub range: Option<Range<u64>>,
    /// Read this version or fail with [`Kind::Precondition`] (with [`Kind::Missing`] where it is gone).
    pub version: Option<ObjectVersion>,
}

/// A read that has begun.
pub struct GetResult {
    /// The object it reads (with its whole size).
    pub head: ObjectHead,
    /// The bytes asked for. Ends early only with an error: adapters count.
    pub body: ByteStream,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct PutOptions {
    /// Exact length of the body in bytes; a body of any other length fails and publishes nothing.
    pub size: u64,
    /// What to carry beside the bytes.
    pub attributes: Attributes,
    /// What must hold of the object it replaces.
    pub precondition: Precondition,
}

/// A published object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReceipt {
    /// The version that was published.
    pub version: ObjectVersion,
    /// CRC64NVME of the bytes sent; the store confirmed them by its [`Capabilities::verification`]. `None` after a
    /// server-side operation, and after completing an upload where the store does not state one.
    pub crc64: Option<Crc64>,
}

/// A part that the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceipt {
    /// The part's entity tag, needed to complete.
    pub etag: String,
    /// CRC64NVME of the bytes sent; `None` after a server-side copy that does not state one.
    pub crc64: Option<Crc64>,
}

/// One part as completion names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedPart {
    /// From 1.
    pub number: u32,
    /// As [`PartReceipt::etag`].
    pub etag: String,
    /// Bytes in the part.
    pub size: u64,
    /// As [`PartReceipt::crc64`].
    pub crc64: Option<Crc64>,
}

/// Where a server-side copy reads: always in the same endpoint as it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Bucket; `None` is the destination's own.
    pub bucket: Option<String>,
    /// Full key in that bucket.
    pub full_key: String,
    /// Copy this version or fail with [`Kind::Precondition`].
    pub version: Option<ObjectVersion>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Key below the location.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: String,
    /// When the store says it was written.
    pub modified: Timestamp,
}

/// A page of a listing, in ascending byte order of keys.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ListedObject>,
    /// Keys that are there but cannot be a [`ObjectKey`] here (a sweep reports them); full keys.
    pub unusable: Vec<String>,
    /// Give this as `after` for the next page; `None` means the listing is complete.
    pub next: Option<String>,
}

/// An unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    /// Key below the location.
    pub key: ObjectKey,
    /// Upload id.
    pub upload: String,
    /// When it was begun.
    pub started: Timestamp,
}

/// A page of unfinished uploads.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<ListedUpload>,
    /// Give this back for the next page; `None` means complete.
    pub next: Option<String>,
}

/// One object store, rooted at a [`Location`]: keys are relative to its prefix.
///
/// Every adapter passes the same conformance suite (`conformance`). Retrying of passing trouble that is safe to repeat
/// happens inside adapters, bounded; what remains comes out as [`Kind::RetryAfter`].
#[async_trait]
pub trait ObjectStore: Send + Sync + std::fmt::Debug {
    /// Where this store is.
    fn location(&self) -> &Location;

    /// What it can do: the result of the last [`ObjectStore::probe`], or the protocol's defaults before one.
    fn capabilities(&self) -> Capabilities;

    /// Finds out what the endpoint really does and remembers it. Writes probe objects below the prefix under
    /// `.skyfresh-probe-<nonce>` and removes them, so only ever called on destinations.
    async fn probe(&self, nonce: &str) -> Result<Capabilities>;

    /// Checks that the bucket can be reached and read, without needing any object.
    ///
    /// # Errors
    /// [`Kind::Missing`] with code `NoSuchBucket`, [`Kind::Denied`], or trouble on the way.
    async fn check_readable(&self) -> Result<()>;

    /// An object's version, size and attributes.
    ///
    /// # Errors
    /// [`Kind::Missing`] where there is no object; where the *bucket* is absent the error also says
    /// [`Error::is_missing_bucket`], which callers must never take for a deleted key.
    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead>;

    /// Begins a read. Whatever the server does with conditions, the adapter compares the version it answers with.
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult>;

    /// The parts that this version was uploaded in, with their checksums, in order; `None` where there were none or the store
    /// does not tell.
    ///
    /// # Errors
    /// [`Kind::Precondition`] where the object is another version now.
    async fn parts(
        &self,
        _key: &ObjectKey,
        _version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        Ok(None)
    }

    /// Publishes an object in one request, verified by [`Capabilities::verification`]. All or nothing.
    ///
    /// # Errors
    /// [`Kind::Precondition`] where the condition did not hold; [`Kind::Corrupt`] where the store saw other bytes.
    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt>;

    /// Begins an upload that any process can add parts to. Never repeated by itself: a lost answer hides an upload, and
    /// comes out as [`Kind::RetryAfter`], so that the caller knows to look for it.
    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String>;

    /// Uploads a part of exactly `size` bytes, verified. Repeating a number replaces that part.
    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt>;

    /// Fills a part from an object in the same endpoint, without moving bytes through this process.
    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt>;

    /// The parts that an upload holds now, in order; `None` where the store does not tell. A checksum is that of the bytes held.
    ///
    /// # Errors
    /// [`Kind::Missing`] where the upload is gone.
    async fn list_parts(
        &self,
        _key: &ObjectKey,
        _upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        Ok(None)
    }

    /// Publishes the object made of `parts` (ascending numbers). All or nothing.
    ///
    /// # Errors
    /// [`Kind::Precondition`] where the condition did not hold (the upload must then be aborted and made anew);
    /// [`Error::is_replaced_part`] where the upload holds another part than the one named;
    /// [`Kind::Missing`] where the upload is gone, by abort or by an earlier completion: read the head to learn which.
    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt>;

    /// Discards an upload. One that is gone already is no error.
    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()>;

    /// Unfinished uploads below the prefix; `after` is [`UploadPage::next`].
    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage>;

    /// Server-side copy to `key`, up to [`UploadLimits::max_put_bytes`](crate::UploadLimits::max_put_bytes).
    /// `attributes`: `None` keeps the source's.
    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt>;

    /// A URL by which another service may read this version for a while: whoever has it can. `None` where the store cannot give
    /// one. It says nothing of whether that service can reach the store.
    async fn read_url(
        &self,
        _key: &ObjectKey,
        _version: &ObjectVersion,
    ) -> Result<Option<ReadUrl>> {
        Ok(None)
    }

    /// Publishes an object whose bytes the service itself reads from a URL of another store, without moving them through this
    /// process ([`Capabilities::pull`]). `head` is the source's: what was read must make its CRC64NVME or MD5 before the object is
    /// visible.
    ///
    /// # Errors
    /// [`Kind::Precondition`] where the condition did not hold; [`Kind::Corrupt`] where something else was read;
    /// [`Kind::Unsupported`] where nothing could prove it. Anything else: the service could not read it.
    async fn pull(
        &self,
        key: &ObjectKey,
        _source: &ReadUrl,
        _head: &ObjectHead,
        _attributes: &Attributes,
        _precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let why = "this store does not read from URLs".to_owned();
        Err(self.error(Kind::Unsupported, "pull", key, why))
    }

    /// A page of objects with keys (relative to the prefix) after `after`, at most `limit` (≤ 1,000).
    /// Never reports a failure as an empty page.
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage>;

    /// A page of one level: objects whose keys (relative to the prefix) have no `/`, and the common prefixes of those that do, at
    /// most `limit` (≤ 1,000) of both together. The store itself passes over what lies deeper, so that this takes as many
    /// requests as the level has pages. `after` is the [`LevelPage::next`] of the page before. A page before the last may be
    /// empty; none is for a failure.
    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage>;

    /// Deletes an object. With [`Precondition::Version`] only that version; an absent object is no error.
    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()>;

    /// Deletes many objects, each as [`ObjectStore::delete`] would and under its own condition, in as few requests as the store takes
    /// ([`Capabilities::batch_delete`]). The results are those of `deletions`, in their order: one may fail and others not.
    async fn delete_many(&self, deletions: &[Deletion]) -> Vec<Result<()>> {
        crate::deletion::one_by_one(self, deletions).await
    }

    /// An object's tags.
    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>>;

    /// Replaces an object's tags.
    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()>;

    /// An error of this store about `key`, for adapters and callers alike.
    fn error(
        &self,
        kind: Kind,
        operation: &'static str,
        key: &ObjectKey,
        context: String,
    ) -> Error {
        let location = self.location();
        Error::new(
            kind,
            operation,
            format!(
                "{}://{}/{}",
                location.scheme.as_str(),
                location.bucket,
                location.full_key(key)
            ),
            context,
        )
    }
}
