//! Blocking work of the operations that is more than a call: staging a copy, and probing the file system.

use super::operations::look_at;
use super::root::{Root, rename_new};
use super::sidecar::Shelf;
use super::staged::Staged;
use super::trouble::{Outcome, Tried};
use super::{DISK_CAPABILITIES, Shared, publish};
use crate::local::{Refusal, check_pin, check_range};
use crate::{Capabilities, ConditionSupport, CopySource, ObjectHead};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use skyfresh_sky::{Kind, ObjectKey};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;

/// Stages a copy of another object, or of a range of it.
pub(super) fn stage_copy(
    shared: &Shared,
    source: &CopySource,
    range: Option<&Range<u64>>,
    hash: &str,
) -> Outcome<(Staged, ObjectHead, BTreeMap<String, String>)> {
    let root = shared.root_to_write()?;
    let source_root = match &source.bucket {
        None => Root::open(&shared.path, shared.durable)?,
        Some(path) => Root::open(Path::new(path), shared.durable)?,
    };
    let key = ObjectKey::new(source.full_key.as_str())
        .map_err(|invalid| Refusal::new(Kind::Invalid, "InvalidArgument", invalid.to_string()))?;
    let (head, sidecar, file, found) = publish::open(&source_root, key.as_str())?;
    check_pin(&head.version, source.version.as_ref())?;
    let range = check_range(range, head.size)?;
    let whole = range == (0..head.size);
    let mut staged = Staged::new(&root, hash)?;
    let size = range.end - range.start;
    let copied = staged.append(&file, range.start, size, head.crc64.filter(|_| whole))?;
    if copied != size || !found.fingerprint.is_same_content(&look_at(&file)?) {
        let why = "the source changed while it was being copied";
        return Err(Refusal::new(Kind::Precondition, "PreconditionFailed", why).into());
    }
    Ok((
        staged,
        head,
        sidecar.map(|sidecar| sidecar.tags).unwrap_or_default(),
    ))
}

/// Whether this file system keeps what conditions rest on: locks that exclude, and renames that replace nothing.
pub(super) fn probe(root: &Root) -> Outcome<Capabilities> {
    let hash = Shelf::of("probe").hash();
    let (mut first, mut second) = (Staged::new(root, &hash)?, Staged::new(root, &hash)?);
    let dir = root.private(&["tmp"])?;
    let name = super::staged::temporary_name("probe");
    first
        .publish(|tmp, temporary| rename_new(tmp.as_fd(), temporary, dir.as_fd(), &name))
        .tried(|| "rename a file".into())?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&dir, &name, flags, Mode::empty());
    let one = open().tried(|| "open a file".into())?;
    let two = open().tried(|| "open a file".into())?;
    // The renamed file's own lock is still held.
    drop(first);
    rustix::fs::flock(&one, FlockOperation::LockExclusive).tried(|| "lock a file".into())?;
    let excluded =
        rustix::fs::flock(&two, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
    let second_rename =
        second.publish(|tmp, temporary| rename_new(tmp.as_fd(), temporary, dir.as_fd(), &name));
    super::root::unlink(dir.as_fd(), &name).tried(|| "remove a file".into())?;
    let support = |enforced: bool| match enforced {
        true => ConditionSupport::Enforced,
        false => ConditionSupport::Ignored,
    };
    let (absent, version) = (
        support(second_rename == Err(Errno::EXIST)),
        support(excluded),
    );
    Ok(Capabilities {
        put_if_absent: absent,
        complete_if_absent: absent,
        put_if_version: version,
        complete_if_version: version,
        delete_if_version: version,
        ..DISK_CAPABILITIES
    })
}
