//! A store at the far end of a wire: once a changing request has been sent, it takes effect whether or not its sender is
//! still alive to hear the answer. Without this, a crash or a lost lease would cancel what is under way, which no network does.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Location, ObjectKey, ObjectVersion};
use skyfresh_store::memory::MemoryStore;
use skyfresh_store::{
    ByteStream, Capabilities, CompletedPart, CopySource, GetOptions, GetResult, LevelPage,
    ListPage, ObjectHead, ObjectStore, PartReceipt, PartSum, Precondition, PutOptions, PutReceipt,
    Result, UploadPage, single_chunk,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
pub struct Wire(pub Arc<MemoryStore>);

/// Runs to its end whatever becomes of the caller.
async fn sent<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(request)
        .await
        .expect("the store does not panic")
}

async fn collected(mut body: ByteStream) -> Result<ByteStream> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(single_chunk(Bytes::from(all)))
}

#[async_trait]
impl ObjectStore for Wire {
    fn location(&self) -> &Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn probe(&self, nonce: &str) -> Result<Capabilities> {
        self.0.probe(nonce).await
    }

    async fn check_readable(&self) -> Result<()> {
        self.0.check_readable().await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        self.0.head(key).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        self.0.get(key, options).await
    }

    async fn parts(
        &self,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        self.0.parts(key, version).await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let (store, key, body) = (Arc::clone(&self.0), key.clone(), collected(body).await?);
        sent(async move { store.put(&key, options, body).await }).await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        let (store, key, attributes) = (Arc::clone(&self.0), key.clone(), attributes.clone());
        sent(async move { store.create_upload(&key, &attributes).await }).await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let (store, key, upload, body) = (
            Arc::clone(&self.0),
            key.clone(),
            upload.to_owned(),
            collected(body).await?,
        );
        sent(async move { store.upload_part(&key, &upload, number, size, body).await }).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt> {
        self.0.copy_part(key, upload, number, source, range).await
    }

    async fn list_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        self.0.list_parts(key, upload).await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let (store, key, upload) = (Arc::clone(&self.0), key.clone(), upload.to_owned());
        let (parts, precondition) = (parts.to_vec(), precondition.clone());
        sent(async move {
            store
                .complete_upload(&key, &upload, &parts, &precondition)
                .await
        })
        .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        let (store, key, upload) = (Arc::clone(&self.0), key.clone(), upload.to_owned());
        sent(async move { store.abort_upload(&key, &upload).await }).await
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        self.0.list_uploads(after).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.0.copy(key, source, attributes, precondition).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        self.0.list(after, limit).await
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        self.0.list_level(after, limit).await
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        let (store, key, precondition) = (Arc::clone(&self.0), key.clone(), precondition.clone());
        sent(async move { store.delete(&key, &precondition).await }).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.0.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        self.0.set_tags(key, tags).await
    }
}
