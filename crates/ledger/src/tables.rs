//! Every table and every key encoding, with its bound.
//!
//! Keys are bytes compared as bytes. Text ends with one zero byte (names and object keys hold none), times and counters are
//! eight bytes big-endian, so that byte order is the order meant. A *partition* is `rule 0 destination 0`.
//!
//! | table | key | value | rows |
//! |---|---|---|---|
//! | `tasks` | partition, object key | task | pending keys |
//! | `due` | partition, due time, object key | – | pending keys without a claim |
//! | `leases` | partition, lease expiry, object key | – | claims: what the engine works on at once |
//! | `pending` | partition, pending since, object key | changed since | pending keys |
//! | `failing` | partition, object key | – | pending keys whose last attempt failed |
//! | `counters` | partition | counters | one per destination |
//! | `pools` | attempt | pool | attempts under way |
//! | `holds` | attempt 0, part number (4 bytes) | holders | parts claimed or given back, not done |
//! | `parts` | attempt 0, part number (4 bytes) | part | parts done of attempts under way |
//! | `uploads` | attempt | intent | uploads not yet completed or aborted |
//! | `uploads_by_time` | rule 0, start, attempt | – | the same |
//! | `marks` | hash of partition and object key (16 bytes) | two hashes (16 bytes) | keys in scope |
//! | `tombstones` | partition, object key | tombstone | deletes until pruned |
//! | `tombstones_by_time` | time, partition, object key | – | the same |
//! | `receipts` | rule 0, published, sequence | receipt | finished claims until pruned |
//! | `receipts_by_key` | hash of partition and object key (16 bytes), published, sequence | – | the same |
//! | `cursors` | name | JSON | few |
//! | `meta` | name | 8 bytes | the fencing counter, the receipt sequence, the format |
//!
//! `marks` alone has a row for every key in scope, so it alone has no text and no framing. The hash is the first half of a
//! SHA-256: nobody can make two keys collide, and if two did, one key's mark would not fit the other's version, which costs
//! that key a comparison.

use crate::{Error, Result, TaskKey};
use sha2::{Digest, Sha256};
use skyfresh_sky::{Kind, ObjectKey, Timestamp};

/// Names of rules, destinations, attempts, workers and cursors are at most this long, in bytes.
pub(crate) const NAME_LIMIT_BYTES: usize = 512;

/// One ordered map of bytes to bytes. See the module's head for keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Tasks,
    Due,
    Leases,
    Pending,
    Failing,
    Counters,
    Pools,
    Holds,
    Parts,
    Uploads,
    UploadsByTime,
    Marks,
    Tombstones,
    TombstonesByTime,
    Receipts,
    ReceiptsByKey,
    Cursors,
    Meta,
}

impl Table {
    /// All of them, in declaration order: `ALL[table as usize] == table`.
    pub(crate) const ALL: [Table; 18] = [
        Table::Tasks,
        Table::Due,
        Table::Leases,
        Table::Pending,
        Table::Failing,
        Table::Counters,
        Table::Pools,
        Table::Holds,
        Table::Parts,
        Table::Uploads,
        Table::UploadsByTime,
        Table::Marks,
        Table::Tombstones,
        Table::TombstonesByTime,
        Table::Receipts,
        Table::ReceiptsByKey,
        Table::Cursors,
        Table::Meta,
    ];

    /// The name in the file and in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Table::Tasks => "tasks",
            Table::Due => "due",
            Table::Leases => "leases",
            Table::Pending => "pending",
            Table::Failing => "failing",
            Table::Counters => "counters",
            Table::Pools => "pools",
            Table::Holds => "holds",
            Table::Parts => "parts",
            Table::Uploads => "uploads",
            Table::UploadsByTime => "uploads_by_time",
            Table::Marks => "marks",
            Table::Tombstones => "tombstones",
            Table::TombstonesByTime => "tombstones_by_time",
            Table::Receipts => "receipts",
            Table::ReceiptsByKey => "receipts_by_key",
            Table::Cursors => "cursors",
            Table::Meta => "meta",
        }
    }
}

/// `meta`: the newest fencing token given out, over all rows and restarts.
pub(crate) const META_FENCE: &[u8] = b"fence";
/// `meta`: the newest receipt's sequence number.
pub(crate) const META_RECEIPT: &[u8] = b"receipt";
/// `meta`: the file's format.
pub(crate) const META_FORMAT: &[u8] = b"format";

/// Checks a name that becomes part of a key.
pub(crate) fn check_name(operation: &'static str, what: &str, name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > NAME_LIMIT_BYTES {
        format!(
            "is {} bytes long; the limit is {NAME_LIMIT_BYTES}",
            name.len()
        )
    } else if name.contains('\0') {
        "contains a NUL character".to_owned()
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(64).collect();
    Err(Error::new(
        Kind::Invalid,
        operation,
        shown,
        format!("the {what}'s name {why}"),
    ))
}

/// The rows of one destination of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition(Vec<u8>);

impl Partition {
    /// Checks the names.
    pub(crate) fn new(operation: &'static str, rule: &str, destination: &str) -> Result<Self> {
        check_name(operation, "rule", rule)?;
        check_name(operation, "destination", destination)?;
        let mut bytes = Vec::with_capacity(rule.len() + destination.len() + 2);
        push_text(&mut bytes, rule);
        push_text(&mut bytes, destination);
        Ok(Partition(bytes))
    }

    /// The partition of a task.
    pub(crate) fn of(operation: &'static str, task: &TaskKey) -> Result<Self> {
        Self::new(operation, &task.rule, &task.destination)
    }

    /// The key of the partition's one row in `counters`, and where its rows begin elsewhere.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where its rows end (exclusive).
    pub(crate) fn end(&self) -> Vec<u8> {
        after_prefix(&self.0)
    }

    /// `partition, object key`.
    pub(crate) fn row(&self, key: &ObjectKey) -> Vec<u8> {
        [self.0.as_slice(), key.as_str().as_bytes()].concat()
    }

    /// `partition, time, object key`.
    pub(crate) fn timed_row(&self, time: Timestamp, key: &ObjectKey) -> Vec<u8> {
        [
            self.0.as_slice(),
            &time.unix_ms().to_be_bytes(),
            key.as_str().as_bytes(),
        ]
        .concat()
    }

    /// Where rows later than `time` begin in a table of timed rows.
    pub(crate) fn after_time(&self, time: Timestamp) -> Vec<u8> {
        match time.unix_ms().checked_add(1) {
            Some(next) => [self.0.as_slice(), &next.to_be_bytes()].concat(),
            None => self.end(),
        }
    }

    /// The partition and the task of a timed row.
    pub(crate) fn parse_timed_task(
        operation: &'static str,
        table: Table,
        row: &[u8],
    ) -> Result<(Self, TaskKey)> {
        let mut texts = row.splitn(3, |byte| *byte == 0).map(std::str::from_utf8);
        let (Some(Ok(rule)), Some(Ok(destination))) = (texts.next(), texts.next()) else {
            return Err(corrupt(operation, table, row, "bad key"));
        };
        let partition = Partition::new(operation, rule, destination)?;
        let (_, key) = partition.parse_timed_row(operation, table, row)?;
        let task = TaskKey {
            rule: rule.to_owned(),
            destination: destination.to_owned(),
            key,
        };
        Ok((partition, task))
    }

    /// The object key of a row.
    pub(crate) fn parse_row(
        &self,
        operation: &'static str,
        table: Table,
        row: &[u8],
    ) -> Result<ObjectKey> {
        row.get(self.0.len()..)
            .and_then(parse_key)
            .ok_or_else(|| corrupt(operation, table, row, "bad key"))
    }

    /// Time and object key of a timed row.
    pub(crate) fn parse_timed_row(
        &self,
        operation: &'static str,
        table: Table,
        row: &[u8],
    ) -> Result<(Timestamp, ObjectKey)> {
        let rest = row.get(self.0.len()..).unwrap_or_default();
        rest.split_first_chunk::<8>()
            .and_then(|(time, key)| {
                Some((
                    Timestamp::from_unix_ms(u64::from_be_bytes(*time)),
                    parse_key(key)?,
                ))
            })
            .ok_or_else(|| corrupt(operation, table, row, "bad key"))
    }
}

/// `rule 0 destination 0 key` as a task's key.
pub(crate) fn parse_task(operation: &'static str, table: Table, row: &[u8]) -> Result<TaskKey> {
    let mut parts = row.splitn(3, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let parsed = (|| {
        let (rule, destination, key) = (text()?.to_owned(), text()?.to_owned(), text()?);
        Some(TaskKey {
            rule,
            destination,
            key: ObjectKey::new(key).ok()?,
        })
    })();
    parsed.ok_or_else(|| corrupt(operation, table, row, "bad key"))
}

/// `text 0`.
pub(crate) fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

/// `text 0` alone.
pub(crate) fn text_prefix(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 9);
    push_text(&mut bytes, text);
    bytes
}

/// The first key after all that begin with `prefix`, which ends in a zero byte.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// `text 0, part number`.
pub(crate) fn part_row(attempt: &str, number: u32) -> Vec<u8> {
    let mut row = text_prefix(attempt);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// `rule 0, time, rest`.
pub(crate) fn rule_timed_row(rule: &str, time: Timestamp, rest: &[u8]) -> Vec<u8> {
    let mut row = text_prefix(rule);
    row.extend_from_slice(&time.unix_ms().to_be_bytes());
    row.extend_from_slice(rest);
    row
}

/// 16 bytes that stand for one key at one destination. Stable for ever: it is on disk.
pub(crate) fn task_hash(partition: &Partition, key: &ObjectKey) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(partition.bytes())
        .chain_update(key.as_str())
        .finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// An error for a row that cannot be read.
pub(crate) fn corrupt(operation: &'static str, table: Table, row: &[u8], why: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        operation,
        format!("{} row {}", table.name(), row.escape_ascii()),
        why,
    )
}

fn parse_key(bytes: &[u8]) -> Option<ObjectKey> {
    ObjectKey::new(std::str::from_utf8(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_parse_back_and_sort_by_time() {
        let partition = Partition::new("test", "rule", "eu").unwrap();
        let key = ObjectKey::new("a//ü/\u{1}").unwrap();
        let row = partition.timed_row(Timestamp::from_unix_ms(256), &key);
        assert_eq!(
            partition.parse_timed_row("test", Table::Due, &row).unwrap(),
            (Timestamp::from_unix_ms(256), key.clone())
        );
        assert!(partition.timed_row(Timestamp::from_unix_ms(255), &key) < row);
        assert!(row < partition.after_time(Timestamp::from_unix_ms(256)));
        assert!(partition.timed_row(Timestamp::MAX, &key) < partition.end());
        assert_eq!(partition.after_time(Timestamp::MAX), partition.end());
        let task = parse_task("test", Table::Tombstones, &partition.row(&key)).unwrap();
        assert_eq!(
            (task.rule.as_str(), task.destination.as_str(), &task.key),
            ("rule", "eu", &key)
        );
    }

    #[test]
    fn partitions_whose_names_touch_stay_apart() {
        let (short, long) = (
            Partition::new("test", "a", "b").unwrap(),
            Partition::new("test", "a", "bc").unwrap(),
        );
        let row = long.row(&ObjectKey::new("k").unwrap());
        assert!(row >= short.end() || row.as_slice() < short.bytes());
        for bad in ["", "a\0b", &"x".repeat(NAME_LIMIT_BYTES + 1)] {
            assert_eq!(
                Partition::new("test", bad, "b").unwrap_err().kind,
                Kind::Invalid
            );
        }
    }

    #[test]
    fn the_hash_on_disk_never_changes() {
        let partition = Partition::new("test", "rule", "eu").unwrap();
        let hash = task_hash(&partition, &ObjectKey::new("key").unwrap());
        let sum = Sha256::digest(b"rule\0eu\0key");
        assert_eq!(hash, sum[..16]);
    }

    #[test]
    fn tables_are_listed_in_order() {
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, index);
        }
    }
}
