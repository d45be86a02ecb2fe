//! What a job has done so far, counted as it goes, and the record of each object.

use crate::usage::Usage;
use serde::Serialize;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::Crc64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Failures that a target keeps, to be shown at the end.
const MOST_FAILURES: usize = 20;

/// What became of one object at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkOutcome {
    /// Copied through this process, and proved by checksum.
    Copied,
    /// Copied by the store itself, and proved by checksum.
    ServerCopied,
    /// Left as it is.
    Skipped,
    /// Deleted at the target.
    Deleted,
    /// It could not be done.
    Failed,
    /// A dry run: it would be copied.
    WouldCopy,
    /// A dry run: it would be deleted.
    WouldDelete,
}

/// What became of one object at one target.
#[derive(Clone, Debug, Serialize)]
pub struct BulkRecord {
    /// The key at the source.
    pub key: ObjectKey,
    /// Which target, from 0.
    pub target: usize,
    /// What became of it.
    pub outcome: BulkOutcome,
    /// Bytes in the object.
    pub size: u64,
    /// The version that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ObjectVersion>,
    /// The version that is at the target now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<ObjectVersion>,
    /// CRC64NVME of the bytes, as sent and as the target's store confirmed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub crc64: Option<Crc64>,
    /// Why it was left, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What of its metadata the target cannot keep, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unkept: Vec<String>,
}

fn as_text<S: serde::Serializer>(crc64: &Option<Crc64>, to: S) -> Result<S::Ok, S::Error> {
    match crc64 {
        Some(crc64) => to.collect_str(crc64),
        None => to.serialize_none(),
    }
}

impl BulkRecord {
    pub(super) fn new(key: &ObjectKey, target: usize, outcome: BulkOutcome, size: u64) -> Self {
        BulkRecord {
            key: key.clone(),
            target,
            outcome,
            size,
            source: None,
            destination: None,
            crc64: None,
            why: None,
            unkept: Vec::new(),
        }
    }
}

/// Hears of every object; called from many tasks at once.
pub type BulkListener = Arc<dyn Fn(&BulkRecord) + Send + Sync>;

/// What was done at one target so far.
#[derive(Debug, Default)]
pub struct TargetTally {
    /// Objects copied.
    pub copied: AtomicU64,
    /// Of these, by the store itself.
    pub server_copied: AtomicU64,
    /// Bytes of objects copied.
    pub copied_bytes: AtomicU64,
    /// Objects left as they are.
    pub skipped: AtomicU64,
    /// Objects left because a checksum shows that both are equal.
    pub proved: AtomicU64,
    /// Objects left because only their sizes were compared.
    pub skipped_by_size: AtomicU64,
    /// Objects that could not be copied or deleted.
    pub failed: AtomicU64,
    /// Objects deleted; in a dry run, those that would be.
    pub deleted: AtomicU64,
    /// Objects whose metadata could not all be kept.
    pub unkept: AtomicU64,
    /// Objects that the store could have copied by itself, but nothing would have proved it.
    pub unprovable: AtomicU64,
    /// The target's store could not read a URL of the source's: it is not asked again.
    pub(super) cannot_pull: AtomicBool,
    /// Objects that will be copied, their bytes, and objects that will be deleted, as far as is known.
    pub planned: AtomicU64,
    /// Bytes of these.
    pub planned_bytes: AtomicU64,
    /// Of these, bytes of objects that relays could carry, as they may have parts.
    pub planned_in_parts: AtomicU64,
    /// Requests and bytes, for the bill.
    pub usage: Usage,
    failures: Mutex<Vec<(ObjectKey, Kind, String)>>,
    unkept_kinds: Mutex<Vec<String>>,
    /// Why nothing more is done here, and what the caller may do about it.
    given_up: Mutex<Option<(Kind, String)>>,
    /// Why nothing was deleted.
    deletes_refused: Mutex<Option<String>>,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TargetTally {
    /// The first failures: key, kind, why.
    pub fn failures(&self) -> Vec<(ObjectKey, Kind, String)> {
        lock(&self.failures).clone()
    }

    /// What could not be kept, without repeats.
    pub fn unkept_kinds(&self) -> Vec<String> {
        lock(&self.unkept_kinds).clone()
    }

    /// Why nothing more is done at this target.
    pub fn given_up(&self) -> Option<(Kind, String)> {
        lock(&self.given_up).clone()
    }

    /// Why nothing was deleted at this target.
    pub fn deletes_refused(&self) -> Option<String> {
        lock(&self.deletes_refused).clone()
    }

    pub(super) fn give_up(&self, kind: Kind, why: String) {
        lock(&self.given_up).get_or_insert((kind, why));
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Nothing more is done at this target.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn refuse_deletes(&self, why: String) {
        lock(&self.deletes_refused).get_or_insert(why);
    }

    pub(super) fn failed(&self, key: &ObjectKey, kind: Kind, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = lock(&self.failures);
        if failures.len() < MOST_FAILURES {
            failures.push((key.clone(), kind, why.to_owned()));
        }
    }

    pub(super) fn lost_metadata(&self, unkept: &[String]) {
        if unkept.is_empty() {
            return;
        }
        self.unkept.fetch_add(1, Ordering::Relaxed);
        let mut kinds = lock(&self.unkept_kinds);
        for what in unkept {
            if kinds.len() < MOST_FAILURES && !kinds.contains(what) {
                kinds.push(what.clone());
            }
        }
    }
}

/// What a job has done so far. Read by whoever shows progress while it runs.
#[derive(Debug, Default)]
pub struct BulkTally {
    /// One for each target, in order.
    pub targets: Vec<TargetTally>,
    /// Objects listed at the source.
    pub source_listed: AtomicU64,
    /// Objects meant: listed, and in scope.
    pub selected: AtomicU64,
    /// The source's listing is complete: what is planned is all there is.
    pub source_complete: AtomicBool,
    /// Bytes read from the source.
    pub bytes_read: AtomicU64,
    unusable: Mutex<Vec<String>>,
    /// Why the source could not be listed to its end.
    source_failed: Mutex<Option<(Kind, String)>>,
}

impl BulkTally {
    /// Nothing done yet.
    pub fn new(targets: usize) -> Arc<Self> {
        let mut tally = BulkTally::default();
        tally.targets.resize_with(targets, TargetTally::default);
        Arc::new(tally)
    }

    /// Source keys that no object here can have.
    pub fn unusable(&self) -> Vec<String> {
        lock(&self.unusable).clone()
    }

    /// Why the source could not be listed to its end.
    pub fn source_failed(&self) -> Option<(Kind, String)> {
        lock(&self.source_failed).clone()
    }

    pub(super) fn add_unusable(&self, keys: &[String]) {
        lock(&self.unusable).extend_from_slice(keys);
    }

    pub(super) fn source_fails(&self, kind: Kind, why: String) {
        lock(&self.source_failed).get_or_insert((kind, why));
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
