//! Directories within a directory that a store keeps: objects there have their attributes and checksums in the `.skyfresh/` around
//! them, so that is where they are read (by `cp` and `sync`, too) and deleted from.

use crate::objects::Objects;
use skyfresh_sky::Scheme;
use skyfresh_store::disk::DiskStore;
use std::path::Path;

/// The same objects, by keys that begin where the store around them does.
pub(crate) fn rooted(mut objects: Objects) -> Objects {
    if objects.location.scheme == Scheme::File
        && let Some((root, prefix)) = root_and_prefix(Path::new(&objects.location.bucket))
    {
        objects.location.bucket = root;
        objects.location.prefix = prefix;
    }
    objects
}

fn root_and_prefix(directory: &Path) -> Option<(String, String)> {
    let root = DiskStore::root_around(directory)?;
    let below = directory.strip_prefix(root).ok()?;
    let within = below.to_str().filter(|below| !below.is_empty())?;
    // Links are none for a store, and names of its own have another meaning there.
    let is_plain = root.canonicalize().ok()?.join(below) == directory.canonicalize().ok()?;
    let is_private = within.split('/').any(|name| name.starts_with(".skyfresh"));
    (is_plain && !is_private).then(|| Some((root.to_str()?.to_owned(), format!("{within}/"))))?
}
