//! What the source had, key by key, in the order in which it had it.

use skyfresh_sky::{ObjectVersion, Timestamp};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::memory::{MemoryEvent, MemoryEventKind};
use std::collections::HashMap;

/// Versions remembered of a key that no destination is behind.
const KEPT_VERSIONS: usize = 64;

/// One content of one key.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Grows with every change of the source.
    pub(super) order: u64,
    pub(super) version: ObjectVersion,
    pub(super) size: u64,
    pub(super) crc64: Crc64,
    pub(super) at: Timestamp,
}

impl Content {
    pub(super) fn of(event: &MemoryEvent, order: u64) -> Self {
        Content {
            order,
            version: ObjectVersion {
                etag: event.etag.clone(),
                version_id: event.version_id.clone(),
            },
            size: event.size,
            crc64: event.crc64,
            at: event.at,
        }
    }

    pub(super) fn same_bytes(&self, other: &Content) -> bool {
        (self.size, self.crc64) == (other.size, other.crc64)
    }
}

/// One key of the source.
#[derive(Debug, Default)]
pub(super) struct SourceKey {
    contents: Vec<Content>,
    present: bool,
    /// The last time at which it was seen absent.
    absent_at: Option<Timestamp>,
    /// The order of its last delete.
    pub(super) last_delete: u64,
}

impl SourceKey {
    /// The content that is there now.
    pub(super) fn current(&self) -> Option<&Content> {
        self.contents.last().filter(|_| self.present)
    }

    /// The newest content with these bytes.
    pub(super) fn with_bytes(&self, like: &Content) -> Option<&Content> {
        self.contents
            .iter()
            .rev()
            .find(|held| held.same_bytes(like))
    }

    /// Whether the content that is there now is one that it had before: the empty one, say.
    pub(super) fn has_returned(&self) -> bool {
        let earlier = self.contents.len().saturating_sub(1);
        let mut before = self.contents.iter().take(earlier);
        self.current()
            .is_some_and(|current| before.any(|held| held.same_bytes(current)))
    }

    /// Contents of this version; several where equal bytes make equal entity tags.
    pub(super) fn of_version<'a>(
        &'a self,
        version: &'a ObjectVersion,
    ) -> impl Iterator<Item = &'a Content> {
        self.contents
            .iter()
            .filter(move |held| held.version == *version)
    }

    /// Whether it is absent, and was deleted before `time`.
    pub(super) fn deleted_before(&self, time: Timestamp) -> bool {
        !self.present && self.absent_at.is_some_and(|at| at < time)
    }

    /// Whether it was absent at some moment since `from`.
    pub(super) fn was_absent_since(&self, from: Timestamp) -> bool {
        !self.present || self.absent_at.is_some_and(|at| at >= from)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Truth {
    keys: HashMap<String, SourceKey>,
    changes: u64,
}

impl Truth {
    /// Takes in a change of the source; its order.
    pub(super) fn changed(&mut self, event: &MemoryEvent) -> u64 {
        self.changes += 1;
        let order = self.changes;
        let key = self.keys.entry(event.full_key.clone()).or_default();
        match event.kind {
            MemoryEventKind::Put => {
                if !key.present {
                    key.absent_at = Some(event.at);
                }
                key.present = true;
                key.contents.push(Content::of(event, order));
                if key.contents.len() > KEPT_VERSIONS {
                    key.contents.remove(0);
                }
            }
            MemoryEventKind::Delete => {
                key.present = false;
                key.absent_at = Some(event.at);
                key.last_delete = order;
            }
        }
        order
    }

    pub(super) fn key(&self, name: &str) -> Option<&SourceKey> {
        self.keys.get(name)
    }

    /// Whether a key was absent at some moment since `from`; one that was never there always was.
    pub(super) fn was_absent_since(&self, name: &str, from: Timestamp) -> bool {
        self.key(name).is_none_or(|key| key.was_absent_since(from))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&String, &SourceKey)> {
        self.keys.iter()
    }
}
