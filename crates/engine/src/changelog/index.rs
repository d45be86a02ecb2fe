//! What a lane has copied, by size and checksum: how copies are found that nobody told of.
//!
//! In: receipts, in the order in which they come. Out: a key whose content was the one asked for when it was last copied.
//! Never: more than [`MOST_KEYS`]; a proof: what it says is looked at again before anything is made of it.

use skyfresh_ledger::{Outcome, Receipt};
use skyfresh_sky::{ObjectKey, ObjectVersion};
use skyfresh_store::ObjectHead;
use std::collections::{HashMap, VecDeque};

/// Keys that are remembered: the last copied ones. Some 300 bytes each.
pub(super) const MOST_KEYS: usize = 65_536;

/// By what a content is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sum {
    /// Size and CRC64NVME, hexadecimal.
    Crc64(u64, String),
    /// Size and entity tag.
    Etag(u64, String),
}

#[derive(Debug)]
struct Known {
    source: ObjectVersion,
    sums: Vec<Sum>,
    /// Tells the newest place in the queue from earlier ones.
    turn: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: HashMap<ObjectKey, Known>,
    by_sum: HashMap<Sum, ObjectKey>,
    /// Oldest first.
    queue: VecDeque<(ObjectKey, u64)>,
    turns: u64,
}

impl Index {
    /// Takes up what a receipt tells, of objects of at least `least_bytes`.
    pub(super) fn note(&mut self, receipt: &Receipt, least_bytes: u64) {
        let key = &receipt.task.key;
        let there = matches!(receipt.outcome, Outcome::Copied | Outcome::AlreadyEqual);
        let source = match &receipt.source {
            Some(source) if there && receipt.size >= least_bytes => source,
            _ => return self.forget(key),
        };
        if self
            .keys
            .get(key)
            .is_some_and(|known| known.source == *source)
            && receipt.outcome == Outcome::AlreadyEqual
        {
            // It says less than what is known.
            return;
        }
        self.forget(key);
        let by_crc64 = receipt.crc64.clone();
        let sums = Vec::from_iter(
            by_crc64
                .map(|crc64| Sum::Crc64(receipt.size, crc64))
                .into_iter()
                .chain([Sum::Etag(receipt.size, source.etag.clone())]),
        );
        for sum in &sums {
            self.by_sum.insert(sum.clone(), key.clone());
        }
        self.turns += 1;
        let known = Known {
            source: source.clone(),
            sums,
            turn: self.turns,
        };
        self.keys.insert(key.clone(), known);
        self.queue.push_back((key.clone(), self.turns));
        // Places of keys that were noted again, or forgotten, are passed over; the queue is bounded by them, too.
        while self.keys.len() > MOST_KEYS || self.queue.len() > 2 * MOST_KEYS {
            let Some((key, turn)) = self.queue.pop_front() else {
                break;
            };
            if self.keys.get(&key).is_some_and(|known| known.turn == turn) {
                self.forget(&key);
            }
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        for sum in self
            .keys
            .remove(key)
            .map(|known| known.sums)
            .into_iter()
            .flatten()
        {
            if self.by_sum.get(&sum) == Some(key) {
                self.by_sum.remove(&sum);
            }
        }
    }

    /// A key, other than `output`, that had this content, and the source version it had then: by checksum first, by entity
    /// tag where the source states none.
    pub(super) fn find(
        &self,
        output: &ObjectKey,
        source: &ObjectHead,
    ) -> Option<(ObjectKey, ObjectVersion)> {
        let etag = || Sum::Etag(source.size, source.version.etag.clone());
        let sum = match source.crc64 {
            Some(crc64) => Sum::Crc64(source.size, crc64.to_string()),
            None => etag(),
        };
        let key = self
            .by_sum
            .get(&sum)
            .or_else(|| self.by_sum.get(&etag()))
            .filter(|key| *key != output)?;
        let known = self.keys.get(key)?;
        Some((key.clone(), known.source.clone()))
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
