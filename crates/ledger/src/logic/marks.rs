//! Marks: what is remembered of every key in scope.

use crate::Result;
use crate::model::Mark;
use crate::rows::{decode_mark, encode_mark};
use crate::tables::{Partition, Table, task_hash};
use crate::transaction::{Read, Transaction};
use skyfresh_sky::ObjectKey;

/// Marks that one `put_marks` step sets at most.
pub(crate) const MARKS_STEP: usize = 1_000;

/// Sets or removes a key's mark.
pub(crate) fn set(
    transaction: &mut dyn Transaction,
    partition: &Partition,
    key: &ObjectKey,
    mark: Option<Mark>,
) -> Result<()> {
    let row = task_hash(partition, key).to_vec();
    match mark {
        Some(mark) => transaction.put(Table::Marks, row, encode_mark(mark).to_vec()),
        None => transaction.delete(Table::Marks, row),
    }
}

/// See [`Ledger::marks`](crate::Ledger::marks).
pub(crate) fn marks(
    read: &dyn Read,
    rule: &str,
    destination: &str,
    keys: &[ObjectKey],
) -> Result<Vec<Option<Mark>>> {
    let partition = Partition::new(read.operation(), rule, destination)?;
    keys.iter()
        .map(|key| {
            let row = task_hash(&partition, key);
            let value = read.get(Table::Marks, &row)?;
            value
                .map(|value| decode_mark(read.operation(), &row, &value))
                .transpose()
        })
        .collect()
}

/// See [`Ledger::put_marks`](crate::Ledger::put_marks).
pub(crate) fn put_marks(
    transaction: &mut dyn Transaction,
    rule: &str,
    destination: &str,
    marks: &[(ObjectKey, Mark)],
) -> Result<()> {
    let partition = Partition::new(transaction.operation(), rule, destination)?;
    marks
        .iter()
        .try_for_each(|(key, mark)| set(transaction, &partition, key, Some(*mark)))
}
