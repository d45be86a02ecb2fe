//! The seam's operations, by full key. Names that Azure would change are refused before anything is sent.

use super::{AzureStore, refused_name};
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, GetOptions, GetResult, LevelPage,
    ListPage, ObjectHead, ObjectStore, PartReceipt, Precondition, PutOptions, PutReceipt, ReadUrl,
    Result, UploadPage,
};
use async_trait::async_trait;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion};
use std::collections::BTreeMap;
use std::ops::Range;

impl AzureStore {
    /// The full key of an object that Azure can name.
    fn named(&self, operation: &'static str, key: &ObjectKey) -> Result<String> {
        let full_key = self.location.full_key(key);
        match refused_name(&full_key) {
            None => Ok(full_key),
            Some(why) => Err(self.error(Kind::Invalid, operation, key, why.into())),
        }
    }

    /// What the probe found wanting is not done, although the service may answer.
    fn offered(&self, capability: bool, operation: &'static str, key: &ObjectKey) -> Result<()> {
        if capability {
            return Ok(());
        }
        let why =
            "this store was probed and cannot do it: move the bytes through this process instead";
        Err(self.error(Kind::Unsupported, operation, key, why.into()))
    }
}

#[async_trait]
impl ObjectStore for AzureStore {
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
        self.check_container().await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        self.read_head(&self.named("head", key)?).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        self.begin_get(&self.named("get", key)?, options).await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        self.put_object(&self.named("put", key)?, options, body)
            .await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        self.begin_upload(&self.named("create upload", key)?, attributes)
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
        self.send_part(&self.named("upload part", key)?, upload, number, size, body)
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
        self.copy_into_part(
            &self.named("copy part", key)?,
            upload,
            number,
            source,
            range,
        )
        .await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.finish_upload(
            &self.named("complete upload", key)?,
            upload,
            parts,
            precondition,
        )
        .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        self.discard_upload(&self.named("abort upload", key)?, upload)
            .await
    }

    async fn list_uploads(&self, _after: Option<&str>) -> Result<UploadPage> {
        let why = "Azure knows blocks, not uploads: those that are not committed vanish with the blob's next write, or after a week";
        Err(crate::Error::new(
            Kind::Unsupported,
            "list uploads",
            self.target(None),
            why,
        ))
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.offered(self.capabilities().copy, "copy", key)?;
        self.copy_object(&self.named("copy", key)?, source, attributes, precondition)
            .await
    }

    async fn read_url(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Option<ReadUrl>> {
        self.sign_read(&self.named("sign", key)?, version)
            .await
            .map(Some)
    }

    async fn pull(
        &self,
        key: &ObjectKey,
        source: &ReadUrl,
        head: &ObjectHead,
        attributes: &Attributes,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.offered(self.capabilities().pull, "pull", key)?;
        self.pull_object(
            &self.named("pull", key)?,
            source,
            head,
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
        self.delete_object(&self.named("delete", key)?, precondition)
            .await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.read_tags(&self.named("tags", key)?).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        self.write_tags(&self.named("set tags", key)?, tags).await
    }
}
