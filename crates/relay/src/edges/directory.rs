//! Chunks of files: keys are paths below a directory.

use crate::chunk::{Chunk, ChunkSink, ChunkSource, Edges, Receipt};
use crate::{Error, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use skyfresh_sky::Kind;
use std::io::{ErrorKind, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tokio::fs::{File, OpenOptions, create_dir_all};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Opens directories: a spec is `{"directory": "/path"}`. Files are written in place, chunk by chunk: whoever needs to see only
/// whole files writes to a directory of its own and renames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Directories;

#[derive(Debug)]
struct Directory(PathBuf);

fn open(spec: &Value) -> Result<Directory> {
    match spec.get("directory").and_then(Value::as_str) {
        Some(path) => Ok(Directory(path.into())),
        None => Err(Error::invalid(
            "open directory",
            "give {\"directory\": \"/path\"} as the source or sink",
        )),
    }
}

#[async_trait]
impl Edges for Directories {
    async fn source(&self, spec: &Value) -> Result<Arc<dyn ChunkSource>> {
        Ok(Arc::new(open(spec)?))
    }

    async fn sink(&self, _: &str, spec: &Value) -> Result<Arc<dyn ChunkSink>> {
        Ok(Arc::new(open(spec)?))
    }
}

impl Directory {
    /// The file of a key, which must not lead out of the directory.
    fn path(&self, key: &str) -> Result<PathBuf> {
        let inside = Path::new(key)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if key.is_empty() || !inside {
            return Err(Error::invalid(
                "open file",
                format!("{key:?} is not a path below the directory"),
            ));
        }
        Ok(self.0.join(key))
    }
}

fn failed(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::Missing,
        ErrorKind::UnexpectedEof => Kind::Precondition,
        // A person must make room, or allow it.
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        _ => Kind::RetryAfter,
    };
    Error::new(kind, operation, format!("{}: {error}", path.display())).with_source(error)
}

#[async_trait]
impl ChunkSource for Directory {
    async fn read(&self, chunk: &Chunk) -> Result<Bytes> {
        let path = self.path(&chunk.key)?;
        let read = async {
            let mut file = File::open(&path).await?;
            file.seek(SeekFrom::Start(chunk.offset)).await?;
            let mut bytes = BytesMut::zeroed(chunk.length as usize);
            file.read_exact(&mut bytes).await?;
            Ok(bytes.freeze())
        };
        read.await
            .map_err(|error| failed("read file", &path, error))
    }
}

#[async_trait]
impl ChunkSink for Directory {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt> {
        let path = self.path(&chunk.key)?;
        let write = async {
            if let Some(folder) = path.parent() {
                create_dir_all(folder).await?;
            }
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .await?;
            file.seek(SeekFrom::Start(chunk.offset)).await?;
            file.write_all(&bytes).await?;
            // The receipt promises that it is there.
            file.sync_data().await
        };
        write
            .await
            .map_err(|error| failed("write file", &path, error))?;
        Ok(Receipt(format!("{}+{}", chunk.offset, chunk.length)))
    }
}
