//! The upload journal: what a janitor must look for after a crash.

use crate::Result;
use crate::model::UploadIntent;
use crate::rows::{decode, encode};
use crate::tables::{Table, check_name, corrupt, rule_timed_row, text_prefix};
use crate::transaction::{Read, Span, Transaction};
use skyfresh_sky::Timestamp;

/// Intents that one call returns at most: the janitor ends them and comes again.
pub(crate) const UPLOADS_LIMIT: usize = 10_000;

/// See [`Ledger::record_upload`](crate::Ledger::record_upload).
pub(crate) fn record(transaction: &mut dyn Transaction, intent: &UploadIntent) -> Result<()> {
    let operation = transaction.operation();
    check_name(operation, "attempt", &intent.attempt)?;
    check_name(operation, "rule", &intent.task.rule)?;
    check_name(operation, "destination", &intent.task.destination)?;
    end(transaction, &intent.attempt)?;
    transaction.put(Table::UploadsByTime, index_row(intent), Vec::new())?;
    transaction.put(
        Table::Uploads,
        intent.attempt.as_bytes().to_vec(),
        encode(operation, intent)?,
    )
}

/// See [`Ledger::end_upload`](crate::Ledger::end_upload).
pub(crate) fn end(transaction: &mut dyn Transaction, attempt: &str) -> Result<()> {
    let row = attempt.as_bytes();
    let Some(value) = transaction.get(Table::Uploads, row)? else {
        return Ok(());
    };
    let intent: UploadIntent = decode(
        transaction.operation(),
        Table::Uploads,
        row,
        attempt.to_owned(),
        &value,
    )?;
    transaction.delete(Table::UploadsByTime, index_row(&intent))?;
    transaction.delete(Table::Uploads, row.to_vec())
}

/// See [`Ledger::uploads`](crate::Ledger::uploads): the oldest first.
pub(crate) fn uploads(read: &dyn Read, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>> {
    let operation = read.operation();
    check_name(operation, "rule", rule)?;
    let prefix = text_prefix(rule);
    let span = Span {
        from: &prefix,
        to: &rule_timed_row(rule, before, &[]),
    };
    let mut intents = Vec::new();
    for (index, _) in read.rows(Table::UploadsByTime, span, false, UPLOADS_LIMIT)? {
        let bad = || corrupt(operation, Table::UploadsByTime, &index, "bad key");
        let row = index.get(prefix.len() + 8..).ok_or_else(bad)?;
        let attempt = std::str::from_utf8(row).map_err(|_| bad())?;
        let value = read.get(Table::Uploads, row)?.ok_or_else(bad)?;
        intents.push(decode(
            operation,
            Table::Uploads,
            row,
            attempt.to_owned(),
            &value,
        )?);
    }
    Ok(intents)
}

fn index_row(intent: &UploadIntent) -> Vec<u8> {
    rule_timed_row(&intent.task.rule, intent.started, intent.attempt.as_bytes())
}
