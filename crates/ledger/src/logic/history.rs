//! Receipts and tombstones: what was done, and for how long it is remembered.

use crate::Result;
use crate::model::*;
use crate::rows::{decode, encode};
use crate::tables::{
    META_RECEIPT, Partition, Table, after_prefix, check_name, corrupt, parse_task, rule_timed_row,
    task_hash, text_prefix,
};
use crate::transaction::{Read, Span, Transaction, read_counter, write_counter};
use skyfresh_sky::{ObjectKey, Timestamp};

/// Rows that one `prune` step removes at most.
pub(crate) const PRUNE_STEP: usize = 1_000;

/// Behind every row that begins with text: UTF-8 has no such byte.
const AFTER_TEXT: &[u8] = &[0xff];

/// Adds the proof of a finished claim.
pub(crate) fn add_receipt(
    transaction: &mut dyn Transaction,
    partition: &Partition,
    receipt: &Receipt,
) -> Result<()> {
    let sequence = read_counter(&*transaction, META_RECEIPT)? + 1;
    write_counter(transaction, META_RECEIPT, sequence)?;
    let row = rule_timed_row(
        &receipt.task.rule,
        receipt.published,
        &sequence.to_be_bytes(),
    );
    let index = by_key_row(
        partition,
        &receipt.task.key,
        receipt.published,
        &sequence.to_be_bytes(),
    );
    transaction.put(
        Table::Receipts,
        row,
        encode(transaction.operation(), receipt)?,
    )?;
    transaction.put(Table::ReceiptsByKey, index, Vec::new())
}

fn by_key_row(
    partition: &Partition,
    key: &ObjectKey,
    published: Timestamp,
    sequence: &[u8],
) -> Vec<u8> {
    let hash = task_hash(partition, key);
    [
        hash.as_slice(),
        &published.unix_ms().to_be_bytes(),
        sequence,
    ]
    .concat()
}

/// See [`Ledger::receipts_by_time`](crate::Ledger::receipts_by_time).
pub(crate) fn receipts_by_time(
    read: &dyn Read,
    rule: &str,
    from: Timestamp,
    limit: usize,
) -> Result<Vec<Receipt>> {
    check_name(read.operation(), "rule", rule)?;
    let span = Span {
        from: &rule_timed_row(rule, from, &[]),
        to: &after_prefix(&text_prefix(rule)),
    };
    let rows = read.rows(Table::Receipts, span, false, limit)?;
    rows.iter()
        .map(|(row, value)| {
            decode(
                read.operation(),
                Table::Receipts,
                row,
                rule.to_owned(),
                value,
            )
        })
        .collect()
}

/// See [`Ledger::receipts_by_key`](crate::Ledger::receipts_by_key).
pub(crate) fn receipts_by_key(
    read: &dyn Read,
    task: &TaskKey,
    limit: usize,
) -> Result<Vec<Receipt>> {
    let hash = task_hash(&Partition::of(read.operation(), task)?, &task.key);
    let span = Span {
        from: &hash,
        to: &[hash.as_slice(), &[0xff; 17]].concat(),
    };
    let mut receipts = Vec::new();
    for (index, _) in read.rows(Table::ReceiptsByKey, span, true, limit)? {
        let mut row = text_prefix(&task.rule);
        row.extend_from_slice(&index[hash.len()..]);
        let Some(value) = read.get(Table::Receipts, &row)? else {
            continue;
        };
        let receipt: Receipt = decode(
            read.operation(),
            Table::Receipts,
            &row,
            task.rule.clone(),
            &value,
        )?;
        // Another key with this hash: as good as impossible, and harmless.
        if receipt.task == *task {
            receipts.push(receipt);
        }
    }
    Ok(receipts)
}

/// Sets or removes a key's tombstone.
pub(crate) fn set_tombstone(
    transaction: &mut dyn Transaction,
    partition: &Partition,
    key: &ObjectKey,
    tombstone: Option<&Tombstone>,
) -> Result<()> {
    let operation = transaction.operation();
    let row = partition.row(key);
    if let Some(value) = transaction.get(Table::Tombstones, &row)? {
        let old: Tombstone = decode(operation, Table::Tombstones, &row, (), &value)?;
        transaction.delete(Table::TombstonesByTime, by_time_row(old.deleted, &row))?;
        if tombstone.is_none() {
            transaction.delete(Table::Tombstones, row.clone())?;
        }
    }
    if let Some(tombstone) = tombstone {
        transaction.put(
            Table::TombstonesByTime,
            by_time_row(tombstone.deleted, &row),
            Vec::new(),
        )?;
        transaction.put(Table::Tombstones, row, encode(operation, tombstone)?)?;
    }
    Ok(())
}

fn by_time_row(deleted: Timestamp, row: &[u8]) -> Vec<u8> {
    [&deleted.unix_ms().to_be_bytes(), row].concat()
}

/// See [`Ledger::tombstone`](crate::Ledger::tombstone).
pub(crate) fn tombstone(read: &dyn Read, task: &TaskKey) -> Result<Option<Tombstone>> {
    let row = Partition::of(read.operation(), task)?.row(&task.key);
    let Some(value) = read.get(Table::Tombstones, &row)? else {
        return Ok(None);
    };
    decode(read.operation(), Table::Tombstones, &row, (), &value).map(Some)
}

/// Removes up to [`PRUNE_STEP`] receipts and tombstones older than `before`. Returns how many.
pub(crate) fn prune(transaction: &mut dyn Transaction, before: Timestamp) -> Result<u64> {
    let receipts = prune_receipts(transaction, before, PRUNE_STEP)?;
    let tombstones = prune_tombstones(transaction, before, PRUNE_STEP - receipts)?;
    Ok((receipts + tombstones) as u64)
}

/// Receipts sort by rule, then time: takes the old ones of the first rule, then leaps to the next rule.
fn prune_receipts(
    transaction: &mut dyn Transaction,
    before: Timestamp,
    limit: usize,
) -> Result<usize> {
    let operation = transaction.operation();
    let (mut removed, mut from) = (0, Vec::new());
    while removed < limit {
        let read: &dyn Read = &*transaction;
        let Some((first, _)) = read.first(
            Table::Receipts,
            Span {
                from: &from,
                to: AFTER_TEXT,
            },
        )?
        else {
            break;
        };
        let rule = first
            .split(|byte| *byte == 0)
            .next()
            .and_then(|rule| std::str::from_utf8(rule).ok());
        let rule = rule.ok_or_else(|| corrupt(operation, Table::Receipts, &first, "bad key"))?;
        let prefix = text_prefix(rule);
        let span = Span {
            from: &prefix,
            to: &rule_timed_row(rule, before, &[]),
        };
        for (row, value) in read.rows(Table::Receipts, span, false, limit - removed)? {
            match decode::<Receipt>(operation, Table::Receipts, &row, rule.to_owned(), &value) {
                Ok(receipt) => {
                    let partition = Partition::of(operation, &receipt.task)?;
                    let sequence = &row[prefix.len() + 8..];
                    let index =
                        by_key_row(&partition, &receipt.task.key, receipt.published, sequence);
                    transaction.delete(Table::ReceiptsByKey, index)?;
                }
                // What cannot be read can still be forgotten; its index row leads nowhere, which readers allow for.
                Err(error) => tracing::warn!(%error, "an unreadable receipt is pruned"),
            }
            transaction.delete(Table::Receipts, row)?;
            removed += 1;
        }
        from = after_prefix(&prefix);
    }
    Ok(removed)
}

fn prune_tombstones(
    transaction: &mut dyn Transaction,
    before: Timestamp,
    limit: usize,
) -> Result<usize> {
    let span = Span {
        from: &[],
        to: &before.unix_ms().to_be_bytes(),
    };
    let rows = (&*transaction as &dyn Read).rows(Table::TombstonesByTime, span, false, limit)?;
    let removed = rows.len();
    for (row, _) in rows {
        let tombstone = row.get(8..).unwrap_or_default().to_vec();
        parse_task(transaction.operation(), Table::TombstonesByTime, &tombstone)?;
        transaction.delete(Table::Tombstones, tombstone)?;
        transaction.delete(Table::TombstonesByTime, row)?;
    }
    Ok(removed)
}
