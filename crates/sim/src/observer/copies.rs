//! What the destinations have, and how long changes took to get there.

use super::truth::{Content, SourceKey};
use skyfresh_sky::{ObjectVersion, Timestamp};
use std::collections::VecDeque;

/// Publishes and deletes remembered of one key at one destination: receipts come soon after them.
const KEPT: usize = 16;

/// A change of the source that is not at this destination yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) order: u64,
    pub(super) at: Timestamp,
}

/// One key at one destination.
#[derive(Debug, Default)]
pub(super) struct Copy {
    /// What was published, with the order of the source content it is.
    published: VecDeque<Content>,
    deleted: VecDeque<ObjectVersion>,
    present: bool,
    /// What is there may have been sent by an owner that has lost its claim since.
    pub(super) stale_sender: bool,
    /// The newest order it ever had.
    pub(super) newest: u64,
    waiting: Vec<Waiting>,
}

impl Copy {
    pub(super) fn wait_for(&mut self, order: u64, at: Timestamp) {
        self.waiting.push(Waiting { order, at });
    }

    /// Those that have waited for nothing newer than `order`.
    pub(super) fn arrived(&mut self, order: u64) -> Vec<Waiting> {
        let (done, left) = self
            .waiting
            .iter()
            .partition(|waiting| waiting.order <= order);
        self.waiting = left;
        done
    }

    /// Bytes that are there now.
    pub(super) fn bytes(&self) -> u64 {
        self.current().map_or(0, |content| content.size)
    }

    /// What is there now.
    pub(super) fn current(&self) -> Option<&Content> {
        self.published.back().filter(|_| self.present)
    }

    /// Whether what is there now has these bytes, be it of an older content: the source may have had them before.
    pub(super) fn equals(&self, content: &Content) -> bool {
        let current = self.current();
        current.is_some_and(|current| current.same_bytes(content))
    }

    pub(super) fn publish(&mut self, content: Content) {
        self.newest = self.newest.max(content.order);
        self.present = true;
        keep(&mut self.published, content);
    }

    pub(super) fn delete(&mut self, version: ObjectVersion) {
        self.present = false;
        keep(&mut self.deleted, version);
    }

    /// Whether a published version holds the bytes of this source version.
    pub(super) fn has_had(
        &self,
        version: &ObjectVersion,
        source: &SourceKey,
        source_version: &ObjectVersion,
    ) -> bool {
        self.published
            .iter()
            .filter(|held| held.version == *version)
            .any(|held| {
                let mut meant = source.of_version(source_version);
                meant.any(|content| content.same_bytes(held))
            })
    }

    /// Whether this version was deleted, or whatever was there is gone.
    pub(super) fn is_rid_of(&self, version: Option<&ObjectVersion>) -> bool {
        !self.present || version.is_some_and(|version| self.deleted.contains(version))
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T) {
    kept.push_back(one);
    if kept.len() > KEPT {
        kept.pop_front();
    }
}
