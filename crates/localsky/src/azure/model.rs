//! What a container holds.

use super::lease::Lease;
use crate::store::Content;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The headers that describe a blob's bytes, as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContentHeaders {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// Base64, of the whole blob; whoever set it vouches for it.
    pub(crate) content_md5: Option<String>,
}

/// An access tier of a block blob (Set Blob Tier).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tier {
    Hot,
    Cool,
    Cold,
    Archive,
}

impl Tier {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tier::Hot => "Hot",
            Tier::Cool => "Cool",
            Tier::Cold => "Cold",
            Tier::Archive => "Archive",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Tier::Hot, Tier::Cool, Tier::Cold, Tier::Archive]
            .into_iter()
            .find(|tier| tier.as_str() == text)
    }
}

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommittedBlock {
    /// Base64, as given.
    pub(crate) id: String,
    pub(crate) size: u64,
    /// How many of the content's segments are this block's.
    pub(crate) segments: usize,
}

/// How a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CopyStatus {
    Pending,
    Success,
    Aborted,
    Failed,
}

impl CopyStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CopyStatus::Pending => "pending",
            CopyStatus::Success => "success",
            CopyStatus::Aborted => "aborted",
            CopyStatus::Failed => "failed",
        }
    }
}

/// The last copy into a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyState {
    pub(crate) id: String,
    /// Without its signature.
    pub(crate) source: String,
    pub(crate) status: CopyStatus,
    pub(crate) copied_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) completed_unix_ms: Option<u64>,
    pub(crate) description: Option<String>,
}

impl CopyState {
    pub(crate) fn is_pending(&self) -> bool {
        self.status == CopyStatus::Pending
    }

    /// A copy that was under way when the store was stopped.
    pub(crate) fn interrupt(&mut self) {
        if self.is_pending() {
            self.status = CopyStatus::Failed;
            self.description = Some("the store was stopped during the copy".into());
        }
    }
}

/// Everything of a blob but its bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Properties {
    /// Never given twice in an account; shown as `0x…`.
    pub(crate) etag: u64,
    pub(crate) created_unix_ms: u64,
    pub(crate) modified_unix_ms: u64,
    pub(crate) headers: ContentHeaders,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// `None`: the account's default, Hot.
    pub(crate) tier: Option<Tier>,
    pub(crate) tier_changed_unix_ms: Option<u64>,
    /// Empty where the blob was written whole.
    pub(crate) blocks: Vec<CommittedBlock>,
    pub(crate) copy: Option<CopyState>,
    pub(crate) lease: Lease,
}

impl Properties {
    /// The entity tag without quotes.
    pub(crate) fn etag(&self) -> String {
        shown_etag(self.etag)
    }

    pub(crate) fn modified(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.modified_unix_ms)
    }
}

/// An entity tag as Azure shows it, without quotes.
pub(crate) fn shown_etag(ticks: u64) -> String {
    format!("0x{ticks:X}")
}

/// A committed blob. Its content is immutable; its properties are replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) properties: Properties,
    pub(crate) content: Arc<Content>,
}

/// A block that was put and not committed.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) content: Content,
    pub(crate) put_unix_ms: u64,
}

/// What is under a name: a blob, uncommitted blocks, or both.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) blob: Option<Arc<Blob>>,
    /// By id, Base64 as given.
    pub(crate) uncommitted: BTreeMap<String, Block>,
}

/// What made an event (Azure Blob Storage as an Event Grid source, `data.api`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    PutBlob,
    PutBlockList,
    CopyBlob,
    DeleteBlob,
}

impl Api {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Api::PutBlob => "PutBlob",
            Api::PutBlockList => "PutBlockList",
            Api::CopyBlob => "CopyBlob",
            Api::DeleteBlob => "DeleteBlob",
        }
    }
}
