//! One container: its blobs and uncommitted blocks, and every change to them under one lock.
//!
//! On disk a blob is one record, replaced by renaming, and so is every uncommitted block:
//!
//! ```text
//! <root>/data/<token>                              bytes of a blob or a block
//! <root>/buckets/<container>/container.json        metadata
//! <root>/buckets/<container>/blobs/<hash>.json     one blob
//! <root>/buckets/<container>/blocks/<hash>-<hash>.json   one uncommitted block
//! ```

use super::account::Ticks;
use super::error::{self, Result};
use super::events::Origin;
use super::model::{Api, Blob, Block, Entry, Properties};
use crate::notify::{Event, EventName};
use crate::store::disk::{self, Disk, FileReference, keep, references, release, write_record};
use crate::store::{Content, Surroundings};
use serde::{Deserialize, Serialize};
use sha2::Digest;
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Blocks are dropped this long after the last one of their blob was put (Put Block, "Remarks").
const UNCOMMITTED_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) created_unix_ms: u64,
    pub(crate) modified_unix_ms: u64,
    pub(crate) etag: u64,
    pub(crate) metadata: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BlobRecord {
    name: String,
    properties: Properties,
    files: Vec<FileReference>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BlockRecord {
    blob: String,
    id: String,
    put_unix_ms: u64,
    files: Vec<FileReference>,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) record: ContainerRecord,
    /// Requests that began before the container was deleted find it so.
    pub(crate) deleted: bool,
    /// `str` orders by UTF-8 bytes, as listings must. No name without a blob or a block.
    pub(crate) blobs: BTreeMap<String, Entry>,
}

impl State {
    pub(crate) fn blob(&self, name: &str) -> Option<&Arc<Blob>> {
        self.blobs.get(name)?.blob.as_ref()
    }

    pub(crate) fn existing(&self, name: &str) -> Result<Arc<Blob>> {
        self.blob(name).cloned().ok_or_else(error::blob_not_found)
    }
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    directory: Option<PathBuf>,
    surroundings: Arc<Surroundings>,
    ticks: Arc<Ticks>,
    state: Mutex<State>,
}

impl Container {
    pub(crate) fn create(
        name: &str,
        metadata: BTreeMap<String, String>,
        disk: Option<&Disk>,
        surroundings: Arc<Surroundings>,
        ticks: Arc<Ticks>,
    ) -> Result<Self> {
        let directory = disk.map(|disk| disk.bucket(name));
        if let Some(directory) = &directory {
            for part in ["blobs", "blocks"] {
                std::fs::create_dir_all(directory.join(part))?;
            }
        }
        let now = surroundings.clock.now();
        let record = ContainerRecord {
            created_unix_ms: now.unix_ms(),
            modified_unix_ms: now.unix_ms(),
            etag: ticks.next(now),
            metadata,
        };
        let container = Container {
            name: name.to_owned(),
            directory,
            surroundings,
            ticks,
            state: Mutex::default(),
        };
        container.save(&mut container.guard(), record)?;
        Ok(container)
    }

    /// Reads a container back from its records.
    pub(crate) fn load(
        name: &str,
        disk: &Disk,
        surroundings: Arc<Surroundings>,
        ticks: Arc<Ticks>,
        referenced: &mut HashSet<String>,
    ) -> crate::Result<Self> {
        let directory = disk.bucket(name);
        let mut state = State {
            record: disk::read_record(&directory.join("container.json"))?,
            ..State::default()
        };
        ticks.seen(state.record.etag);
        let mut committed = HashSet::new();
        let blobs: HashMap<String, BlobRecord> = disk::read_records(&directory.join("blobs"))?;
        for record in blobs.into_values() {
            ticks.seen(record.properties.etag);
            committed.extend(record.files.iter().map(|file| file.name.clone()));
            let mut properties = record.properties;
            if let Some(copy) = &mut properties.copy {
                copy.interrupt();
            }
            let blob = Blob {
                content: Arc::new(load_shared(disk, &record.files, referenced)?),
                properties,
            };
            state.blobs.entry(record.name).or_default().blob = Some(Arc::new(blob));
        }
        let blocks: HashMap<String, BlockRecord> = disk::read_records(&directory.join("blocks"))?;
        for (file, record) in blocks {
            // Killed between committing a block and removing its record.
            if record
                .files
                .iter()
                .any(|file| committed.contains(&file.name))
            {
                disk::remove_record(&directory.join("blocks").join(file))?;
                continue;
            }
            let block = Block {
                content: disk.load_content(&record.files, referenced)?,
                put_unix_ms: record.put_unix_ms,
            };
            let entry = state.blobs.entry(record.blob).or_default();
            entry.uncommitted.insert(record.id, block);
        }
        Ok(Container {
            name: name.to_owned(),
            directory: Some(directory),
            surroundings,
            ticks,
            state: Mutex::new(state),
        })
    }

    fn guard(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, as long as the container is there.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.guard();
        if state.deleted {
            return Err(error::container_not_found());
        }
        Ok(state)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    fn save(&self, state: &mut State, record: ContainerRecord) -> Result<()> {
        if let Some(directory) = &self.directory {
            write_record(&directory.join("container.json"), &record)?;
        }
        state.record = record;
        Ok(())
    }

    /// Replaces the container's metadata.
    pub(crate) fn set_metadata(
        &self,
        state: &mut State,
        metadata: BTreeMap<String, String>,
    ) -> Result<()> {
        let now = self.now();
        let record = ContainerRecord {
            modified_unix_ms: now.unix_ms(),
            etag: self.ticks.next(now),
            metadata,
            ..state.record.clone()
        };
        self.save(state, record)
    }

    /// Marks the container deleted and removes its directory; data goes with its last reader.
    pub(crate) fn destroy(&self) -> Result<()> {
        let mut state = self.lock()?;
        if let Some(directory) = &self.directory {
            std::fs::remove_dir_all(directory)?;
        }
        state.deleted = true;
        for entry in std::mem::take(&mut state.blobs).into_values() {
            entry.blob.iter().for_each(|blob| release(&blob.content));
            entry
                .uncommitted
                .values()
                .for_each(|block| release(&block.content));
        }
        Ok(())
    }

    /// Makes a blob under this name, in place of what was there; uncommitted blocks go. Without `api` nobody hears of
    /// it.
    pub(crate) fn publish(
        &self,
        state: &mut State,
        name: &str,
        mut properties: Properties,
        content: Content,
        api: Option<Api>,
        origin: &Origin,
    ) -> Result<Arc<Blob>> {
        let now = self.now();
        properties.etag = self.ticks.next(now);
        properties.modified_unix_ms = now.unix_ms();
        properties.created_unix_ms = now.unix_ms();
        if let Some(before) = state.blob(name) {
            properties.created_unix_ms = before.properties.created_unix_ms;
            properties.lease = before.properties.lease.after_write(now);
        }
        let blob = Arc::new(Blob {
            properties,
            content: Arc::new(content),
        });
        self.write_blob(name, &blob)?;
        let entry = state.blobs.entry(name.to_owned()).or_default();
        let before = entry.blob.replace(blob.clone());
        let blocks = std::mem::take(&mut entry.uncommitted);
        before.iter().for_each(|blob| release(&blob.content));
        self.discard_blocks(name, &blocks);
        // What the new blob took over from the old one or from blocks stays.
        keep(&blob.content);
        if let Some(api) = api {
            self.notify(name, api, &blob, origin);
        }
        Ok(blob)
    }

    /// Replaces a blob's properties; `touch` gives it a new entity tag and time.
    pub(crate) fn amend(
        &self,
        state: &mut State,
        name: &str,
        mut properties: Properties,
        touch: bool,
    ) -> Result<Arc<Blob>> {
        let before = state.existing(name)?;
        if touch {
            let now = self.now();
            properties.etag = self.ticks.next(now);
            properties.modified_unix_ms = now.unix_ms();
        }
        let blob = Arc::new(Blob {
            properties,
            content: before.content.clone(),
        });
        self.write_blob(name, &blob)?;
        state.blobs.entry(name.to_owned()).or_default().blob = Some(blob.clone());
        Ok(blob)
    }

    /// Removes a blob and its uncommitted blocks.
    pub(crate) fn remove(&self, state: &mut State, name: &str, origin: &Origin) -> Result<()> {
        let blob = state.existing(name)?;
        if let Some(directory) = &self.directory {
            std::fs::remove_file(blob_path(directory, name))?;
        }
        if let Some(entry) = state.blobs.remove(name) {
            self.discard_blocks(name, &entry.uncommitted);
        }
        release(&blob.content);
        self.notify(name, Api::DeleteBlob, &blob, origin);
        Ok(())
    }

    /// Stores a block, replacing an uncommitted one of the same id.
    pub(crate) fn put_block(
        &self,
        state: &mut State,
        name: &str,
        id: &str,
        content: Content,
    ) -> Result<()> {
        let block = Block {
            content,
            put_unix_ms: self.now().unix_ms(),
        };
        if let Some(directory) = &self.directory {
            let record = BlockRecord {
                blob: name.to_owned(),
                id: id.to_owned(),
                put_unix_ms: block.put_unix_ms,
                files: references(&block.content),
            };
            write_record(&block_path(directory, name, id), &record)?;
            keep(&block.content);
        }
        let entry = state.blobs.entry(name.to_owned()).or_default();
        if let Some(before) = entry.uncommitted.insert(id.to_owned(), block) {
            release(&before.content);
        }
        Ok(())
    }

    /// Drops a name's blocks if the last of them was put too long ago.
    pub(crate) fn expire_blocks(&self, state: &mut State, name: &str) {
        let limit = self.now().before(UNCOMMITTED_LIFETIME).unix_ms();
        let Some(entry) = state.blobs.get_mut(name) else {
            return;
        };
        let last = entry
            .uncommitted
            .values()
            .map(|block| block.put_unix_ms)
            .max();
        if last.is_some_and(|last| last < limit) {
            let blocks = std::mem::take(&mut entry.uncommitted);
            self.discard_blocks(name, &blocks);
            if state.blob(name).is_none() {
                state.blobs.remove(name);
            }
        }
    }

    fn discard_blocks(&self, name: &str, blocks: &BTreeMap<String, Block>) {
        for (id, block) in blocks {
            if let Some(directory) = &self.directory {
                let path = block_path(directory, name, id);
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "a block's record could not be removed");
                }
            }
            release(&block.content);
        }
    }

    fn write_blob(&self, name: &str, blob: &Blob) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let record = BlobRecord {
            name: name.to_owned(),
            properties: blob.properties.clone(),
            files: references(&blob.content),
        };
        write_record(&blob_path(directory, name), &record)?;
        keep(&blob.content);
        Ok(())
    }

    fn notify(&self, name: &str, api: Api, blob: &Blob, origin: &Origin) {
        let sequence = match api {
            Api::DeleteBlob => self.ticks.next(self.now()),
            _ => blob.properties.etag,
        };
        self.surroundings.notifications.emit(|| Event {
            region: self.surroundings.region.clone(),
            bucket: self.name.clone(),
            key: name.to_owned(),
            name: match api {
                Api::PutBlob => EventName::CreatedPut,
                Api::PutBlockList => EventName::CreatedCompleteMultipartUpload,
                Api::CopyBlob => EventName::CreatedCopy,
                Api::DeleteBlob => EventName::RemovedDelete,
            },
            time: self.now(),
            sequence,
            version_id: None,
            size: Some(blob.content.len()),
            etag: Some(blob.properties.etag()),
            azure: Some(origin.event(&self.name, name, api, &blob.properties)),
        });
    }
}

/// Content whose files may occur several times: a block list may name a block twice.
fn load_shared(
    disk: &Disk,
    files: &[FileReference],
    referenced: &mut HashSet<String>,
) -> crate::Result<Content> {
    let mut at = HashMap::new();
    let mut once = Vec::new();
    for file in files {
        at.entry(file.name.clone()).or_insert_with(|| {
            once.push(file.clone());
            once.len() - 1
        });
    }
    let content = disk.load_content(&once, referenced)?;
    let segment = |file: &FileReference| content.segments()[at[&file.name]].clone();
    Ok(Content::new(files.iter().map(segment).collect()))
}

fn hash(text: &str) -> String {
    hex::encode(sha2::Sha256::digest(text.as_bytes()))
}

fn blob_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("blobs").join(format!("{}.json", hash(name)))
}

fn block_path(directory: &Path, name: &str, id: &str) -> PathBuf {
    let file = format!("{}-{}.json", &hash(name)[..32], &hash(id)[..32]);
    directory.join("blocks").join(file)
}
