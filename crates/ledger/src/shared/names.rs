//! Every partition and sort key, with what is in it.
//!
//! | partition | sort | body | documents |
//! |---|---|---|---|
//! | `task/RULE/DESTINATION/SHARD` | object key | fence, task | pending keys |
//! | `memory/RULE/DESTINATION/XX` | hash of rule, destination, key (16 bytes) | mark, tombstone | keys with a mark or a tombstone |
//! | `receipt/RULE/DESTINATION/XX` | the same hash, published, token | receipt | finished claims until pruned |
//! | `journal/RULE/HOUR/SHARD` | slot of ten seconds, random | receipts, references to tombstones | groups of finished claims until pruned |
//! | `hours` | hour, rule | rule | hours with a journal |
//! | `hours/RULE` | hour | – | the same |
//! | `pool/ATTEMPT` | `p` | size, blocks, the first parts done | attempts under way |
//! | `pool/ATTEMPT` | `g`, number of the group (4 bytes) | sixteen parts done | the same |
//! | `upload/SHARD` | attempt | intent | uploads not yet completed or aborted |
//! | `cursor` | name | JSON | few |
//! | `meta` | `format` | JSON | one |
//!
//! `XX` is the hash's first byte: these documents are only ever asked for by key, so that many partitions cost nothing. Names
//! that are short and plain stand for themselves, others by `~` and a hash, so that every partition's name is plain text of
//! bounded length in which `/` only separates.

use super::DocumentId;
use crate::tables::{Partition, check_name, task_hash};
use crate::{Result, TaskKey};
use sha2::{Digest, Sha256};
use skyfresh_sky::{ObjectKey, Timestamp};

/// Behind every sort key in use: text has no such byte, and no time or number begins with it.
pub(crate) const END: &[u8] = &[0xff];

/// A bucket of the journal.
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// Groups of receipts are ordered to this precision; within it, readers sort.
pub(crate) const SLOT_MS: u64 = 10_000;

/// Partitions that an hour's journal is spread over.
pub(crate) const JOURNAL_SHARDS: u64 = 4;

/// Partitions that upload intents are spread over.
pub(crate) const UPLOAD_SHARDS: u64 = 8;

/// Longest name that stands for itself.
const PLAIN_LIMIT_BYTES: usize = 96;

/// One rule's destination: where its documents are.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) rule: String,
    pub(crate) destination: String,
    names: Partition,
}

impl Lane {
    /// Checks the names.
    pub(crate) fn new(operation: &'static str, rule: &str, destination: &str) -> Result<Self> {
        Ok(Lane {
            names: Partition::new(operation, rule, destination)?,
            rule: rule.to_owned(),
            destination: destination.to_owned(),
        })
    }

    pub(crate) fn of(operation: &'static str, task: &TaskKey) -> Result<Self> {
        Self::new(operation, &task.rule, &task.destination)
    }

    pub(crate) fn key(&self, key: ObjectKey) -> TaskKey {
        crate::logic::tasks::task_key(&self.rule, &self.destination, key)
    }

    /// The partition of a shard of tasks.
    pub(crate) fn tasks(&self, shard: u32) -> String {
        let (rule, destination) = (plain(&self.rule), plain(&self.destination));
        format!("task/{rule}/{destination}/{shard}")
    }

    /// 16 bytes that stand for a key here.
    pub(crate) fn hash(&self, key: &ObjectKey) -> [u8; 16] {
        task_hash(&self.names, key)
    }

    /// Where a key's mark and tombstone are.
    pub(crate) fn memory(&self, key: &ObjectKey) -> DocumentId {
        let hash = self.hash(key);
        DocumentId {
            partition: self.by_hash("memory", &hash),
            sort: hash.to_vec(),
        }
    }

    /// Where a key's receipts are, and how their sort keys begin.
    pub(crate) fn receipts(&self, key: &ObjectKey) -> (String, [u8; 16]) {
        let hash = self.hash(key);
        (self.by_hash("receipt", &hash), hash)
    }

    /// Where the receipt of one claim is.
    pub(crate) fn receipt(&self, key: &ObjectKey, published: Timestamp, token: u64) -> DocumentId {
        let (partition, hash) = self.receipts(key);
        let mut sort = hash.to_vec();
        sort.extend_from_slice(&published.unix_ms().to_be_bytes());
        sort.extend_from_slice(&token.to_be_bytes());
        DocumentId { partition, sort }
    }

    fn by_hash(&self, kind: &str, hash: &[u8; 16]) -> String {
        let (rule, destination) = (plain(&self.rule), plain(&self.destination));
        format!("{kind}/{rule}/{destination}/{:02x}", hash[0])
    }
}

/// The partition of an hour of a rule's journal.
pub(crate) fn journal(rule: &str, hour: u64, shard: u64) -> String {
    format!("journal/{}/{hour}/{shard}", plain(rule))
}

/// How sort keys of a slot begin.
pub(crate) fn slot_sort(slot: u64) -> Vec<u8> {
    slot.to_be_bytes().to_vec()
}

/// The two documents that say that there is a journal of this hour.
pub(crate) fn hour_marks(rule: &str, hour: u64) -> [DocumentId; 2] {
    let sort = hour.to_be_bytes().to_vec();
    let mut with_rule = sort.clone();
    with_rule.extend_from_slice(rule.as_bytes());
    [
        DocumentId {
            partition: HOURS.to_owned(),
            sort: with_rule,
        },
        DocumentId {
            partition: hours_of(rule),
            sort,
        },
    ]
}

/// The hours of all rules.
pub(crate) const HOURS: &str = "hours";

/// The partition of a rule's hours.
pub(crate) fn hours_of(rule: &str) -> String {
    format!("{HOURS}/{}", plain(rule))
}

/// The partition of a pool.
pub(crate) fn pool(attempt: &str) -> String {
    format!("pool/{}", plain(attempt))
}

/// The partition of a shard of upload intents.
pub(crate) fn uploads(shard: u64) -> String {
    format!("upload/{shard}")
}

/// An attempt's upload intent.
pub(crate) fn upload(operation: &'static str, attempt: &str) -> Result<DocumentId> {
    check_name(operation, "attempt", attempt)?;
    let digest = first_half(&Sha256::digest(attempt));
    Ok(DocumentId {
        partition: uploads(shard_of(&digest, UPLOAD_SHARDS)),
        sort: attempt.as_bytes().to_vec(),
    })
}

/// A cursor.
pub(crate) fn cursor(operation: &'static str, name: &str) -> Result<DocumentId> {
    check_name(operation, "cursor", name)?;
    Ok(DocumentId {
        partition: "cursor".to_owned(),
        sort: name.as_bytes().to_vec(),
    })
}

/// What the documents here are like.
pub(crate) fn format() -> DocumentId {
    DocumentId {
        partition: "meta".to_owned(),
        sort: b"format".to_vec(),
    }
}

/// Which of `shards` a hash falls to.
pub(crate) fn shard_of(hash: &[u8; 16], shards: u64) -> u64 {
    let packed = u128::from_be_bytes(*hash);
    (packed % u128::from(shards.max(1))) as u64
}

/// The first possible sort key behind this one.
pub(crate) fn behind(sort: &[u8]) -> Vec<u8> {
    let mut next = sort.to_vec();
    next.push(0);
    next
}

fn first_half(digest: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

fn plain(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() <= PLAIN_LIMIT_BYTES && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let half = u128::from_be_bytes(first_half(&Sha256::digest(name)));
    format!("~{half:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_short_plain_and_apart() {
        let lane = |rule: &str, destination: &str| Lane::new("test", rule, destination).unwrap();
        let long = "x".repeat(512);
        let lanes = [
            lane("a/b", "c"),
            lane("a", "b/c"),
            lane("a", "c"),
            lane("ü", "c"),
            lane(&long, &long),
            lane("~", "c"),
        ];
        let mut names: Vec<_> = lanes.iter().map(|lane| lane.tasks(3)).collect();
        for name in &names {
            assert!(name.len() < 256 && name.is_ascii() && name.split('/').count() == 4);
        }
        assert_eq!(names[2], "task/a/c/3");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), lanes.len());
    }
}
