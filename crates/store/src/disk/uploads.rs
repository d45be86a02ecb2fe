//! Multipart uploads: a directory `.skyfresh/uploads/<id>/` each, with `manifest.json`, a lock, and a file a part.
//!
//! A part's file name carries its checksum and size, and so does its entity tag: the same bytes uploaded twice, by two
//! workers at once say, are the same part.

use super::names::PRIVATE;
use super::publish::{self, Content};
use super::root::{Root, open_dir, rename_new, unlink};
use super::sidecar::Shelf;
use super::staged::{Staged, keep_cleaners_out, remove_tree, temporary_name};
use super::trouble::{Outcome, Tried, Trouble};
use crate::checksum::Crc64;
use crate::local::{HeldPart, PAGE_LIMIT, Refusal, check_completion, check_part};
use crate::{
    CompletedPart, ListedUpload, PartReceipt, Precondition, PutReceipt, UploadLimits, UploadPage,
};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Attributes, Kind, ObjectKey, Timestamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

const UPLOADS: &str = "uploads";
const MANIFEST: &str = "manifest.json";
const MANIFEST_LIMIT_BYTES: u64 = 64 << 10;
const LOCK: &str = "lock";

#[derive(Serialize, Deserialize)]
struct Manifest {
    key: String,
    started: Timestamp,
    attributes: Attributes,
}

/// A part as its file is named: `part-<number>-<checksum>-<size>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    number: u32,
    crc64: Crc64,
    size: u64,
    etag: String,
}

impl Part {
    fn new(number: u32, crc64: Crc64, size: u64) -> Self {
        Part {
            number,
            crc64,
            size,
            etag: format!("{crc64}-{size:x}"),
        }
    }

    fn name(&self) -> String {
        format!("part-{:05}-{}", self.number, self.etag)
    }

    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix("part-")?.split('-');
        let number = fields.next()?.parse().ok()?;
        let crc64 = Crc64(u64::from_str_radix(fields.next()?, 16).ok()?);
        let size = u64::from_str_radix(fields.next()?, 16).ok()?;
        Some(Part::new(number, crc64, size)).filter(|part| part.name() == name)
    }
}

/// An upload that is there, opened.
struct Upload {
    dir: OwnedFd,
    manifest: Manifest,
}

/// Only what [`create`] makes: an id is never a path.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn read_manifest(root: &Root, dir: &OwnedFd) -> Outcome<Option<Manifest>> {
    let bytes = root.read_private(dir.as_fd(), MANIFEST, MANIFEST_LIMIT_BYTES)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn open(root: &Root, key: &str, id: &str) -> Outcome<Upload> {
    let missing = || Trouble::from(Refusal::no_such_upload(id));
    if !is_id(id) {
        return Err(missing());
    }
    let Some(uploads) = root.existing_private(&[UPLOADS])? else {
        return Err(missing());
    };
    let dir = match open_dir(uploads.as_fd(), id) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Err(missing()),
        Err(errno) => return Err(errno).tried(|| format!("open {PRIVATE}/{UPLOADS}/{id}")),
    };
    let manifest = read_manifest(root, &dir)?
        .filter(|manifest| manifest.key == key)
        .ok_or_else(missing)?;
    Ok(Upload { dir, manifest })
}

impl Upload {
    /// Locks the upload against the other processes that work on it.
    fn lock(&self, root: &Root, id: &str) -> Outcome<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = match rustix::fs::openat(&self.dir, LOCK, flags, Mode::from_raw_mode(0o666)) {
            Ok(lock) => lock,
            Err(Errno::NOENT) => return Err(Refusal::no_such_upload(id).into()),
            Err(errno) => return Err(errno).tried(|| "open an upload's lock".into()),
        };
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .tried(|| "lock an upload".into())?;
        // It may have been completed or aborted while we waited.
        let uploads = root.private(&[UPLOADS])?;
        match rustix::fs::statat(&uploads, id, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(lock),
            Err(Errno::NOENT) => Err(Refusal::no_such_upload(id).into()),
            Err(errno) => Err(errno).tried(|| "look at an upload".into()),
        }
    }

    fn parts(&self) -> Outcome<Vec<Part>> {
        let entries =
            super::listing::entries(&self.dir).tried(|| "list an upload's parts".into())?;
        Ok(entries
            .iter()
            .filter_map(|(name, _)| Part::parse(name.to_str()?))
            .collect())
    }
}

/// Begins an upload.
pub(super) fn create(
    root: &Root,
    key: &str,
    attributes: &Attributes,
    now: Timestamp,
) -> Outcome<String> {
    let manifest = Manifest {
        key: key.to_owned(),
        started: now,
        attributes: attributes.clone(),
    };
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|error| Refusal::new(Kind::Internal, "InternalError", error.to_string()))?;
    let uploads = root.private(&[UPLOADS])?;
    let tmp = root.private(&["tmp"])?;
    let _gate = keep_cleaners_out(root)?;
    loop {
        let id = temporary_name(&format!("{:012x}", now.unix_ms()));
        match rustix::fs::mkdirat(&tmp, &id, Mode::from_raw_mode(0o777)) {
            Ok(()) => {}
            // Left by a dead process that had our id.
            Err(Errno::EXIST) => continue,
            Err(errno) => return Err(errno).tried(|| format!("make {PRIVATE}/tmp/{id}")),
        }
        // It gets its place with its manifest in it, so that no upload is ever there that nobody can list.
        let dir = open_dir(tmp.as_fd(), &id).tried(|| format!("open {PRIVATE}/tmp/{id}"))?;
        root.write_private(dir.as_fd(), MANIFEST, &bytes)?;
        match rename_new(tmp.as_fd(), &id, uploads.as_fd(), &id) {
            Ok(()) => {
                root.sync_dir(uploads.as_fd())?;
                return Ok(id);
            }
            Err(Errno::EXIST) => remove_tree(&tmp, &id),
            Err(errno) => return Err(errno).tried(|| format!("make {PRIVATE}/{UPLOADS}/{id}")),
        }
    }
}

/// Refuses a part before its bytes are moved.
pub(super) fn check(
    root: &Root,
    key: &str,
    id: &str,
    number: u32,
    size: u64,
    limits: &UploadLimits,
) -> Outcome<()> {
    check_part(number, size, limits)?;
    open(root, key, id).map(drop)
}

/// Adds a staged file as a part; an earlier one of its number goes.
pub(super) fn add(
    root: &Root,
    key: &str,
    id: &str,
    number: u32,
    mut staged: Staged,
) -> Outcome<PartReceipt> {
    staged.finish(root.sync)?;
    let upload = open(root, key, id)?;
    let _lock = upload.lock(root, id)?;
    let part = Part::new(number, staged.crc64(), staged.size());
    let name = part.name();
    match staged.publish(|tmp, temporary| rustix::fs::renameat(tmp, temporary, &upload.dir, &name))
    {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(Refusal::no_such_upload(id).into()),
        Err(errno) => return Err(errno).tried(|| "add a part".into()),
    }
    for other in upload
        .parts()?
        .iter()
        .filter(|other| other.number == number && **other != part)
    {
        unlink(upload.dir.as_fd(), &other.name()).tried(|| "remove a replaced part".into())?;
    }
    root.sync_dir(upload.dir.as_fd())?;
    Ok(PartReceipt {
        etag: part.etag,
        crc64: Some(part.crc64),
    })
}

/// Publishes the object made of `parts`.
pub(super) fn complete(
    root: &Root,
    key: &str,
    id: &str,
    parts: &[CompletedPart],
    precondition: &Precondition,
    limits: &UploadLimits,
) -> Outcome<PutReceipt> {
    let upload = open(root, key, id)?;
    let lock = upload.lock(root, id)?;
    let held: BTreeMap<u32, Part> = upload
        .parts()?
        .into_iter()
        .map(|part| (part.number, part))
        .collect();
    check_completion(
        parts,
        |number| {
            let part = held.get(&number)?;
            Some(HeldPart {
                etag: &part.etag,
                size: part.size,
                crc64: part.crc64,
            })
        },
        limits,
    )?;
    // Before the bytes are copied; it is checked again where it counts.
    publish::check_now(root, key, precondition)?;
    let mut staged = Staged::new(root, &Shelf::of(key).hash())?;
    for part in parts.iter().filter_map(|part| held.get(&part.number)) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&upload.dir, part.name(), flags, Mode::empty())
            .tried(|| format!("open part {}", part.number))?;
        // One byte more is asked for, so that a part that has grown is noticed as one that has shrunk is.
        let copied = staged.append(
            &File::from(file),
            0,
            part.size.saturating_add(1),
            Some(part.crc64),
        )?;
        if copied != part.size {
            let why = format!(
                "part {} has {copied} bytes of {} on disk",
                part.number, part.size
            );
            return Err(Refusal::new(Kind::Corrupt, "BadDigest", why).into());
        }
    }
    let content = Content {
        attributes: upload.manifest.attributes.clone(),
        tags: BTreeMap::new(),
    };
    let receipt = publish::publish(root, key, staged, content, precondition)?;
    discard(root, id)?;
    drop(lock);
    Ok(receipt)
}

/// Discards an upload; one that is gone already is no error.
pub(super) fn abort(root: &Root, key: &str, id: &str) -> Outcome<()> {
    let gone = |trouble: Trouble| match trouble {
        Trouble::Refused(refusal) if refusal.code == "NoSuchUpload" => Ok(()),
        other => Err(other),
    };
    let upload = match open(root, key, id) {
        Ok(upload) => upload,
        Err(trouble) => return gone(trouble),
    };
    match upload.lock(root, id) {
        Ok(_lock) => discard(root, id),
        Err(trouble) => gone(trouble),
    }
}

/// Removes an upload in one step, then its files.
fn discard(root: &Root, id: &str) -> Outcome<()> {
    let uploads = root.private(&[UPLOADS])?;
    let tmp = root.private(&["tmp"])?;
    let name = format!("{id}-discarded");
    match rustix::fs::renameat(&uploads, id, &tmp, &name) {
        Ok(()) => {
            root.sync_dir(uploads.as_fd())?;
            remove_tree(&tmp, &name);
            Ok(())
        }
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).tried(|| "discard an upload".into()),
    }
}

/// Unfinished uploads, in order of their ids, which is that of their beginnings.
pub(super) fn page(root: &Root, after: Option<&str>) -> Outcome<UploadPage> {
    let mut page = UploadPage::default();
    let Some(uploads) = root.existing_private(&[UPLOADS])? else {
        return Ok(page);
    };
    let entries =
        super::listing::entries(&uploads).tried(|| format!("list {PRIVATE}/{UPLOADS}"))?;
    let mut ids: Vec<String> = entries
        .into_iter()
        .filter(|(_, kind)| *kind == FileType::Directory)
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|id| is_id(id) && after.is_none_or(|after| id.as_str() > after))
        .collect();
    ids.sort_unstable();
    for id in ids {
        if page.uploads.len() == PAGE_LIMIT {
            page.next = page.uploads.last().map(|last| last.upload.clone());
            break;
        }
        let Ok(dir) = open_dir(uploads.as_fd(), &id) else {
            continue;
        };
        let Some(manifest) = read_manifest(root, &dir)? else {
            continue;
        };
        let Ok(key) = ObjectKey::new(manifest.key) else {
            continue;
        };
        page.uploads.push(ListedUpload {
            key,
            upload: id,
            started: manifest.started,
        });
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_names_are_read_back_and_others_are_not() {
        for part in [
            Part::new(1, Crc64(0), 0),
            Part::new(10_000, Crc64(u64::MAX), u64::MAX),
        ] {
            assert_eq!(Part::parse(&part.name()), Some(part));
        }
        for name in [
            "part-1-0-0",
            "part-00001-zz-0",
            "lock",
            "manifest.json",
            "part-00001",
        ] {
            assert_eq!(Part::parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_id_is_never_a_path() {
        assert!(is_id("0190ab-1f-2"));
        for id in ["", ".", "..", "a/b", "../objects", "x", &"a".repeat(65)] {
            assert!(!is_id(id), "{id}");
        }
    }
}
