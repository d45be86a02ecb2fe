//! The seam's operations, by full key.

use super::GcsStore;
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, GetOptions, GetResult, LevelPage,
    ListPage, ObjectHead, ObjectStore, PartReceipt, Precondition, PutOptions, PutReceipt, Result,
    UploadPage,
};
use async_trait::async_trait;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey};
use std::collections::BTreeMap;
use std::ops::Range;

const NO_TAGS: &str = "objects of Google Cloud Storage have no tags";

impl GcsStore {
    /// What this store has no notion of, or was found wanting in, is not tried.
    fn not_offered<T>(
        &self,
        operation: &'static str,
        key: &ObjectKey,
        why: &'static str,
    ) -> Result<T> {
        Err(self.error(Kind::Unsupported, operation, key, why.into()))
    }
}

#[async_trait]
impl ObjectStore for GcsStore {
    fn location(&self) -> &Location {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities_now()
    }

    async fn probe(&self, nonce: &str) -> Result<Capabilities> {
        self.find_out(nonce).await
    }

    async fn check_readable(&self) -> Result<()> {
        self.check_bucket().await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        self.read_head(&self.location.full_key(key)).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        self.begin_get(&self.location.full_key(key), options).await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        self.put_object(&self.location.full_key(key), options, body)
            .await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        if !self.capabilities_now().multipart {
            let why = "this store was probed and has no uploads in parts";
            return self.not_offered("create upload", key, why);
        }
        self.begin_upload(&self.location.full_key(key), attributes)
            .await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        self.send_part(&self.location.full_key(key), upload, number, size, body)
            .await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        _upload: &str,
        _number: u32,
        _source: &CopySource,
        _range: Range<u64>,
    ) -> Result<PartReceipt> {
        let why = "Google copies whole objects only: move the bytes through this process instead";
        self.not_offered("copy part", key, why)
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.finish_upload(&self.location.full_key(key), upload, parts, precondition)
            .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        self.discard_upload(&self.location.full_key(key), upload)
            .await
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        if !self.capabilities_now().list_uploads {
            let why = "this store was probed and cannot list its uploads";
            return Err(self.failed(Kind::Unsupported, "list uploads", "", why));
        }
        self.page_of_uploads(after).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        if !self.capabilities_now().copy {
            let why = "this store was probed and cannot copy safely: move the bytes through this process instead";
            return self.not_offered("copy", key, why);
        }
        self.copy_object(
            &self.location.full_key(key),
            source,
            attributes,
            precondition,
        )
        .await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        self.page_of_objects(after, limit).await
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        self.page_of_level(after, limit).await
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        self.delete_object(&self.location.full_key(key), precondition)
            .await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.not_offered("read tags", key, NO_TAGS)
    }

    async fn set_tags(&self, key: &ObjectKey, _tags: &BTreeMap<String, String>) -> Result<()> {
        self.not_offered("write tags", key, NO_TAGS)
    }
}
