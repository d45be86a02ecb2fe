//! Objects as a whole: looking, publishing, deleting, tagging. Everything that changes a key happens under the key's
//! lock, a file that every process of ours on this directory locks (`flock`), so that conditions are atomic among them.
//! Against other programs a put if absent is atomic still; a put over a version is checked just before.

use super::names::PRIVATE;
use super::root::{ATTEMPTS, Found, Lookup, Root, busy, rename_new, unlink};
use super::sidecar::{self, Shelf, Sidecar};
use super::staged::{Staged, temporary_name};
use super::trouble::{Outcome, Tried};
use super::version::Stamp;
use crate::local::{
    FULL_KEY_LIMIT_BYTES, Refusal, check_delete_precondition, check_precondition, check_tags,
};
use crate::{ObjectHead, Precondition, PutReceipt};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

/// What is published beside the bytes.
pub(super) struct Content {
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
}

/// Locks a key until dropped. Keys share 256 locks, so the lock files stay few.
fn lock(root: &Root, shelf: &Shelf) -> Outcome<OwnedFd> {
    let dir = root.private(&["locks"])?;
    let hash = shelf.hash();
    let name = hash.get(..2).unwrap_or("00");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o666))
        .tried(|| format!("open {PRIVATE}/locks/{name}"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .tried(|| format!("lock {PRIVATE}/locks/{name}"))?;
    Ok(file)
}

/// The head of a file that was found.
pub(super) fn head_of(
    root: &Root,
    key: &str,
    found: &Found,
) -> Outcome<(ObjectHead, Option<Sidecar>)> {
    let sidecar = Shelf::of(key).load(root, key, &found.fingerprint)?;
    Ok((
        sidecar::head(key, &found.fingerprint, sidecar.clone()),
        sidecar,
    ))
}

/// An object's head.
pub(super) fn head(root: &Root, key: &str) -> Outcome<ObjectHead> {
    match root.find(key)? {
        Lookup::Found(found) => Ok(head_of(root, key, &found)?.0),
        Lookup::Absent { .. } => Err(Refusal::no_such_key().into()),
    }
}

/// An object's head and its file, opened.
pub(super) fn open(root: &Root, key: &str) -> Outcome<(ObjectHead, Option<Sidecar>, File, Found)> {
    let (file, found) = root.open_object(key)?.ok_or_else(Refusal::no_such_key)?;
    let (head, sidecar) = head_of(root, key, &found)?;
    Ok((head, sidecar, file, found))
}

fn current_version(root: &Root, key: &str, lookup: &Lookup) -> Outcome<Option<ObjectVersion>> {
    match lookup {
        Lookup::Found(found) => Ok(Some(head_of(root, key, found)?.0.version)),
        Lookup::Absent { .. } => Ok(None),
    }
}

/// Refuses early, before bytes are moved, what would be refused at the end.
pub(super) fn check_now(root: &Root, key: &str, precondition: &Precondition) -> Outcome<()> {
    if key.len() > FULL_KEY_LIMIT_BYTES {
        let context = format!(
            "the key has {} bytes; the limit is {FULL_KEY_LIMIT_BYTES}",
            key.len()
        );
        return Err(Refusal::new(Kind::Invalid, "KeyTooLongError", context).into());
    }
    let lookup = root.find(key)?;
    if *precondition != Precondition::None {
        check_precondition(precondition, current_version(root, key, &lookup)?.as_ref())?;
    }
    Ok(())
}

/// Makes a staged file the object `key`, where the precondition holds.
pub(super) fn publish(
    root: &Root,
    key: &str,
    mut staged: Staged,
    content: Content,
    precondition: &Precondition,
) -> Outcome<PutReceipt> {
    let fingerprint = staged.finish(root.sync)?;
    let crc64 = staged.crc64();
    let etag = fingerprint.published_etag(crc64);
    let shelf = Shelf::of(key);
    let sidecar = Sidecar {
        key: key.to_owned(),
        stamp: Stamp::from(&fingerprint),
        etag: etag.clone(),
        crc64: Some(crc64),
        attributes: content.attributes,
        tags: content.tags,
    };
    shelf.write(root, &sidecar)?;
    let _lock = lock(root, &shelf)?;
    match place(root, key, &shelf, &mut staged, precondition) {
        Ok(()) => Ok(PutReceipt {
            version: ObjectVersion::from_etag(etag),
            crc64: Some(crc64),
        }),
        Err(trouble) => {
            shelf.remove(root, fingerprint.inode)?;
            Err(trouble)
        }
    }
}

fn place(
    root: &Root,
    key: &str,
    shelf: &Shelf,
    staged: &mut Staged,
    precondition: &Precondition,
) -> Outcome<()> {
    let last = key.rsplit('/').next().unwrap_or(key);
    for _ in 0..ATTEMPTS {
        let lookup = root.find(key)?;
        check_precondition(precondition, current_version(root, key, &lookup)?.as_ref())?;
        let dir = root.make_parents(key)?;
        let renamed = match &lookup {
            Lookup::Found(found) => {
                staged.publish(|tmp, name| rustix::fs::renameat(tmp, name, &dir, &found.name.text))
            }
            Lookup::Absent { directory } => {
                let target = root.new_name(last, *directory)?;
                staged.publish(|tmp, name| rename_new(tmp.as_fd(), name, dir.as_fd(), &target.text))
            }
        };
        match renamed {
            Ok(()) => {
                if let Lookup::Found(found) = lookup {
                    forget(root, shelf, last, &dir, &found)?;
                }
                return root.sync_dir(dir.as_fd());
            }
            // A file or directory came in between, or a directory went: look again.
            Err(Errno::EXIST | Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::NOENT) => {}
            Err(errno) => return Err(errno).tried(|| "publish a file".into()),
        }
    }
    Err(busy())
}

/// Removes what is left of an object that was replaced or deleted: its sidecar, and a second file for the same key, as a
/// user can make one.
fn forget(root: &Root, shelf: &Shelf, last: &str, dir: &OwnedFd, found: &Found) -> Outcome<()> {
    if !found.beside {
        unlink(dir.as_fd(), &super::names::beside(last).text)
            .tried(|| "remove a second file".into())?;
    }
    shelf.remove(root, found.fingerprint.inode)
}

/// Deletes an object, where the precondition holds of it.
pub(super) fn delete(root: &Root, key: &str, precondition: &Precondition) -> Outcome<()> {
    check_delete_precondition(precondition)?;
    // Nothing is written, not even a lock, where there is nothing to delete.
    if matches!(root.find(key)?, Lookup::Absent { .. }) {
        return Ok(());
    }
    let shelf = Shelf::of(key);
    let _lock = lock(root, &shelf)?;
    let last = key.rsplit('/').next().unwrap_or(key);
    for _ in 0..ATTEMPTS {
        let lookup = root.find(key)?;
        let version = current_version(root, key, &lookup)?;
        let (Lookup::Found(found), Some(version)) = (lookup, version) else {
            return Ok(());
        };
        check_precondition(precondition, Some(&version))?;
        match unlink(found.dir.as_fd(), &found.name.text) {
            Ok(()) => {
                forget(root, &shelf, last, &found.dir, &found)?;
                root.sync_dir(found.dir.as_fd())?;
                // Moved aside in between, for a directory that came: look again.
                if matches!(root.find(key)?, Lookup::Absent { .. }) {
                    return root.prune(key);
                }
            }
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno).tried(|| "delete a file".into()),
        }
    }
    Err(busy())
}

/// An object's tags.
pub(super) fn tags(root: &Root, key: &str) -> Outcome<BTreeMap<String, String>> {
    match root.find(key)? {
        Lookup::Found(found) => Ok(head_of(root, key, &found)?
            .1
            .map(|sidecar| sidecar.tags)
            .unwrap_or_default()),
        Lookup::Absent { .. } => Err(Refusal::no_such_key().into()),
    }
}

/// Replaces an object's tags. Its version stays.
pub(super) fn set_tags(root: &Root, key: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
    check_tags(tags)?;
    let missing = || Refusal::no_such_key().into();
    if matches!(root.find(key)?, Lookup::Absent { .. }) {
        return Err(missing());
    }
    let shelf = Shelf::of(key);
    let _lock = lock(root, &shelf)?;
    let Lookup::Found(found) = root.find(key)? else {
        return Err(missing());
    };
    let (head, sidecar) = head_of(root, key, &found)?;
    let sidecar = sidecar.unwrap_or_else(|| Sidecar {
        key: key.to_owned(),
        stamp: Stamp::from(&found.fingerprint),
        etag: head.version.etag,
        crc64: head.crc64,
        attributes: head.attributes,
        tags: BTreeMap::new(),
    });
    shelf.replace(
        root,
        &Sidecar {
            tags: tags.clone(),
            ..sidecar
        },
        &temporary_name("tags"),
    )
}
