//! The rows, as values.

use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Timestamp, Usd};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a claim is on: one key, on its way to one destination, under one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The rule's name.
    pub rule: String,
    /// The destination's name, unique within the rule.
    pub destination: String,
    /// The object.
    pub key: ObjectKey,
}

impl std::fmt::Display for TaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}: {}", self.rule, self.destination, self.key)
    }
}

/// Where we learnt that a key may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A notification or a disk watch.
    Live,
    /// The first sweep of a rule: objects that were there before it. Does not count towards the SLO.
    Backfill,
    /// A later sweep found what no notification had told. Counts towards the SLO, and as a lost notification.
    Repair,
}

/// "This key may have changed." The truth is the source; everything here is a hint or for measuring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Where it came from.
    pub origin: Origin,
    /// When the source changed, as the source says.
    pub changed: Timestamp,
    /// When we learnt of it.
    pub notified: Timestamp,
    /// The object's size, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A signal on its way into the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// For which key.
    pub task: TaskKey,
    /// What was heard.
    pub signal: Signal,
}

/// What became of a batch of submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitReport {
    /// New tasks.
    pub created: usize,
    /// Signals that an unclaimed task absorbed.
    pub merged: usize,
    /// Signals that marked a claimed task dirty: its owner will find it pending again.
    pub dirtied: usize,
}

/// Who holds a claim, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder: one incarnation of one process.
    pub owner: String,
    /// Fencing token: greater than every earlier token of the same row, even across its deletion.
    pub token: u64,
    /// After this anyone may claim.
    pub expires: Timestamp,
}

/// Why the last attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of trouble.
    pub kind: Kind,
    /// What failed, on what, why.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A transfer under way: recorded before its first byte moves, so that a successor can resume or discard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unique name; the part pool's key.
    pub id: String,
    /// The source version it copies.
    pub source: ObjectVersion,
    /// The destination's upload id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// The plan, as the engine's own JSON.
    pub plan: serde_json::Value,
}

/// A key that must be brought up to date at a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// For which key.
    pub task: TaskKey,
    /// The newest signal.
    pub signal: Signal,
    /// When the oldest change not yet covered happened; lag is counted from here.
    pub changed_since: Timestamp,
    /// When we first learnt of a change not yet covered; the watermark cannot pass it.
    pub pending_since: Timestamp,
    /// Not to be claimed before.
    pub due: Timestamp,
    /// Failed attempts since the last success.
    pub failures: u32,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// The live or last claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// A signal that came while claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<Signal>,
    /// The transfer under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// A task, claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The task as it was when claimed.
    pub task: Task,
    /// The fencing token, to be given with every change.
    pub token: u64,
    /// The task was taken over from a holder whose lease ran out: it may still be running.
    pub takeover: bool,
}

/// What a finished claim achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Bytes were moved, verified and published.
    Copied,
    /// The destination already had this version.
    AlreadyEqual,
    /// The object was deleted at the destination.
    Deleted,
    /// The object is absent at the source, and absent or deliberately kept at the destination.
    Absent,
    /// The rule does not cover it (filter, deletes off).
    OutOfScope,
}

/// Proof of one finished claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// For which key.
    pub task: TaskKey,
    /// What was achieved.
    pub outcome: Outcome,
    /// How we learnt of the change.
    pub origin: Origin,
    /// The source version now at the destination; `None` where the source is absent.
    pub source: Option<ObjectVersion>,
    /// The destination version.
    pub destination: Option<ObjectVersion>,
    /// CRC64NVME of the bytes, hexadecimal, where bytes were moved.
    pub crc64: Option<String>,
    /// When the oldest covered change happened at the source.
    pub changed: Timestamp,
    /// When we learnt of it.
    pub notified: Timestamp,
    /// When this claim began.
    pub started: Timestamp,
    /// When it was readable at the destination.
    pub published: Timestamp,
    /// Bytes of the object.
    pub size: u64,
    /// Bytes that workers read from the source, repeats included.
    pub bytes_moved: u64,
    /// Requests to both stores.
    pub requests: u32,
    /// What it cost by the catalogue.
    pub spend: Usd,
    /// The strategy, e.g. `inline`, `multipart 4 x 16 MiB`.
    pub strategy: String,
    /// Failed attempts before this one.
    pub failures: u32,
    /// What of the source's metadata the destination cannot keep, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unkept: Vec<String>,
    /// Bytes that no worker had to carry, because the destination's store had them already or took them from the source's store.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_saved: u64,
    /// Dollars by the catalogue that this saved.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub saved: Usd,
    /// What was predicted of the transfer, and what it took; `None` where nothing was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn is_nothing(sum: &Usd) -> bool {
    *sum == Usd::ZERO
}

/// What the planner predicted of a transfer when it chose it, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The way that was chosen, in words.
    pub way: String,
    /// Why it was.
    pub why: String,
    /// How many ways there were.
    pub candidates: u32,
    /// Half of such transfers were predicted to take no longer, from looking at both stores until the copy is readable.
    pub p50_ms: u64,
    /// As many as the SLO's percentile says were predicted to take no longer.
    pub at_slo_ms: u64,
    /// What was left of the SLO's delay.
    pub left_ms: u64,
    /// The predicted probability to take no longer than that, in thousandths.
    pub in_time_permille: u16,
    /// The predicted price.
    pub price: Usd,
    /// What it took; `None` while it is under way, or where an earlier attempt had done part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

impl Receipt {
    /// From the change at the source until it, or a newer version, was readable at the destination.
    pub fn lag(&self) -> Duration {
        self.published.since(self.changed)
    }
}

/// The compact memory of one key at one destination, at most 64 bytes on disk: hashes of the two versions that were
/// last verified equal. Losing it costs a HEAD or a comparison, never correctness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Hash of the source version.
    pub source: u64,
    /// Hash of the destination version.
    pub destination: u64,
}

/// A delete that was carried out, kept for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// When the destination's object was deleted.
    pub deleted: Timestamp,
    /// The version that was deleted.
    pub destination: Option<ObjectVersion>,
}

/// Everything a successful claim leaves behind, applied in one step.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The proof.
    pub receipt: Receipt,
    /// `Some` replaces the key's mark; `None` removes it.
    pub mark: Option<Mark>,
    /// `Some` leaves a tombstone; `None` removes one.
    pub tombstone: Option<Tombstone>,
}

/// Whether a finished task is gone or pending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Nothing more to do for this key.
    Done,
    /// It was marked dirty while claimed: it is due again at once.
    Again,
}

/// A part some worker may now copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartClaim {
    /// From 1.
    pub number: u32,
    /// Another worker holds it too: it is among the slowest.
    pub duplicate: bool,
}

/// A part the destination holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartDone {
    /// From 1.
    pub number: u32,
    /// The destination's entity tag of the part.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// CRC64NVME of the bytes, where known.
    pub crc64: Option<u64>,
    /// CRC32C of the bytes, where the source states one of the whole object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
}

/// The state of a part pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Parts in all.
    pub total: u32,
    /// Parts done.
    pub done: u32,
    /// True for exactly one [`Ledger::finish_part`](crate::Ledger::finish_part) call: the one that completed the pool.
    pub completed_now: bool,
}

/// "An upload for this key is about to be, or was, begun by us." Written before the upload exists, so that a crash in
/// between leaks nothing for longer than the janitor's period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadIntent {
    /// For which key.
    pub task: TaskKey,
    /// The attempt.
    pub attempt: String,
    /// The upload id, once known.
    pub upload: Option<String>,
    /// When the intent was written.
    pub started: Timestamp,
}

/// What is pending for one destination of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Keys.
    pub objects: u64,
    /// Their bytes, as far as sizes are known.
    pub bytes: u64,
    /// Keys whose last attempt failed, by kind.
    pub failing: BTreeMap<Kind, u64>,
    /// The key that has been pending longest, and since when we know of it.
    pub oldest: Option<(ObjectKey, Timestamp)>,
    /// When that key's oldest uncovered change happened at the source.
    pub oldest_changed: Option<Timestamp>,
}
