//! The seam's operations, by full key.

use super::S3Store;
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, Deletion, GetOptions, GetResult,
    LevelPage, ListPage, ObjectHead, ObjectStore, PartReceipt, PartSum, Precondition, PutOptions,
    PutReceipt, ReadUrl, Result, UploadPage,
};
use async_trait::async_trait;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion};
use std::collections::BTreeMap;
use std::ops::Range;

impl S3Store {
    /// What the probe found wanting is not done, although the store may answer: a server-side copy that ignores the version it
    /// is pinned to would mix versions.
    fn offered(&self, capability: bool, operation: &'static str, key: &ObjectKey) -> Result<()> {
        if capability {
            return Ok(());
        }
        let why = "this store was probed and cannot do it safely: move the bytes through this process instead";
        Err(self.error(Kind::Unsupported, operation, key, why.into()))
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    fn location(&self) -> &Location {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.knowledge().capabilities
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

    async fn parts(
        &self,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        self.read_parts(&self.location.full_key(key), version).await
    }

    async fn read_url(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Option<ReadUrl>> {
        let full_key = self.location.full_key(key);
        self.sign_read(&full_key, version).await.map(Some)
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
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt> {
        self.offered(self.capabilities().copy_part, "copy part", key)?;
        self.copy_into_part(&self.location.full_key(key), upload, number, source, range)
            .await
    }

    async fn list_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        let full_key = self.location.full_key(key);
        self.parts_held(&full_key, upload).await
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
        self.page_of_uploads(after).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.offered(self.capabilities().copy, "copy", key)?;
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

    async fn delete_many(&self, deletions: &[Deletion]) -> Vec<Result<()>> {
        self.delete_all(deletions).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.read_tags(&self.location.full_key(key)).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        self.write_tags(&self.location.full_key(key), tags).await
    }
}
