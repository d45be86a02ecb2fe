//! Bytes on their way to become an object or a part: a temporary file that vanishes unless it is published.

use super::names::PRIVATE;
use super::root::{Root, unlink};
use super::trouble::{Outcome, Tried};
use super::version::Fingerprint;
use crate::checksum::Crc64;
use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

const TMP: &str = "tmp";
/// Held shared while a temporary file is made and locked, and exclusively while stale ones are removed.
const TMP_GATE: &str = "tmp-gate";
const COPY_BYTES: usize = 1 << 20;

/// A temporary file. Its lock tells that its writer is alive.
pub(super) struct Staged {
    tmp: OwnedFd,
    name: String,
    file: File,
    crc64: Crc64,
    size: u64,
    published: bool,
}

/// A name that no other process and no other call uses. `hash` names the key, for [`clean`].
pub(super) fn temporary_name(hash: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!(
        "{hash}-{:x}-{:x}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

/// Keeps [`clean`] away until dropped.
pub(super) fn keep_cleaners_out(root: &Root) -> Outcome<OwnedFd> {
    gate(root, FlockOperation::LockShared)
}

fn gate(root: &Root, operation: FlockOperation) -> Outcome<OwnedFd> {
    let private = root.private(&[])?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let gate = rustix::fs::openat(&private, TMP_GATE, flags, Mode::from_raw_mode(0o666))
        .tried(|| format!("open {PRIVATE}/{TMP_GATE}"))?;
    rustix::fs::flock(&gate, operation).tried(|| format!("lock {PRIVATE}/{TMP_GATE}"))?;
    Ok(gate)
}

impl Staged {
    pub(super) fn new(root: &Root, hash: &str) -> Outcome<Self> {
        let tmp = root.private(&[TMP])?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let _gate = keep_cleaners_out(root)?;
        loop {
            let name = temporary_name(hash);
            let file = match rustix::fs::openat(&tmp, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => File::from(file),
                // Left by a dead process that had our id.
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(errno).tried(|| "make a temporary file".into()),
            };
            let staged = Staged {
                tmp,
                name,
                file,
                crc64: Crc64::EMPTY,
                size: 0,
                published: false,
            };
            rustix::fs::flock(&staged.file, FlockOperation::LockShared)
                .tried(|| "lock a temporary file".into())?;
            return Ok(staged);
        }
    }

    pub(super) fn write(&mut self, chunks: &[Bytes]) -> Outcome<()> {
        for chunk in chunks {
            self.file
                .write_all(chunk)
                .tried(|| "write a temporary file".into())?;
            self.crc64 = self.crc64.then(Crc64::of(chunk), chunk.len() as u64);
            self.size += chunk.len() as u64;
        }
        Ok(())
    }

    /// Appends `size` bytes of `source` from `offset`. Where their checksum is known the file system may share or copy
    /// them by itself; else they pass through here to be summed. Returns how many there were.
    pub(super) fn append(
        &mut self,
        mut source: &File,
        offset: u64,
        size: u64,
        known: Option<Crc64>,
    ) -> Outcome<u64> {
        source
            .seek(SeekFrom::Start(offset))
            .tried(|| "read a file to copy".into())?;
        let mut source = source.take(size);
        let Some(crc64) = known else {
            let mut buffer = vec![0; COPY_BYTES.min(size as usize)];
            let mut copied = 0;
            loop {
                let count = source
                    .read(&mut buffer)
                    .tried(|| "read a file to copy".into())?;
                if count == 0 {
                    return Ok(copied);
                }
                self.write(&[Bytes::copy_from_slice(&buffer[..count])])?;
                copied += count as u64;
            }
        };
        let copied = std::io::copy(&mut source, &mut &self.file).tried(|| "copy a file".into())?;
        self.crc64 = self.crc64.then(crc64, copied);
        self.size += copied;
        Ok(copied)
    }

    pub(super) fn crc64(&self) -> Crc64 {
        self.crc64
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Makes the bytes durable, and says what the file system then says about the file.
    pub(super) fn finish(&mut self, sync: bool) -> Outcome<Fingerprint> {
        if sync {
            self.file
                .sync_data()
                .tried(|| "make a file durable".into())?;
        }
        let stat = rustix::fs::fstat(&self.file).tried(|| "look at a temporary file".into())?;
        Ok(Fingerprint::of(&stat))
    }

    /// Gives the file its name by `rename`, which gets the directory and name it has now.
    pub(super) fn publish(
        &mut self,
        rename: impl FnOnce(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        rename(&self.tmp, &self.name)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = unlink(self.tmp.as_fd(), &self.name)
        {
            tracing::warn!(%error, name = self.name, "a temporary file stays behind until the next start");
        }
    }
}

/// Removes what processes that died have left: their temporary files, the sidecars of those, and aborted uploads.
pub(super) fn clean(root: &Root) -> Outcome<()> {
    let _gate = gate(root, FlockOperation::LockExclusive)?;
    let tmp = root.private(&[TMP])?;
    for (name, kind) in super::listing::entries(&tmp).tried(|| format!("list {PRIVATE}/{TMP}"))? {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if kind == FileType::Directory {
            remove_tree(&tmp, &name);
        } else {
            remove_stale(root, &tmp, &name)?;
        }
    }
    Ok(())
}

fn remove_stale(root: &Root, tmp: &OwnedFd, name: &str) -> Outcome<()> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(tmp, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(_) => return Ok(()),
    };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let stat = rustix::fs::fstat(&file).tried(|| "look at a temporary file".into())?;
    if let Some(hash) = name
        .split('-')
        .next()
        .filter(|hash| hash.len() == 32 && hash.is_ascii())
    {
        super::sidecar::Shelf::of_hash(hash).remove(root, Fingerprint::of(&stat).inode)?;
    }
    unlink(tmp.as_fd(), name).tried(|| "remove a stale temporary file".into())
}

/// Removes a directory of ours and the files in it. What cannot be removed now is tried again by [`clean`].
pub(super) fn remove_tree(parent: &OwnedFd, name: &str) {
    let remove = || -> rustix::io::Result<()> {
        let dir = super::root::open_dir(parent.as_fd(), name)?;
        for (entry, _) in super::listing::entries(&dir)? {
            unlink(dir.as_fd(), &entry.to_string_lossy())?;
        }
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
    };
    if let Err(error) = remove() {
        tracing::warn!(%error, name, "cannot remove a discarded directory yet");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use skyfresh_sky::Kind;

    #[test]
    fn a_full_disk_is_an_error_to_try_again_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), true).unwrap();
        let mut staged = Staged::new(&root, "hash").unwrap();
        // The device that answers every write as a full disk does (full(4)).
        staged.file = File::options().write(true).open("/dev/full").unwrap();
        let trouble = staged.write(&[Bytes::from_static(b"x")]).unwrap_err();
        let error = trouble.into_error("put", "file:///x".into(), dir.path());
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (Kind::RetryAfter, Some("NoSpace"))
        );
        assert!(
            error.context.contains(&dir.path().display().to_string()),
            "{error}"
        );
        drop(staged);
        assert_eq!(
            std::fs::read_dir(dir.path().join(PRIVATE).join(TMP))
                .unwrap()
                .count(),
            0
        );
    }
}
