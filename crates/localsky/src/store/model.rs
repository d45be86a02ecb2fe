//! What a bucket holds per key.

use super::{Content, GoogleObject, ObjectChecksum};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Attributes, Timestamp};
use std::sync::Arc;

/// A bucket's versioning state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Versioning {
    /// Never enabled: no version ids at all.
    #[default]
    Off,
    /// Every write makes a version.
    Enabled,
    /// Writes replace the version `null`; older versions stay.
    Suspended,
}

/// Everything of an object but its bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ObjectMeta {
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) checksum: Option<ObjectChecksum>,
    /// The parts of a multipart object in order; empty otherwise.
    pub(crate) parts: Vec<PartSummary>,
    /// What only Google Cloud Storage keeps; `None` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) google: Option<GoogleObject>,
}

/// A part of a completed multipart object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartSummary {
    pub(crate) number: u16,
    pub(crate) size: u64,
    /// Base64 of the part's own checksum, in the object's algorithm.
    pub(crate) checksum: Option<String>,
}

/// An object: immutable once published (its tags are replaced as a whole).
#[derive(Clone, Debug)]
pub(crate) struct StoredObject {
    pub(crate) meta: ObjectMeta,
    pub(crate) content: Arc<Content>,
}

/// One version of a key.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `None` is the version written while versioning was not enabled, shown as `null`.
    pub(crate) id: Option<String>,
    /// Grows with every write to the bucket; also the notification's sequencer.
    pub(crate) sequence: u64,
    pub(crate) modified: Timestamp,
    /// `None` is a delete marker.
    pub(crate) object: Option<Arc<StoredObject>>,
}

impl Version {
    /// The version id as S3 shows it.
    pub(crate) fn shown_id(&self) -> &str {
        self.id.as_deref().unwrap_or("null")
    }
}
