//! What an endpoint can do. Probed, not assumed: some servers silently ignore conditions.

use crate::MetadataLimits;
use serde::{Deserialize, Serialize};

/// How far a conditional request can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionSupport {
    /// A false condition was refused when probed.
    Enforced,
    /// A false condition was accepted when probed: writing under it protects nothing.
    Ignored,
    /// The store answered that it does not implement it.
    Unsupported,
}

impl ConditionSupport {
    /// Whether writing under a condition protects.
    pub fn enforced(self) -> bool {
        self == ConditionSupport::Enforced
    }
}

/// How the store lets us prove that it holds the bytes we sent, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It checks a CRC64NVME sent with the body (trailer) and refuses a mismatch.
    Crc64Nvme,
    /// It checks a CRC32C sent with the body (trailer) and refuses a mismatch.
    Crc32c,
    /// It answers with the CRC64NVME of each block it received, which is compared before a commit makes the block visible
    /// (Azure; small objects are put with their MD5, which it checks).
    Crc64Answered,
    /// Its ETag of a single PUT or part is the MD5 of the bytes, which we compare.
    EtagMd5,
    /// It states a checksum of what it wrote, which we compare under a temporary name before publishing.
    Staged,
    /// It computes the checksum on its own side as it writes (disk, memory) and returns it.
    Returned,
}

/// Sizes and counts of multipart uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadLimits {
    /// Smallest part but for the last, bytes.
    pub min_part_bytes: u64,
    /// Largest part, bytes.
    pub max_part_bytes: u64,
    /// Most parts.
    pub max_parts: u32,
    /// Largest single PUT, bytes.
    pub max_put_bytes: u64,
}

impl UploadLimits {
    /// S3's (user guide, "Amazon S3 multipart upload limits"): 10,000 parts of 5 MiB to 5 GiB.
    pub const S3: UploadLimits = UploadLimits {
        min_part_bytes: 5 << 20,
        max_part_bytes: 5 << 30,
        max_parts: 10_000,
        max_put_bytes: 5 << 30,
    };
    /// Google's XML multipart uploads (<https://cloud.google.com/storage/quotas>): 10,000 parts of 5 MiB to 5 GiB, objects of 5 TiB.
    pub const GCS_XML: UploadLimits = UploadLimits {
        min_part_bytes: 5 << 20,
        max_part_bytes: 5 << 30,
        max_parts: 10_000,
        max_put_bytes: 5 << 40,
    };
    /// Where parts are objects of their own that Google composes: no least size. The number of parts is ours, as elsewhere.
    pub const GCS_COMPOSE: UploadLimits = UploadLimits {
        min_part_bytes: 1,
        max_part_bytes: 5 << 40,
        max_parts: 10_000,
        max_put_bytes: 5 << 40,
    };
    /// Azure's ("Scalability and performance targets for Blob storage"): 50,000 blocks of at most 4,000 MiB. A single put is one
    /// block, so that its bytes are proved before they are visible.
    pub const AZURE: UploadLimits = UploadLimits {
        min_part_bytes: 1,
        max_part_bytes: 4000 << 20,
        max_parts: 50_000,
        max_put_bytes: 4000 << 20,
    };
    /// No limit but the part count, for disk and memory.
    pub const LOCAL: UploadLimits = UploadLimits {
        min_part_bytes: 1,
        max_part_bytes: u64::MAX,
        max_parts: 10_000,
        max_put_bytes: u64::MAX,
    };
}

/// Deleting many objects by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchDelete {
    /// Most keys in a request.
    pub most_keys: u32,
    /// Whether a condition on a key in it protects. Where it does not, what has a condition is deleted by requests of its own.
    pub if_version: ConditionSupport,
}

/// The capability record of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// PUT only if absent.
    pub put_if_absent: ConditionSupport,
    /// PUT only over a given version.
    pub put_if_version: ConditionSupport,
    /// Completing an upload only if absent.
    pub complete_if_absent: ConditionSupport,
    /// Completing an upload only over a given version.
    pub complete_if_version: ConditionSupport,
    /// DELETE only of a given version.
    pub delete_if_version: ConditionSupport,
    /// GET only of a given version. Whatever this says, adapters compare the version of every response.
    pub get_if_version: ConditionSupport,
    /// Server-side copy of an object.
    pub copy: bool,
    /// Server-side copy of a range into a part (concat).
    pub copy_part: bool,
    /// Multipart uploads by explicit id.
    pub multipart: bool,
    /// Listing of unfinished uploads.
    pub list_uploads: bool,
    /// Object tags.
    pub tags: bool,
    /// Version ids.
    pub versioned: bool,
    /// How bytes are proved.
    pub verification: Verification,
    /// Part sizes and counts.
    pub upload_limits: UploadLimits,
    /// What it keeps beside the bytes.
    pub metadata: MetadataLimits,
    /// Deleting many objects by one request; `None` where each is one.
    #[serde(default)]
    pub batch_delete: Option<BatchDelete>,
    /// Publishing what it reads itself from a URL of another store.
    #[serde(default)]
    pub pull: bool,
}

impl Capabilities {
    /// How many objects one request deletes, where each is deleted only as a given version, or whatever it is.
    pub fn deletes_a_request(&self, if_version: bool) -> usize {
        match self.batch_delete {
            Some(batch) if !if_version || batch.if_version.enforced() => {
                batch.most_keys.max(1) as usize
            }
            _ => 1,
        }
    }
}
