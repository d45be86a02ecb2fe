//! Directories within a directory that a store keeps: objects there have their attributes and checksums in the `.skyfresh/` around
//! them, so that is where they are read and deleted from.

use crate::objects::Objects;
use skyfresh_sky::ObjectKey;
use skyfresh_store::disk::DiskStore;
use skyfresh_store::{ListPage, ListedObject, ObjectStore, Result};
use std::path::Path;

/// The same objects, by keys that begin where the store around them does.
pub(super) fn rooted(mut objects: Objects) -> Objects {
    if let Some((root, prefix)) = root_and_prefix(Path::new(&objects.location.bucket)) {
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

/// A page of what begins with `front`, by what follows it.
pub(super) async fn list(
    store: &dyn ObjectStore,
    front: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<ListPage> {
    let after = match (front, after) {
        ("", after) => after.map(str::to_owned),
        (front, after) => Some(format!("{front}{}", after.unwrap_or_default())),
    };
    let mut page = store.list(after.as_deref(), limit).await?;
    let objects = page.objects.into_iter().filter_map(|object| {
        let key = object.key.as_str().strip_prefix(front)?;
        let key = ObjectKey::new(key).ok()?;
        Some(ListedObject { key, ..object })
    });
    page.objects = objects.collect();
    page.unusable.retain(|key| key.starts_with(front));
    // What begins with it stands together: beyond it there is no more.
    let next = page.next.as_deref();
    page.next = next
        .and_then(|next| next.strip_prefix(front))
        .map(str::to_owned);
    Ok(page)
}
