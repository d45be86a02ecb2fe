//! Many deletes: what is asked for, and how it is done where a store has no request for it.

use crate::{ObjectStore, Precondition, Result};
use futures::stream::{self, StreamExt};
use skyfresh_sky::ObjectKey;

/// Single deletes under way at once.
const AT_ONCE: usize = 32;

/// One of many deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// What to delete.
    pub key: ObjectKey,
    /// As for [`ObjectStore::delete`].
    pub precondition: Precondition,
}

/// Deletes each by a request of its own. The results are in the order of the deletions.
pub(crate) async fn one_by_one<'a, S: ObjectStore + ?Sized>(
    store: &S,
    deletions: impl IntoIterator<Item = &'a Deletion>,
) -> Vec<Result<()>> {
    let deletes = deletions
        .into_iter()
        .map(|deletion| store.delete(&deletion.key, &deletion.precondition));
    // Collected first: what is sent must not depend on how the iterator borrows.
    let deletes: Vec<_> = deletes.collect();
    stream::iter(deletes).buffered(AT_ONCE).collect().await
}
