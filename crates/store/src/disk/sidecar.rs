//! What a file cannot carry itself: attributes, tags, entity tag and checksum, in small files below `.skyfresh/objects/`.
//!
//! A sidecar is named after the key *and* the inode of the file it describes, and written before that file gets its
//! name. So a reader that has opened a file always finds the sidecar of just that file, and bytes and attributes change
//! in one step. A file without one, or one changed since, is taken for a user's own.

use super::names::sha256_hex;
use super::root::{Root, unlink};
use super::trouble::{Outcome, Tried};
use super::version::{Fingerprint, Stamp};
use crate::ObjectHead;
use crate::checksum::Crc64;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Attributes, ObjectVersion};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

/// Far above what keys, attributes and tags can add up to.
const SIDECAR_LIMIT_BYTES: u64 = 256 << 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) key: String,
    #[serde(flatten)]
    pub(super) stamp: Stamp,
    pub(super) etag: String,
    pub(super) crc64: Option<Crc64>,
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// Where the sidecars of a key are, and how their names begin.
pub(super) struct Shelf {
    directory: String,
    prefix: String,
}

impl Shelf {
    pub(super) fn of(key: &str) -> Self {
        Self::of_hash(&sha256_hex(key)[..32])
    }

    /// From the first 32 characters of the key's SHA-256.
    pub(super) fn of_hash(hash: &str) -> Self {
        let (directory, rest) = hash.split_at_checked(2).unwrap_or((hash, ""));
        Shelf {
            directory: directory.to_owned(),
            prefix: rest.to_owned(),
        }
    }

    /// The hash it was made from: names what belongs to the key.
    pub(super) fn hash(&self) -> String {
        format!("{}{}", self.directory, self.prefix)
    }

    fn name(&self, inode: u64) -> String {
        format!("{}-{inode:x}", self.prefix)
    }

    fn existing(&self, root: &Root) -> Outcome<Option<OwnedFd>> {
        root.existing_private(&["objects", &self.directory])
    }

    /// The sidecar of just this file.
    pub(super) fn load(
        &self,
        root: &Root,
        key: &str,
        file: &Fingerprint,
    ) -> Outcome<Option<Sidecar>> {
        let Some(dir) = self.existing(root)? else {
            return Ok(None);
        };
        let name = self.name(file.inode);
        let Some(bytes) = root.read_private(dir.as_fd(), &name, SIDECAR_LIMIT_BYTES)? else {
            return Ok(None);
        };
        match serde_json::from_slice::<Sidecar>(&bytes) {
            Ok(sidecar) if sidecar.key == key && sidecar.stamp == Stamp::from(file) => {
                Ok(Some(sidecar))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(key, %error, "ignoring a damaged sidecar: its object is taken for a plain file");
                Ok(None)
            }
        }
    }

    /// Writes the sidecar of a file that has no key yet.
    pub(super) fn write(&self, root: &Root, sidecar: &Sidecar) -> Outcome<()> {
        let dir = root.private(&["objects", &self.directory])?;
        root.write_private(
            dir.as_fd(),
            &self.name(sidecar.stamp.inode),
            &encode(sidecar),
        )
    }

    /// Replaces the sidecar of an object in one step. `temporary` is a name nobody else uses.
    pub(super) fn replace(&self, root: &Root, sidecar: &Sidecar, temporary: &str) -> Outcome<()> {
        let dir = root.private(&["objects", &self.directory])?;
        let tmp = root.private(&["tmp"])?;
        let _gate = super::staged::keep_cleaners_out(root)?;
        root.write_private(tmp.as_fd(), temporary, &encode(sidecar))?;
        rustix::fs::renameat(&tmp, temporary, &dir, self.name(sidecar.stamp.inode))
            .tried(|| "publish a sidecar".into())?;
        root.sync_dir(dir.as_fd())
    }

    pub(super) fn remove(&self, root: &Root, inode: u64) -> Outcome<()> {
        let Some(dir) = self.existing(root)? else {
            return Ok(());
        };
        unlink(dir.as_fd(), &self.name(inode)).tried(|| "remove a sidecar".into())
    }
}

fn encode(sidecar: &Sidecar) -> Vec<u8> {
    // Strings, numbers and maps with string keys always encode; should that ever change, an empty sidecar is ignored.
    serde_json::to_vec(sidecar).unwrap_or_default()
}

/// An object's head from its file and, where it has one, its sidecar.
pub(super) fn head(key: &str, file: &Fingerprint, sidecar: Option<Sidecar>) -> ObjectHead {
    let (etag, crc64, attributes, tag_count) = match sidecar {
        Some(sidecar) => (
            sidecar.etag,
            sidecar.crc64,
            sidecar.attributes,
            sidecar.tags.len() as u32,
        ),
        None => {
            let content_type = super::content_type::guess(key).map(str::to_owned);
            (
                file.etag(),
                None,
                Attributes {
                    content_type,
                    ..Attributes::default()
                },
                0,
            )
        }
    };
    let version = ObjectVersion::from_etag(etag);
    ObjectHead {
        version,
        size: file.size,
        modified: file.modified(),
        crc64,
        crc32c: None,
        md5: None,
        attributes,
        tag_count,
    }
}
