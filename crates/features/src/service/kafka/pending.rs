//! Messages that were read and are in no commit yet, by partition. No IO.

use crate::service::replay::Row;
use std::collections::BTreeMap;

/// Rows of one partition, and where they stand in it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Part {
    /// The offset of the first message.
    pub(super) from: u64,
    /// The offset behind the last one.
    pub(super) to: u64,
    /// Messages, those that are no rows included.
    pub(super) messages: usize,
    /// Bytes of their values.
    pub(super) bytes: usize,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// A message that is no row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Odd {
    pub(super) partition: i32,
    pub(super) offset: u64,
    pub(super) why: String,
}

/// What waits for the next commit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    parts: BTreeMap<i32, Part>,
}

impl Pending {
    /// Messages that wait.
    pub(super) fn messages(&self) -> usize {
        self.parts.values().map(|part| part.messages).sum()
    }

    /// Bytes of their values.
    pub(super) fn bytes(&self) -> usize {
        self.parts.values().map(|part| part.bytes).sum()
    }

    /// Takes a message. One that is no row moves the offset all the same, and is told.
    pub(super) fn add(&mut self, partition: i32, offset: u64, value: Option<&[u8]>) -> Option<Odd> {
        let part = self.parts.entry(partition).or_insert(Part {
            from: offset,
            ..Part::default()
        });
        part.to = offset + 1;
        part.messages += 1;
        part.bytes += value.map_or(0, <[u8]>::len);
        let read = match value {
            None => Err("it has no value".to_owned()),
            Some(value) => serde_json::from_slice(value).map_err(|error| error.to_string()),
        };
        match read {
            Ok(row) => {
                part.rows.push(row);
                None
            }
            Err(why) => Some(Odd {
                partition,
                offset,
                why,
            }),
        }
    }

    /// A partition went to another member: that one reads what is in no commit.
    pub(super) fn forget(&mut self, partition: i32) {
        self.parts.remove(&partition);
    }

    /// All that waits.
    pub(super) fn take(&mut self) -> BTreeMap<i32, Part> {
        std::mem::take(&mut self.parts)
    }
}

/// Where reading a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Where the group was by what the broker knows; where it knows nothing, at the beginning.
    AsCommitted,
    /// Here. So many messages before it are gone from the broker unread.
    At { offset: u64, lost: u64 },
    /// Here, though the brokers say that the partition ends before.
    Beyond { offset: u64, end: u64 },
}

/// Where to begin: `stored` is the offset in the store (0: it has none), `committed` what the group committed to the broker, and `ends`
/// the partition's first offset and the one behind its last, where these are known.
///
/// The store is right about what it holds. The broker may be behind it (a crash came between the two commits), or ahead: then a process
/// with another store had the partition meanwhile, and holds those rows.
pub(super) fn start(stored: u64, committed: Option<u64>, ends: Option<(u64, u64)>) -> Start {
    if stored == 0 {
        return Start::AsCommitted;
    }
    let wanted = committed.map_or(stored, |committed| committed.max(stored));
    match ends {
        Some((_, end)) if wanted > end => Start::Beyond {
            offset: wanted,
            end,
        },
        Some((first, _)) if wanted < first => Start::At {
            offset: first,
            lost: first - wanted,
        },
        _ => Start::At {
            offset: wanted,
            lost: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_move_past_messages_that_are_no_rows() {
        let mut pending = Pending::default();
        assert_eq!(pending.add(1, 7, Some(b"{\"k\": 1}")), None);
        for (offset, value) in [(8, None), (9, Some(b"[1]".as_slice())), (12, Some(b"{"))] {
            let odd = pending.add(1, offset, value).unwrap();
            assert_eq!((odd.partition, odd.offset), (1, offset));
        }
        pending.add(0, 3, Some(b"{}"));
        assert_eq!((pending.messages(), pending.bytes()), (5, 14));
        pending.forget(0);
        let parts = pending.take();
        assert_eq!(parts.len(), 1);
        assert_eq!(
            (parts[&1].from, parts[&1].to, parts[&1].rows.len()),
            (7, 13, 1)
        );
        assert_eq!((pending.messages(), pending.take().len()), (0, 0));
    }

    #[test]
    fn the_store_and_the_broker_say_where_to_begin() {
        let at = |offset| Start::At { offset, lost: 0 };
        assert_eq!(start(0, Some(9), None), Start::AsCommitted);
        // The process died before it told the broker.
        assert_eq!(start(20, Some(10), Some((0, 30))), at(20));
        assert_eq!(start(20, None, Some((0, 20))), at(20));
        // Another process had it meanwhile.
        assert_eq!(start(20, Some(25), Some((0, 30))), at(25));
        assert_eq!(start(20, Some(25), None), at(25));
        // The broker has deleted messages.
        assert_eq!(
            start(20, None, Some((24, 30))),
            Start::At {
                offset: 24,
                lost: 4
            }
        );
        // The topic was made anew, or a broker is behind.
        assert_eq!(
            start(20, None, Some((0, 19))),
            Start::Beyond {
                offset: 20,
                end: 19
            }
        );
    }
}
