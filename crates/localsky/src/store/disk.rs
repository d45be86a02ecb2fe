//! A region's directory: data files, and one small JSON record per bucket, version and upload.
//!
//! ```text
//! <root>/data/<token>                             bytes of a version or a part
//! <root>/buckets/<bucket>/bucket.json             versioning state
//! <root>/buckets/<bucket>/versions/<hash>-<sequence>.json
//! <root>/buckets/<bucket>/uploads/records/<upload id>.json
//! <root>/buckets/<bucket>/uploads/parts/<upload id>-<part>.json
//! ```
//!
//! Names are hashes and tokens, so any key works. A record is written beside its place and renamed into it, after the
//! data it refers to: a kill at any instant leaves whole records only, and data nobody refers to is removed at the next
//! start. Files are not synced: what a power failure may undo is not what this store is for.

use super::content::{DataFile, Segment};
use super::ingest::MemoryWriter;
use super::{Content, ObjectMeta};
use crate::{Error, Result};
use bytes::Bytes;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Digest;
use skyfresh_sky::{Kind, Rng};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// Write buffer of a data file.
const FILE_BUFFER_BYTES: usize = 1024 * 1024;

/// Where a region's bytes go.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Memory,
    Disk(Arc<Disk>),
}

impl Storage {
    pub(crate) fn disk(&self) -> Option<&Arc<Disk>> {
        match self {
            Storage::Memory => None,
            Storage::Disk(disk) => Some(disk),
        }
    }

    pub(crate) async fn writer(&self) -> S3Result<Writer> {
        match self {
            Storage::Memory => Ok(Writer::Memory(MemoryWriter::default())),
            Storage::Disk(disk) => {
                let disk = disk.clone();
                let (path, file) = tokio::task::spawn_blocking(move || disk.create_data_file())
                    .await
                    .map_err(internal)?
                    .map_err(internal)?;
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(FILE_BUFFER_BYTES);
                Ok(Writer::Disk {
                    file,
                    data: Arc::new(DataFile::temporary(path)),
                    len: 0,
                })
            }
        }
    }

    /// Content that a second record can own: shared in memory, copied (or linked) on disk.
    pub(crate) async fn duplicate(
        &self,
        content: &Arc<Content>,
        range: std::ops::Range<u64>,
    ) -> S3Result<Content> {
        let whole = range == (0..content.len());
        match self {
            Storage::Memory if whole => Ok(Content::new(content.segments().to_vec())),
            Storage::Disk(disk) if whole => {
                let (disk, content) = (disk.clone(), content.clone());
                tokio::task::spawn_blocking(move || disk.link(&content))
                    .await
                    .map_err(internal)?
                    .map_err(internal)
            }
            _ => {
                use futures::StreamExt;
                let mut writer = self.writer().await?;
                let mut stream = content.stream(range);
                while let Some(chunk) = stream.next().await {
                    writer
                        .write(chunk.map_err(|source| {
                            S3Error::with_source(S3ErrorCode::InternalError, source)
                        })?)
                        .await?;
                }
                writer.finish().await
            }
        }
    }
}

/// Takes a body as it arrives.
pub(crate) enum Writer {
    Memory(MemoryWriter),
    Disk {
        file: tokio::fs::File,
        data: Arc<DataFile>,
        len: u64,
    },
}

impl Writer {
    pub(crate) async fn write(&mut self, chunk: Bytes) -> S3Result<()> {
        match self {
            Writer::Memory(writer) => writer.write(chunk),
            Writer::Disk { file, len, .. } => {
                *len += chunk.len() as u64;
                file.write_all(&chunk).await.map_err(internal)?;
            }
        }
        Ok(())
    }

    pub(crate) async fn finish(self) -> S3Result<Content> {
        match self {
            Writer::Memory(writer) => Ok(writer.finish()),
            Writer::Disk {
                mut file,
                data,
                len,
            } => {
                file.flush().await.map_err(internal)?;
                Ok(Content::new(vec![Segment::File { file: data, len }]))
            }
        }
    }
}

pub(crate) fn internal(source: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(source))
}

/// A data file as a record names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileReference {
    pub(crate) name: String,
    pub(crate) len: u64,
}

/// A version as it lies on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    pub(crate) key: String,
    pub(crate) id: Option<String>,
    pub(crate) sequence: u64,
    pub(crate) modified_unix_ms: u64,
    pub(crate) object: Option<ObjectRecord>,
}

/// An object as it lies on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    pub(crate) meta: ObjectMeta,
    pub(crate) files: Vec<FileReference>,
}

/// The root directory of one region.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    rng: Rng,
}

impl Disk {
    pub(crate) fn open(root: PathBuf, rng: Rng) -> Result<Self> {
        for directory in [root.join("data"), root.join("buckets")] {
            std::fs::create_dir_all(&directory)
                .map_err(|source| Error::io("open store", directory.display(), source))?;
        }
        Ok(Disk { root, rng })
    }

    fn data_path(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    pub(crate) fn bucket(&self, name: &str) -> PathBuf {
        self.root.join("buckets").join(name)
    }

    /// The names of the directories below `buckets`.
    pub(crate) fn bucket_names(&self) -> Result<Vec<String>> {
        let directory = self.root.join("buckets");
        let fail = |source| Error::io("open store", directory.display(), source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(fail)? {
            names.extend(entry.map_err(fail)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Creates a data file. Its name may be drawn again, in this run or after a restart from the same seed: never over
    /// another file.
    fn create_data_file(&self) -> std::io::Result<(PathBuf, std::fs::File)> {
        loop {
            let path = self.data_path(&self.rng.token());
            match std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
            {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                opened => return Ok((path, opened?)),
            }
        }
    }

    /// A second name for a data file, which is immutable.
    fn link_data_file(&self, from: &Path) -> std::io::Result<PathBuf> {
        loop {
            let path = self.data_path(&self.rng.token());
            match std::fs::hard_link(from, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                // Some file systems have no links.
                Err(_) => {
                    let (path, mut file) = self.create_data_file()?;
                    std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
                    return Ok(path);
                }
            }
        }
    }

    fn link(&self, content: &Content) -> std::io::Result<Content> {
        let link = |(file, len): (&Arc<DataFile>, u64)| {
            let path = self.link_data_file(file.path())?;
            Ok(Segment::File {
                file: Arc::new(DataFile::temporary(path)),
                len,
            })
        };
        Ok(Content::new(
            content
                .files()
                .map(link)
                .collect::<std::io::Result<Vec<_>>>()?,
        ))
    }

    /// Content from a record's references, whose names are noted in `referenced`.
    pub(crate) fn load_content(
        &self,
        files: &[FileReference],
        referenced: &mut HashSet<String>,
    ) -> Result<Content> {
        let mut segments = Vec::with_capacity(files.len());
        for FileReference { name, len } in files {
            let path = self.data_path(name);
            let found = std::fs::metadata(&path)
                .map_err(|source| Error::io("open store", path.display(), source))?
                .len();
            if found != *len {
                let context = format!(
                    "{} has {found} bytes, its record says {len}",
                    path.display()
                );
                return Err(Error::new(Kind::Corrupt, "open store", context));
            }
            referenced.insert(name.clone());
            segments.push(Segment::File {
                file: Arc::new(DataFile::kept(path)),
                len: *len,
            });
        }
        Ok(Content::new(segments))
    }

    /// Removes data that no record refers to: what torn uploads of an earlier run left.
    pub(crate) fn remove_unreferenced(&self, referenced: &HashSet<String>) -> Result<()> {
        let directory = self.root.join("data");
        let fail = |source| Error::io("open store", directory.display(), source);
        for entry in std::fs::read_dir(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| referenced.contains(name))
            {
                std::fs::remove_file(entry.path()).map_err(fail)?;
            }
        }
        Ok(())
    }
}

/// The references of content that lies on disk.
pub(crate) fn references(content: &Content) -> Vec<FileReference> {
    let name = |file: &DataFile| {
        file.path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    content
        .files()
        .map(|(file, len)| FileReference {
            name: name(file),
            len,
        })
        .collect()
}

/// Keeps a content's files from now on: a record refers to them.
pub(crate) fn keep(content: &Content) {
    content.files().for_each(|(file, _)| file.keep());
}

/// Unlinks a content's files once their last reader is done: no record refers to them any more.
pub(crate) fn release(content: &Content) {
    content.files().for_each(|(file, _)| file.release());
}

/// The file name of a version's record.
pub(crate) fn version_file(key: &str, sequence: u64) -> String {
    let hash = hex::encode(sha2::Sha256::digest(key.as_bytes()));
    format!("{}-{sequence:016x}.json", &hash[..32])
}

/// Writes a record as a whole: a reader sees the old one or the new one.
pub(crate) fn write_record(path: &Path, record: &impl Serialize) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, serde_json::to_vec(record)?)?;
    std::fs::rename(&temporary, path)
}

/// The records of a directory by file name; remains of interrupted writes are removed.
pub(crate) fn read_records<T: DeserializeOwned>(directory: &Path) -> Result<HashMap<String, T>> {
    let fail = |source| Error::io("open store", directory.display(), source);
    let mut records = HashMap::new();
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            std::fs::remove_file(&path).map_err(fail)?;
            continue;
        }
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        records.insert(name, read_record(&path)?);
    }
    Ok(records)
}

/// One record.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes =
        std::fs::read(path).map_err(|source| Error::io("open store", path.display(), source))?;
    serde_json::from_slice(&bytes).map_err(|source| {
        Error::new(
            Kind::Corrupt,
            "open store",
            format!("{}: {source}", path.display()),
        )
        .with_source(source)
    })
}

/// Removes a record.
pub(crate) fn remove_record(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|source| Error::io("open store", path.display(), source))
}
