//! Objects: their keys, versions and attributes.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// S3's limit on the total of user-metadata names and values, in bytes (S3 user guide, "Working with object metadata").
pub const USER_METADATA_LIMIT_BYTES: usize = 2048;

const KEY_LIMIT_BYTES: usize = 1024;

/// A key below a location's prefix: 1 to 1,024 bytes of UTF-8 without NUL. `/`, `//`, `.` and `..` are ordinary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks and wraps a key.
    ///
    /// # Errors
    /// Empty, longer than 1,024 bytes, or with a NUL.
    pub fn new(key: impl Into<String>) -> Result<Self, Invalid> {
        let key = key.into();
        if key.is_empty() {
            return Err(Invalid::new("object key", key, "is empty"));
        }
        if key.len() > KEY_LIMIT_BYTES {
            let shown: String = key.chars().take(64).collect();
            return Err(Invalid::new(
                "object key",
                format!("{shown}…"),
                format!(
                    "is {} bytes long; the limit is {KEY_LIMIT_BYTES}",
                    key.len()
                ),
            ));
        }
        if key.contains('\0') {
            return Err(Invalid::new("object key", key, "contains a NUL character"));
        }
        Ok(ObjectKey(key))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        ObjectKey::new(text)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> String {
        key.0
    }
}

/// Which content of a key: what reads are pinned to and what writes are conditional on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// The entity tag without quotes. Always present; on S3 it follows from the content, so it can recur.
    pub etag: String,
    /// The version id (S3 with versioning) or generation (GCS), where the store has one. Never recurs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

impl ObjectVersion {
    /// A version known by its entity tag alone.
    pub fn from_etag(etag: impl Into<String>) -> Self {
        ObjectVersion {
            etag: etag.into(),
            version_id: None,
        }
    }
}

impl std::fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version_id {
            Some(id) => write!(f, "{}@{id}", self.etag),
            None => f.write_str(&self.etag),
        }
    }
}

/// What an object carries beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// Website redirect location (S3).
    pub website_redirect: Option<String>,
    /// Storage class by the store's own name; `None` is the bucket's default.
    pub storage_class: Option<String>,
    /// User metadata; names in lower case, without any provider prefix.
    pub user: BTreeMap<String, String>,
}

impl Attributes {
    /// Bytes of user metadata as S3 counts them: names plus values.
    pub fn user_bytes(&self) -> usize {
        self.user
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}
