//! The objects that are written to measure, and their removal.

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt, stream};
use skyfresh_sky::{Attributes, ObjectKey, Rng};
use skyfresh_store::{ByteStream, ObjectStore, Precondition, PutOptions};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the name of every probe object begins with: in no rule's scope.
pub(super) const PREFIX: &str = ".skyfresh-probe-";
/// Content is this block again and again: random, so that nothing on the way can make it shorter.
const BLOCK_BYTES: usize = 1 << 20;
/// Removed at once.
const REMOVING: usize = 16;
/// Looked for at once when all have been removed.
const PAGE: usize = 1_000;

/// The probe objects of one run.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    store: Arc<dyn ObjectStore>,
    nonce: String,
    block: Bytes,
    /// How many names have been given out: whatever was written has one of them.
    named: Arc<AtomicU64>,
}

impl Probes {
    pub(super) fn new(store: Arc<dyn ObjectStore>, nonce: &str, rng: &Rng) -> Self {
        let words = (0..BLOCK_BYTES / 8).flat_map(|_| rng.u64().to_le_bytes());
        Probes {
            store,
            nonce: nonce.to_owned(),
            block: words.collect(),
            named: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    fn key(&self, number: u64) -> anyhow::Result<ObjectKey> {
        Ok(ObjectKey::new(format!("{PREFIX}{}-{number}", self.nonce))?)
    }

    /// Writes an object of so many bytes under a name of its own: a store may bound how often one key is written.
    pub(super) async fn write(&self, size: u64) -> anyhow::Result<()> {
        // The name is taken first, so that whatever becomes of the request it will be removed.
        let key = self.key(self.named.fetch_add(1, Ordering::SeqCst))?;
        let options = PutOptions {
            size,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        self.store.put(&key, options, self.body(size)).await?;
        Ok(())
    }

    fn body(&self, size: u64) -> ByteStream {
        let block = self.block.clone();
        let chunks = (0..size).step_by(BLOCK_BYTES).map(move |at| {
            let left = usize::try_from(size - at).unwrap_or(BLOCK_BYTES);
            Ok(block.slice(..left.min(BLOCK_BYTES)))
        });
        stream::iter(chunks.collect::<Vec<_>>()).boxed()
    }

    /// An object to ask for.
    pub(super) async fn first(&self) -> anyhow::Result<ObjectKey> {
        let number = self.named.load(Ordering::SeqCst);
        self.write(1).await.context("cannot write")?;
        self.key(number)
    }

    /// The name of the next object.
    pub(super) fn next_key(&self) -> anyhow::Result<ObjectKey> {
        self.key(self.named())
    }

    /// How many names have been given out.
    pub(super) fn named(&self) -> u64 {
        self.named.load(Ordering::SeqCst)
    }

    /// Removes the objects of these numbers.
    pub(super) async fn remove(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let removals = stream::iter(numbers).map(|number| async move {
            let key = self.key(number)?;
            self.store.delete(&key, &Precondition::None).await?;
            anyhow::Ok(())
        });
        let removals: Vec<anyhow::Result<()>> = removals.buffer_unordered(REMOVING).collect().await;
        // All of them are tried before the first failure is told.
        removals.into_iter().collect()
    }

    /// Removes every object, and makes sure that none is left.
    pub(super) async fn remove_all(&self) -> anyhow::Result<()> {
        self.remove(0..self.named()).await?;
        let root = format!("{PREFIX}{}", self.nonce);
        let page = self.store.list(Some(&root), PAGE).await?;
        let left = page.objects.iter().map(|object| &object.key);
        for key in left.filter(|key| key.as_str().starts_with(&root)) {
            self.store.delete(key, &Precondition::None).await?;
        }
        Ok(())
    }
}
