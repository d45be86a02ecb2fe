//! What goes into a bucket's operations and what comes out of them.

use super::{Content, ObjectMeta, StoredObject};
use skyfresh_sky::Timestamp;
use std::sync::Arc;

/// An object ready to be published.
pub(crate) struct NewObject {
    pub(crate) meta: ObjectMeta,
    pub(crate) content: Content,
}

/// A published object, as responses describe it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// As `x-amz-version-id` shows it; `None` where versioning was never enabled.
    pub(crate) version_id: Option<String>,
    pub(crate) modified: Timestamp,
    pub(crate) object: Arc<StoredObject>,
}

/// The effect of a delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removed {
    /// A delete marker was made (no version named) or removed (one named).
    pub(crate) delete_marker: bool,
    pub(crate) version_id: Option<String>,
}

/// A version that was found and is an object.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// As `x-amz-version-id` shows it; `None` where versioning was never enabled.
    pub(crate) version_id: Option<String>,
    pub(crate) modified: Timestamp,
    pub(crate) object: Arc<StoredObject>,
}
