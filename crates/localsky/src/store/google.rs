//! What Google Cloud Storage keeps beyond S3, and its versioning: generations instead of version ids, no delete markers.
//!
//! A version's sequence is its generation. The live version of a key is the last one that was not archived. Sources:
//! <https://cloud.google.com/storage/docs/object-versioning>, <https://cloud.google.com/storage/docs/metadata>.

use super::bucket::State;
use super::disk::{self, internal, write_record};
use super::{Bucket, NewObject, StoredObject, Version, Versioning};
use crate::Result;
use s3s::{S3Error, S3Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What only Google Cloud Storage keeps of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoogleObject {
    /// Grows with every change of the metadata; 1 at first.
    pub(crate) metageneration: u64,
    pub(crate) updated_unix_ms: u64,
    /// Base64 of the big-endian CRC32C of the stored bytes.
    pub(crate) crc32c: String,
    /// Base64; composite and multipart objects have none.
    pub(crate) md5: Option<String>,
    /// How many components a composite object was made of.
    pub(crate) component_count: Option<u64>,
    /// RFC 3339, as given.
    pub(crate) custom_time: Option<String>,
    /// When it stopped being the live version; `None` while it is.
    pub(crate) archived_unix_ms: Option<u64>,
}

/// What only Google Cloud Storage keeps of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoogleBucket {
    pub(crate) metageneration: u64,
    /// `None`: not since the bucket was made.
    pub(crate) updated_unix_ms: Option<u64>,
    pub(crate) storage_class: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) notifications: BTreeMap<u64, NotificationConfig>,
    /// Never given twice.
    pub(crate) last_notification_id: u64,
}

impl Default for GoogleBucket {
    fn default() -> Self {
        GoogleBucket {
            metageneration: 1,
            updated_unix_ms: None,
            storage_class: "STANDARD".into(),
            labels: BTreeMap::new(),
            notifications: BTreeMap::new(),
            last_notification_id: 0,
        }
    }
}

/// Which changes are published to which topic
/// (<https://cloud.google.com/storage/docs/json_api/v1/notifications>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotificationConfig {
    /// `projects/PROJECT/topics/TOPIC`.
    pub(crate) topic: String,
    /// Every type where empty.
    pub(crate) event_types: Vec<String>,
    pub(crate) custom_attributes: BTreeMap<String, String>,
    pub(crate) object_name_prefix: String,
    /// `JSON_API_V1` or `NONE`.
    pub(crate) payload_format: String,
}

impl GoogleBucket {
    fn path(directory: &Path) -> PathBuf {
        directory.join("google.json")
    }

    /// What a bucket's directory says; a bucket that was never changed says nothing.
    pub(super) fn load(directory: &Path) -> Result<Self> {
        let path = Self::path(directory);
        if path.exists() {
            disk::read_record(&path)
        } else {
            Ok(Self::default())
        }
    }
}

/// A version of a key as Google Cloud Storage sees it.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) created: Timestamp,
    pub(crate) object: Arc<StoredObject>,
}

impl Generation {
    /// `None` for what another protocol wrote.
    pub(crate) fn of(version: &Version) -> Option<Generation> {
        let object = version.object.clone()?;
        object.meta.google.as_ref()?;
        Some(Generation {
            number: version.sequence,
            created: version.modified,
            object,
        })
    }

    /// What only Google Cloud Storage keeps.
    pub(crate) fn google(&self) -> GoogleObject {
        self.object.meta.google.clone().unwrap_or_default()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.google().archived_unix_ms.is_none()
    }
}

impl State {
    /// The live version of a key.
    pub(crate) fn live(&self, key: &str) -> Option<Generation> {
        let last = self.keys.get(key)?.last()?;
        Generation::of(last).filter(Generation::is_live)
    }

    /// The version of this generation, or the live one.
    pub(crate) fn generation(&self, key: &str, number: Option<u64>) -> Option<Generation> {
        match number {
            None => self.live(key),
            Some(number) => self
                .keys
                .get(key)?
                .iter()
                .find(|version| version.sequence == number)
                .and_then(Generation::of),
        }
    }
}

/// What publishing or removing did.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// The version that was live before.
    pub(crate) before: Option<Generation>,
    /// It is kept as a noncurrent version.
    pub(crate) archived: bool,
}

impl Bucket {
    /// Makes an object the live version of its key. The caller holds the lock and has checked the conditions.
    pub(crate) fn publish_generation(
        &self,
        state: &mut State,
        key: &str,
        mut object: NewObject,
    ) -> S3Result<(Generation, Replaced)> {
        let now_ms = self.surroundings.clock.now().unix_ms();
        let google = object.meta.google.get_or_insert_default();
        (google.metageneration, google.updated_unix_ms) = (1, now_ms);
        let version = self.new_version(
            state,
            Some(Arc::new(StoredObject {
                meta: object.meta,
                content: Arc::new(object.content),
            })),
        );
        let published = Generation::of(&version)
            .ok_or_else(|| S3Error::internal_error(std::io::Error::other("no object")))?;
        // Kept first, so that no instant has two live versions of which one is lost.
        let archived = self.archive_live(state, key)?;
        self.write_version(key, &version)?;
        let before = if archived.archived {
            archived.before
        } else {
            self.discard_live(state, key)
        };
        state.keys.entry(key.to_owned()).or_default().push(version);
        Ok((
            published,
            Replaced {
                before,
                archived: archived.archived,
            },
        ))
    }

    /// Deletes the live version of a key: archived where versioning is on, gone otherwise.
    pub(crate) fn remove_live(&self, state: &mut State, key: &str) -> S3Result<Replaced> {
        let archived = self.archive_live(state, key)?;
        if archived.archived {
            return Ok(archived);
        }
        Ok(Replaced {
            before: self.discard_live(state, key),
            archived: false,
        })
    }

    /// Deletes one version for good.
    pub(crate) fn remove_generation(&self, state: &mut State, key: &str, number: u64) {
        let Some(versions) = state.keys.get_mut(key) else {
            return;
        };
        let Some(index) = versions
            .iter()
            .position(|version| version.sequence == number)
        else {
            return;
        };
        let version = versions.remove(index);
        if versions.is_empty() {
            state.keys.remove(key);
        }
        self.discard(key, &version);
    }

    /// Turns the live version into a noncurrent one, where versioning is on.
    fn archive_live(&self, state: &mut State, key: &str) -> S3Result<Replaced> {
        let before = state.live(key);
        let Some(live) = before
            .clone()
            .filter(|_| state.versioning == Versioning::Enabled)
        else {
            return Ok(Replaced {
                before,
                archived: false,
            });
        };
        let mut object = StoredObject::clone(&live.object);
        let google = object.meta.google.get_or_insert_default();
        google.archived_unix_ms = Some(self.surroundings.clock.now().unix_ms());
        self.replace(state, key, live.number, object)?;
        Ok(Replaced {
            before,
            archived: true,
        })
    }

    fn discard_live(&self, state: &mut State, key: &str) -> Option<Generation> {
        let live = state.live(key)?;
        self.remove_generation(state, key, live.number);
        Some(live)
    }

    /// Changes the metadata of one version.
    pub(crate) fn replace(
        &self,
        state: &mut State,
        key: &str,
        number: u64,
        object: StoredObject,
    ) -> S3Result<Option<Generation>> {
        let Some(version) = state.keys.get_mut(key).and_then(|versions| {
            versions
                .iter_mut()
                .find(|version| version.sequence == number)
        }) else {
            return Ok(None);
        };
        let mut changed = version.clone();
        let archived = object
            .meta
            .google
            .as_ref()
            .is_some_and(|google| google.archived_unix_ms.is_some());
        if archived && changed.id.is_none() {
            // A version without an id gives way to the next one when records are read back; a noncurrent one must not.
            changed.id = Some(format!("{number:016x}"));
        }
        changed.object = Some(Arc::new(object));
        self.write_version(key, &changed)?;
        *version = changed;
        Ok(Generation::of(version))
    }

    /// Records what was changed in `state.google`.
    pub(crate) fn save_google(&self, state: &State) -> S3Result<()> {
        match &self.directory {
            None => Ok(()),
            Some(directory) => {
                write_record(&GoogleBucket::path(directory), &state.google).map_err(internal)
            }
        }
    }

    /// Turns versioning on or off; noncurrent versions stay either way. The caller holds the lock.
    pub(crate) fn set_google_versioning(&self, state: &mut State, enabled: bool) -> S3Result<()> {
        let versioning = if enabled {
            Versioning::Enabled
        } else {
            Versioning::Off
        };
        self.save(versioning)?;
        state.versioning = versioning;
        Ok(())
    }
}
