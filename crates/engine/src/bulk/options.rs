//! What a bulk job is asked to do.

use crate::rule::Scope;
use globset::GlobMatcher;
use skyfresh_sky::{Attributes, ObjectKey, ObjectVersion};
use skyfresh_store::ObjectStore;
use std::sync::Arc;

/// One-shot work: copy what differs from a source to every target.
#[derive(Debug)]
pub struct BulkJob {
    /// Where objects are read. Never written to.
    pub source: Arc<dyn ObjectStore>,
    /// Where they must also be, at least one.
    pub targets: Vec<BulkTarget>,
    /// Which objects.
    pub selection: Selection,
    /// How.
    pub options: BulkOptions,
}

impl BulkJob {
    /// What an object of the source is called at a target.
    pub(super) fn name_at<'a>(&'a self, target: usize, key: &'a ObjectKey) -> &'a ObjectKey {
        match &self.selection {
            Selection::One { names, .. } => names.get(target).unwrap_or(key),
            Selection::Walk(_) => key,
        }
    }
}

/// One destination of a job.
#[derive(Clone, Debug)]
pub struct BulkTarget {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The source is in the same service, and this destination's credentials can read it: the store may copy by itself.
    pub same_service: bool,
    /// Whether its store may be given a URL of the source's to read, where it can do that.
    pub may_pull: bool,
}

/// Which objects a job is about.
#[derive(Debug)]
pub enum Selection {
    /// One object, under a name of its own at each target.
    One {
        /// Its key at the source.
        key: ObjectKey,
        /// Its key at each target.
        names: Vec<ObjectKey>,
    },
    /// Everything listed that passes; keys are the same at the targets.
    Walk(Walk),
}

/// Which of the listed objects are meant.
#[derive(Debug)]
pub struct Walk {
    /// Only keys that begin with this (may be empty).
    pub literal: String,
    /// Only keys that match this.
    pub glob: Option<GlobMatcher>,
    /// The globs to include and to exclude.
    pub scope: Scope,
}

impl Walk {
    /// Whether a key is meant.
    pub fn covers(&self, key: &str) -> bool {
        key.starts_with(&self.literal)
            && self.glob.as_ref().is_none_or(|glob| glob.is_match(key))
            && self.scope.covers_name(key)
    }
}

/// How it is told that a target already has an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By what listings say: equal sizes, and entity tags that prove equality or a target that is not older.
    #[default]
    Listing,
    /// By checksums that both stores state; an object is copied where they state none in common.
    Checksum,
    /// By size alone: overwritten objects of equal size are taken for equal.
    SizeOnly,
    /// Never: everything is copied.
    Never,
}

/// What a copy carries beside the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetadataChoice {
    /// What the source's object carries, tags included, as far as the target can keep it.
    #[default]
    Keep,
    /// The content type only.
    Nothing,
    /// This instead.
    Set(Box<Attributes>),
}

/// When deleting at the targets is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteLimits {
    /// Most deletes at one target; more are refused, and then none is made.
    pub most: u64,
    /// Delete even where the source lists nothing at all.
    pub allow_empty_source: bool,
}

/// How a job is done.
#[derive(Clone, Debug, Default)]
pub struct BulkOptions {
    /// How equality is told.
    pub compare: Compare,
    /// Leave alone what is newer at the target.
    pub update_only: bool,
    /// Leave alone whatever is at the target.
    pub no_clobber: bool,
    /// Replace only this version at the target.
    pub if_match: Option<ObjectVersion>,
    /// What copies carry.
    pub metadata: MetadataChoice,
    /// The targets' storage class; `None` is the bucket's default.
    pub storage_class: Option<String>,
    /// Delete at the targets what the source does not have.
    pub delete: Option<DeleteLimits>,
    /// Exactly so many transfers at once instead of finding the best number.
    pub transfers: Option<usize>,
    /// Bytes in a part instead of choosing.
    pub part_bytes: Option<u64>,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
}
