//! A store whose objects change while they are read.

use crate::objects::{self, DELETED, OVERWRITTEN, SECOND_CONTENT};
use async_trait::async_trait;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Location, ObjectKey};
use skyfresh_store::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happens once.
#[derive(Debug, Default)]
pub(crate) struct Once {
    begun: AtomicBool,
    done: AtomicBool,
}

impl Once {
    /// Whether it has happened to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// Passes everything on; at the first chunk of the first read of [`OVERWRITTEN`] and [`DELETED`] the object is overwritten,
/// or deleted, by somebody else.
#[derive(Debug)]
pub(crate) struct Meddled {
    pub(crate) inner: Arc<dyn ObjectStore>,
    /// The same store by connections of its own.
    pub(crate) other: Arc<dyn ObjectStore>,
    pub(crate) overwritten: Arc<Once>,
    pub(crate) deleted: Arc<Once>,
}

impl Meddled {
    /// What is to happen to a key, once.
    fn meddling(&self, key: &ObjectKey) -> Option<Arc<Once>> {
        match key.as_str() {
            OVERWRITTEN => Some(Arc::clone(&self.overwritten)),
            DELETED => Some(Arc::clone(&self.deleted)),
            _ => None,
        }
    }
}

async fn meddle(other: &dyn ObjectStore, name: &str) {
    match name {
        OVERWRITTEN => {
            let body = single_chunk(SECOND_CONTENT);
            let size = SECOND_CONTENT.len() as u64;
            objects::put(other, name, size, Attributes::default(), body).await;
        }
        _ => other
            .delete(&objects::key(name), &Precondition::None)
            .await
            .unwrap_or_else(|error| panic!("delete {name}: {error}")),
    }
}

#[async_trait]
impl ObjectStore for Meddled {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn probe(&self, nonce: &str) -> Result<Capabilities> {
        self.inner.probe(nonce).await
    }

    async fn check_readable(&self) -> Result<()> {
        self.inner.check_readable().await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        self.inner.head(key).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        let GetResult { head, body } = self.inner.get(key, options).await?;
        let Some(once) = self.meddling(key) else {
            return Ok(GetResult { head, body });
        };
        let (other, name) = (Arc::clone(&self.other), key.as_str().to_owned());
        let body = body
            .then(move |chunk| {
                let (once, other, name) = (Arc::clone(&once), Arc::clone(&other), name.clone());
                async move {
                    if !once.begun.swap(true, Ordering::AcqRel) {
                        // A task: another part's read may find the change, and have this one dropped, before it is answered.
                        let meddling = tokio::spawn(async move {
                            meddle(other.as_ref(), &name).await;
                            once.done.store(true, Ordering::Release);
                        });
                        meddling.await.expect("the other one's request is answered");
                    }
                    chunk
                }
            })
            .boxed();
        Ok(GetResult { head, body })
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        self.inner.put(key, options, body).await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        self.inner.create_upload(key, attributes).await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        self.inner
            .upload_part(key, upload, number, size, body)
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
        self.inner
            .copy_part(key, upload, number, source, range)
            .await
    }

    async fn list_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        self.inner.list_parts(key, upload).await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.inner
            .complete_upload(key, upload, parts, precondition)
            .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        self.inner.abort_upload(key, upload).await
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        self.inner.list_uploads(after).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        self.inner.copy(key, source, attributes, precondition).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        self.inner.list(after, limit).await
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        self.inner.list_level(after, limit).await
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        self.inner.delete(key, precondition).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.inner.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        self.inner.set_tags(key, tags).await
    }
}
