//! Object stores in this process's memory, for `mem://` locations, trials and tests.
//!
//! **In:** a [`MemorySky`], passed to whoever needs its buckets: two stores of one bucket name see the same objects only
//! when they come from the same sky. Nothing is global.
//! **Out:** [`MemoryStore`]s as strict as S3 (conditions, versions, multipart, limits), events of every change
//! ([`MemorySky::subscribe`]), and failures on demand ([`MemorySky::set_fault`]).
//! **Never:** evicts, forgets an upload, or copies the bytes it is given.

mod bucket;
mod call;
mod fault;
mod operations;
mod payload;
#[cfg(test)]
mod tests;

pub use fault::{BodyFault, Fault, Operation, OperationKind};

use crate::checksum::Crc64;
use crate::local::{PAGE_LIMIT, Refusal};
use crate::{Capabilities, ConditionSupport, UploadLimits, Verification};
use bucket::{Bucket, Moment};
use bytes::Bytes;
use payload::Payload;
use skyfresh_sky::{Attributes, Clock, Location, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::mpsc;

/// What a memory bucket can do by default: everything but versioning, without limits of size. A bucket created with a
/// weaker record behaves as it says: it ignores the conditions it does not enforce and refuses what it does not offer.
pub const MEMORY_CAPABILITIES: Capabilities = Capabilities {
    put_if_absent: ConditionSupport::Enforced,
    put_if_version: ConditionSupport::Enforced,
    complete_if_absent: ConditionSupport::Enforced,
    complete_if_version: ConditionSupport::Enforced,
    delete_if_version: ConditionSupport::Enforced,
    get_if_version: ConditionSupport::Enforced,
    copy: true,
    copy_part: true,
    multipart: true,
    list_uploads: true,
    tags: true,
    versioned: false,
    verification: Verification::Returned,
    upload_limits: UploadLimits::LOCAL,
    metadata: crate::MetadataLimits::LOCAL,
    batch_delete: None,
    pull: false,
};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryEventKind {
    /// It was published: by a put, a copy or a completed upload.
    Put,
    /// It was deleted. Deleting an absent object is no event.
    Delete,
}

/// One change of one object, in the order in which changes happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryEvent {
    /// The bucket.
    pub bucket: String,
    /// The whole key in the bucket.
    pub full_key: String,
    /// What happened.
    pub kind: MemoryEventKind,
    /// Size in bytes of what was published or deleted.
    pub size: u64,
    /// Entity tag of what was published or deleted.
    pub etag: String,
    /// Version id of what was published or deleted, in a versioned bucket.
    pub version_id: Option<String>,
    /// CRC64NVME of the bytes that were published or deleted, whether or not the bucket states it to its users.
    pub crc64: Crc64,
    /// When.
    pub at: Timestamp,
}

/// How a bucket answers, where stores differ and no condition or limit says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketStyle {
    /// Whether entity tags are the MD5 of what one request wrote, as on S3 without encryption by key service. Otherwise they
    /// say nothing about content and never recur, as on Google Cloud Storage and Azure.
    pub content_etags: bool,
    /// Whether heads and receipts state the CRC64NVME. Stores that keep none exist; copies from them are compared by what
    /// was read.
    pub states_checksums: bool,
}

impl BucketStyle {
    /// S3's.
    pub const S3: BucketStyle = BucketStyle {
        content_etags: true,
        states_checksums: true,
    };
}

/// Buckets by name, shared by every store made from it. Cheap to clone; clones are the same sky.
#[derive(Clone)]
pub struct MemorySky {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<SkyState>>,
}

/// Hears of every change at the moment it happens. Runs under the sky's lock: it must not call back.
pub type ChangeHook = dyn Fn(&MemoryEvent) + Send + Sync;

/// Decides which operations fail, and how.
pub type FaultHook = dyn Fn(&Operation<'_>) -> Option<Fault> + Send + Sync;

#[derive(Default)]
struct SkyState {
    buckets: BTreeMap<String, Bucket>,
    subscribers: Vec<mpsc::UnboundedSender<MemoryEvent>>,
    fault: Option<Arc<FaultHook>>,
    on_change: Option<Arc<ChangeHook>>,
    operations: u64,
    identities: u64,
}

impl std::fmt::Debug for MemorySky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.lock().buckets.keys().cloned().collect();
        f.debug_struct("MemorySky")
            .field("buckets", &names)
            .finish_non_exhaustive()
    }
}

impl MemorySky {
    /// A sky without buckets, whose objects are dated by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        MemorySky {
            clock,
            state: Arc::default(),
        }
    }

    /// Creates an empty bucket with [`MEMORY_CAPABILITIES`]; one that is there already is left as it is.
    pub fn create_bucket(&self, name: &str) {
        self.create_bucket_with(name, MEMORY_CAPABILITIES);
    }

    /// Creates an empty bucket that can do what `capabilities` says: versioning, S3's limits, conditions that are
    /// silently ignored. One that is there already is left as it is.
    pub fn create_bucket_with(&self, name: &str, capabilities: Capabilities) {
        self.lock()
            .buckets
            .entry(name.to_owned())
            .or_insert_with(|| Bucket::new(capabilities));
    }

    /// Sets how a bucket answers from now on; [`BucketStyle::S3`] before.
    pub fn set_style(&self, name: &str, style: BucketStyle) {
        if let Some(bucket) = self.lock().buckets.get_mut(name) {
            bucket.style = style;
        }
    }

    /// Removes a bucket with everything in it: its stores answer `NoSuchBucket` from now on.
    pub fn remove_bucket(&self, name: &str) {
        self.lock().buckets.remove(name);
    }

    /// A store at `location` (its `bucket` and `prefix` count). The bucket may be created later.
    pub fn store(&self, location: Location) -> Arc<MemoryStore> {
        Arc::new(MemoryStore {
            sky: self.clone(),
            location,
        })
    }

    /// Every change from now on, of every bucket, in order. The channel is unbounded: what is not read stays in memory.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<MemoryEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().subscribers.push(sender);
        receiver
    }

    /// Tells `hook` of every change from now on, in the instant and order in which changes happen. Replaces an earlier hook.
    pub fn on_change(&self, hook: Box<ChangeHook>) {
        self.lock().on_change = Some(Arc::from(hook));
    }

    /// Asks `hook` before every operation of every store whether it shall fail, and how. Replaces an earlier hook.
    /// The hook runs while nothing is locked.
    pub fn set_fault(&self, hook: Box<FaultHook>) {
        self.lock().fault = Some(Arc::from(hook));
    }

    /// Operations succeed again.
    pub fn clear_fault(&self) {
        self.lock().fault = None;
    }

    fn lock(&self) -> MutexGuard<'_, SkyState> {
        // A panic elsewhere cannot leave a bucket half changed: every change is one insertion or removal.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs `work` on a bucket under the lock, then sends the events it left.
    fn with_bucket<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Bucket, Moment) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let now = self.clock.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        state.identities += 1;
        let moment = Moment {
            now,
            identity: state.identities,
        };
        let bucket = state
            .buckets
            .get_mut(name)
            .ok_or_else(|| Refusal::no_such_bucket(name))?;
        let result = work(bucket, moment);
        for change in bucket.changes.drain(..) {
            let event = MemoryEvent {
                bucket: name.to_owned(),
                full_key: change.full_key,
                kind: change.kind,
                size: change.size,
                etag: change.version.etag,
                version_id: change.version.version_id,
                crc64: change.crc64,
                at: now,
            };
            if let Some(hook) = &state.on_change {
                hook(&event);
            }
            state
                .subscribers
                .retain(|subscriber| subscriber.send(event.clone()).is_ok());
        }
        result
    }

    /// Replaces an object as another writer would.
    fn overwrite(&self, bucket: &str, full_key: &str, bytes: Bytes) -> Result<(), Refusal> {
        self.with_bucket(bucket, |bucket, moment| {
            let payload = Payload::of(vec![bytes], bucket.style);
            bucket
                .put(
                    full_key,
                    payload,
                    Attributes::default(),
                    &crate::Precondition::None,
                    moment,
                )
                .map(drop)
        })
    }
}

/// A bucket of a [`MemorySky`], below a prefix.
pub struct MemoryStore {
    sky: MemorySky,
    location: Location,
}

impl MemoryStore {
    /// A store in a sky of its own, its bucket created.
    pub fn new(location: Location, clock: Arc<dyn Clock>) -> Arc<Self> {
        let sky = MemorySky::new(clock);
        sky.create_bucket(&location.bucket);
        sky.store(location)
    }

    /// The sky it belongs to.
    pub fn sky(&self) -> &MemorySky {
        &self.sky
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
