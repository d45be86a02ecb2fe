//! One bucket: its keys' versions, and every change to them under one lock.

use super::completed::CompletedUploads;
use super::disk::{
    self, Disk, ObjectRecord, VersionRecord, internal, keep, references, release, version_file,
    write_record,
};
use super::multipart::Uploads;
pub(crate) use super::outcomes::{Lookup, NewObject, Published, Removed};
use super::{
    DeleteCondition, GoogleBucket, ObjectMeta, StoredObject, Surroundings, Version, Versioning,
    WriteCondition,
};
use crate::Result;
use crate::config::Protocol;
use crate::notify::{Event, EventName};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Serialize, Deserialize)]
struct BucketRecord {
    created_unix_ms: u64,
    versioning: Versioning,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) versioning: Versioning,
    /// Oldest version first; no key without a version. `str` orders by UTF-8 bytes, as listings must.
    pub(crate) keys: BTreeMap<String, Vec<Version>>,
    pub(crate) uploads: Uploads,
    pub(crate) completed: CompletedUploads,
    /// What only Google Cloud Storage keeps.
    pub(crate) google: GoogleBucket,
    last_sequence: u64,
}

impl State {
    pub(crate) fn current(&self, key: &str) -> Option<&Version> {
        self.keys.get(key).and_then(|versions| versions.last())
    }

    pub(crate) fn current_etag(&self, key: &str) -> Option<&str> {
        self.current(key)?
            .object
            .as_ref()
            .map(|object| object.meta.etag.as_str())
    }

    pub(crate) fn shown_version_id(&self, version: &Version) -> Option<String> {
        (self.versioning != Versioning::Off || version.id.is_some())
            .then(|| version.shown_id().to_owned())
    }
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) surroundings: Arc<Surroundings>,
    /// Of its records; `None` in memory.
    pub(crate) directory: Option<PathBuf>,
    state: Mutex<State>,
}

impl Bucket {
    pub(crate) fn create(
        name: &str,
        versioning: Versioning,
        disk: Option<&Disk>,
        surroundings: Arc<Surroundings>,
    ) -> S3Result<Self> {
        let directory = disk.map(|disk| disk.bucket(name));
        if let Some(directory) = &directory {
            for part in ["versions", "uploads/records", "uploads/parts"] {
                std::fs::create_dir_all(directory.join(part)).map_err(internal)?;
            }
        }
        let bucket = Bucket {
            name: name.to_owned(),
            created: surroundings.clock.now(),
            surroundings,
            directory,
            state: Mutex::new(State {
                versioning,
                ..Default::default()
            }),
        };
        bucket.save(versioning)?;
        Ok(bucket)
    }

    /// Reads a bucket back from its records.
    pub(crate) fn load(
        name: &str,
        disk: &Disk,
        surroundings: Arc<Surroundings>,
        referenced: &mut HashSet<String>,
    ) -> Result<Self> {
        let directory = disk.bucket(name);
        let record: BucketRecord = disk::read_record(&directory.join("bucket.json"))?;
        let mut records: Vec<VersionRecord> = disk::read_records(&directory.join("versions"))?
            .into_values()
            .collect();
        records.sort_by_key(|record| record.sequence);
        let mut state = State {
            versioning: record.versioning,
            ..Default::default()
        };
        for record in records {
            let object = match &record.object {
                None => None,
                Some(object) => {
                    let content = Arc::new(disk.load_content(&object.files, referenced)?);
                    Some(Arc::new(StoredObject {
                        meta: object.meta.clone(),
                        content,
                    }))
                }
            };
            state.last_sequence = state.last_sequence.max(record.sequence);
            let versions = state.keys.entry(record.key.clone()).or_default();
            // Killed between writing the new null version and removing the one it replaced.
            if record.id.is_none()
                && let Some(old) = versions.iter().position(|version| version.id.is_none())
            {
                let old = versions.remove(old);
                let stale = directory
                    .join("versions")
                    .join(version_file(&record.key, old.sequence));
                disk::remove_record(&stale)?;
                if let Some(object) = &old.object {
                    release(&object.content);
                }
            }
            versions.push(Version {
                id: record.id,
                sequence: record.sequence,
                modified: Timestamp::from_unix_ms(record.modified_unix_ms),
                object,
            });
        }
        state.uploads = Uploads::load(&directory.join("uploads"), disk, referenced)?;
        state.google = GoogleBucket::load(&directory)?;
        Ok(Bucket {
            name: name.to_owned(),
            created: Timestamp::from_unix_ms(record.created_unix_ms),
            surroundings,
            directory: Some(directory),
            state: Mutex::new(state),
        })
    }

    pub(super) fn save(&self, versioning: Versioning) -> S3Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let record = BucketRecord {
            created_unix_ms: self.created.unix_ms(),
            versioning,
        };
        write_record(&directory.join("bucket.json"), &record).map_err(internal)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn versioning(&self) -> Versioning {
        self.lock().versioning
    }

    pub(crate) fn set_versioning(&self, versioning: Versioning) -> S3Result<()> {
        let mut state = self.lock();
        self.save(versioning)?;
        state.versioning = versioning;
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().keys.is_empty()
    }

    /// Publishes an object if `condition` holds, at one instant.
    pub(crate) fn publish(
        &self,
        key: &str,
        object: NewObject,
        condition: &WriteCondition,
        event: EventName,
    ) -> S3Result<Published> {
        let mut state = self.lock();
        condition.check(state.current_etag(key))?;
        self.publish_locked(&mut state, key, object, event)
    }

    /// The unconditional part of publishing; the caller holds the lock and has checked the condition.
    pub(crate) fn publish_locked(
        &self,
        state: &mut State,
        key: &str,
        object: NewObject,
        event: EventName,
    ) -> S3Result<Published> {
        let object = Arc::new(StoredObject {
            meta: object.meta,
            content: Arc::new(object.content),
        });
        let version = self.new_version(state, Some(object.clone()));
        let published = Published {
            version_id: state.shown_version_id(&version),
            modified: version.modified,
            object: object.clone(),
        };
        let sequence = version.sequence;
        self.append(state, key, version)?;
        self.notify(
            key,
            event,
            sequence,
            published.version_id.clone(),
            Some(&object.meta),
        );
        Ok(published)
    }

    pub(super) fn new_version(
        &self,
        state: &mut State,
        object: Option<Arc<StoredObject>>,
    ) -> Version {
        let now = self.surroundings.clock.now();
        // Beyond any sequence of an earlier run, too, as long as the clock does not fall behind it.
        state.last_sequence = (state.last_sequence + 1).max(now.unix_ms() * 1_000);
        // Unique by the sequence, also where a seed is used again; hard to guess by the token.
        let id = (state.versioning == Versioning::Enabled).then(|| {
            format!(
                "{:016x}{}",
                state.last_sequence,
                self.surroundings.rng.token()
            )
        });
        Version {
            id,
            sequence: state.last_sequence,
            modified: now,
            object,
        }
    }

    /// Makes `version` the current one. A `null` version replaces the one before it.
    fn append(&self, state: &mut State, key: &str, version: Version) -> S3Result<()> {
        self.write_version(key, &version)?;
        let replaces_null = version.id.is_none();
        let versions = state.keys.entry(key.to_owned()).or_default();
        let old = versions
            .iter()
            .position(|version| replaces_null && version.id.is_none())
            .map(|index| versions.remove(index));
        versions.push(version);
        if let Some(old) = old {
            self.discard(key, &old);
        }
        Ok(())
    }

    /// Writes the record of a version and keeps its data.
    pub(super) fn write_version(&self, key: &str, version: &Version) -> S3Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let record = VersionRecord {
            key: key.to_owned(),
            id: version.id.clone(),
            sequence: version.sequence,
            modified_unix_ms: version.modified.unix_ms(),
            object: version.object.as_ref().map(|object| ObjectRecord {
                meta: object.meta.clone(),
                files: references(&object.content),
            }),
        };
        let path = directory
            .join("versions")
            .join(version_file(key, version.sequence));
        write_record(&path, &record).map_err(internal)?;
        if let Some(object) = &version.object {
            keep(&object.content);
        }
        Ok(())
    }

    /// Removes the record of a version that is no longer listed, then lets its data go.
    pub(super) fn discard(&self, key: &str, version: &Version) {
        let Some(directory) = &self.directory else {
            return;
        };
        let path = directory
            .join("versions")
            .join(version_file(key, version.sequence));
        match std::fs::remove_file(&path) {
            Ok(()) => {
                if let Some(object) = &version.object {
                    release(&object.content);
                }
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a version's record could not be removed");
            }
        }
    }

    /// Finds the current version, or the one named.
    pub(crate) fn lookup(&self, key: &str, version_id: Option<&str>) -> S3Result<Lookup> {
        let state = self.lock();
        let version = find(&state, key, version_id)?;
        let shown = state.shown_version_id(version);
        match &version.object {
            Some(object) => Ok(Lookup {
                version_id: shown,
                modified: version.modified,
                object: object.clone(),
            }),
            None => Err(delete_marker(version_id.is_some(), version)),
        }
    }

    /// Deletes a key (leaving a delete marker where versioning is on) or one version.
    pub(crate) fn remove(
        &self,
        key: &str,
        version_id: Option<&str>,
        condition: &DeleteCondition,
    ) -> S3Result<Removed> {
        let mut state = self.lock();
        condition.check(state.current_etag(key))?;
        if let Some(version_id) = version_id {
            return self.remove_version(&mut state, key, version_id);
        }
        if state.versioning == Versioning::Off {
            if let Some(versions) = state.keys.remove(key) {
                versions
                    .iter()
                    .for_each(|version| self.discard(key, version));
                let sequence = self.new_version(&mut state, None).sequence;
                self.notify(key, EventName::RemovedDelete, sequence, None, None);
            }
            return Ok(Removed::default());
        }
        let marker = self.new_version(&mut state, None);
        let (shown, sequence) = (marker.shown_id().to_owned(), marker.sequence);
        self.append(&mut state, key, marker)?;
        self.notify(
            key,
            EventName::RemovedDeleteMarkerCreated,
            sequence,
            Some(shown.clone()),
            None,
        );
        Ok(Removed {
            delete_marker: true,
            version_id: Some(shown),
        })
    }

    fn remove_version(&self, state: &mut State, key: &str, version_id: &str) -> S3Result<Removed> {
        let answer = |delete_marker| {
            Ok(Removed {
                delete_marker,
                version_id: Some(version_id.to_owned()),
            })
        };
        let Some(versions) = state.keys.get_mut(key) else {
            return answer(false);
        };
        let Some(index) = versions
            .iter()
            .position(|version| version.shown_id() == version_id)
        else {
            return answer(false);
        };
        let version = versions.remove(index);
        if versions.is_empty() {
            state.keys.remove(key);
        }
        self.discard(key, &version);
        let sequence = self.new_version(state, None).sequence;
        self.notify(
            key,
            EventName::RemovedDelete,
            sequence,
            Some(version_id.to_owned()),
            None,
        );
        answer(version.object.is_none())
    }

    /// Replaces a version's tags; gives the version id.
    pub(crate) fn set_tags(
        &self,
        key: &str,
        version_id: Option<&str>,
        tags: Vec<(String, String)>,
    ) -> S3Result<Option<String>> {
        let mut state = self.lock();
        let version = find(&state, key, version_id)?;
        let Some(object) = &version.object else {
            return Err(delete_marker(version_id.is_some(), version));
        };
        let mut object = StoredObject::clone(object);
        object.meta.tags = tags;
        let mut changed = version.clone();
        changed.object = Some(Arc::new(object));
        self.write_version(key, &changed)?;
        let shown = state.shown_version_id(&changed);
        let place = state.keys.get_mut(key).and_then(|versions| {
            versions
                .iter_mut()
                .find(|version| version.sequence == changed.sequence)
        });
        if let Some(place) = place {
            *place = changed;
        }
        Ok(shown)
    }

    pub(crate) fn notify(
        &self,
        key: &str,
        name: EventName,
        sequence: u64,
        version_id: Option<String>,
        object: Option<&ObjectMeta>,
    ) {
        if self.surroundings.protocol != Protocol::S3 {
            return;
        }
        self.surroundings.notifications.emit(|| Event {
            region: self.surroundings.region.clone(),
            bucket: self.name.clone(),
            key: key.to_owned(),
            name,
            time: self.surroundings.clock.now(),
            sequence,
            version_id,
            size: object.map(|object| object.size),
            etag: object.map(|object| object.etag.clone()),
            azure: None,
        });
    }
}

fn find<'a>(state: &'a State, key: &str, version_id: Option<&str>) -> S3Result<&'a Version> {
    let versions = state.keys.get(key).map_or(&[][..], Vec::as_slice);
    match version_id {
        None => versions
            .last()
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist.")),
        Some(id) => versions
            .iter()
            .find(|version| version.shown_id() == id)
            .ok_or_else(|| s3_error!(NoSuchVersion, "The specified version does not exist.")),
    }
}

fn delete_marker(named: bool, version: &Version) -> S3Error {
    let mut error = if named {
        s3_error!(
            MethodNotAllowed,
            "The specified method is not allowed against this resource."
        )
    } else {
        S3Error::with_message(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
    };
    let mut headers = http::HeaderMap::new();
    headers.insert(
        "x-amz-delete-marker",
        http::HeaderValue::from_static("true"),
    );
    if let Ok(id) = http::HeaderValue::from_str(version.shown_id()) {
        headers.insert("x-amz-version-id", id);
    }
    error.set_headers(headers);
    error
}
