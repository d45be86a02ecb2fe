//! Claims: who works on a key, fenced by tokens that only grow.

use super::signals::{fresh, undirtied};
use super::tasks::{load, load_claimed, replace, task_key};
use super::{history, marks};
use crate::model::*;
use crate::seam::ClaimRequest;
use crate::tables::{META_FENCE, Partition, Table, check_name};
use crate::transaction::{Read, Span, Transaction, read_counter, write_counter};
use crate::{Error, Result};
use skyfresh_sky::{Kind, Mutant, ObjectKey, Timestamp};

/// See [`Ledger::claim`](crate::Ledger::claim).
pub(crate) fn claim(
    transaction: &mut dyn Transaction,
    request: &ClaimRequest,
) -> Result<Vec<Claim>> {
    let operation = transaction.operation();
    let partition = Partition::new(operation, &request.rule, &request.destination)?;
    check_name(operation, "owner", &request.owner)?;
    let span = Span {
        from: partition.bytes(),
        to: &partition.after_time(request.now),
    };
    let mut ready = Vec::new();
    for table in [Table::Due, Table::Leases] {
        for (row, _) in (&*transaction as &dyn Read).rows(table, span, false, request.limit)? {
            let (time, key) = partition.parse_timed_row(operation, table, &row)?;
            ready.push((time, key, table, row));
        }
    }
    ready.sort_unstable();
    ready.truncate(request.limit);

    let mut token = read_counter(&*transaction, META_FENCE)?;
    let mut claims = Vec::with_capacity(ready.len());
    for (_, key, table, row) in ready {
        let key = task_key(&request.rule, &request.destination, key);
        let before = match load(&*transaction, &partition, &key) {
            Ok(Some(task)) => task,
            // One unreadable row must not stop the others, nor be tried for ever: it waits until someone looks at it.
            Ok(None) => {
                tracing::error!(%key, table = table.name(), "a task in the index has no row; dropped from the index");
                transaction.delete(table, row)?;
                continue;
            }
            Err(error) if error.kind == Kind::Corrupt => {
                tracing::error!(%key, %error, "a task cannot be read; it will not be claimed");
                transaction.delete(table, row)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        token += 1;
        let claim = claimed(before.clone(), request, token);
        replace(transaction, &partition, Some(&before), Some(&claim.task))?;
        claims.push(claim);
    }
    if !claims.is_empty() {
        write_counter(transaction, META_FENCE, token)?;
    }
    Ok(claims)
}

/// The claim on a task that is free, or whose lease has run out.
pub(crate) fn claimed(task: Task, request: &ClaimRequest, token: u64) -> Claim {
    let mut task = undirtied(task);
    let ran_out = task.lease.replace(Lease {
        owner: request.owner.clone(),
        token,
        expires: request.now.after(request.lease),
    });
    Claim {
        task,
        token,
        takeover: ran_out.is_some(),
    }
}

/// The task with its lease extended.
pub(crate) fn renewed(mut task: Task, expires: Timestamp) -> Task {
    if let Some(lease) = &mut task.lease {
        lease.expires = expires;
    }
    task
}

/// The task once its claim has failed.
pub(crate) fn failed(task: Task, failure: Failure, due: Timestamp) -> Task {
    Task {
        failures: task.failures.saturating_add(1),
        last_failure: Some(failure),
        ..released(task, due)
    }
}

/// The task once its claim has been given back.
pub(crate) fn released(task: Task, due: Timestamp) -> Task {
    Task {
        due,
        lease: None,
        ..undirtied(task)
    }
}

/// What a finished claim leaves of its task.
pub(crate) fn finished(task: Task, now: Timestamp) -> Option<Task> {
    let dirty = task.dirty.filter(|_| !Mutant::DirtyMarkIgnored.is_on());
    dirty.map(|dirty| fresh(task.task, dirty, now))
}

/// A receipt belongs to the task it finishes.
pub(crate) fn check_receipt(
    operation: &'static str,
    task: &TaskKey,
    completion: &Completion,
) -> Result<()> {
    if completion.receipt.task == *task {
        return Ok(());
    }
    let why = format!("the receipt is for {}", completion.receipt.task);
    Err(Error::new(Kind::Invalid, operation, task.to_string(), why))
}

/// See [`Ledger::next_due`](crate::Ledger::next_due).
pub(crate) fn next_due(
    read: &dyn Read,
    rule: &str,
    destination: &str,
) -> Result<Option<Timestamp>> {
    let partition = Partition::new(read.operation(), rule, destination)?;
    let span = Span {
        from: partition.bytes(),
        to: &partition.end(),
    };
    let mut earliest = None;
    for table in [Table::Due, Table::Leases] {
        if let Some((row, _)) = read.first(table, span)? {
            let (time, _) = partition.parse_timed_row(read.operation(), table, &row)?;
            earliest = Some(earliest.map_or(time, |other: Timestamp| other.min(time)));
        }
    }
    Ok(earliest)
}

/// See [`Ledger::claimed`](crate::Ledger::claimed).
pub(crate) fn claimed_keys(
    read: &dyn Read,
    rule: &str,
    destination: &str,
) -> Result<Vec<ObjectKey>> {
    let partition = Partition::new(read.operation(), rule, destination)?;
    let span = Span {
        from: partition.bytes(),
        to: &partition.end(),
    };
    let rows = read.rows(Table::Leases, span, false, usize::MAX)?;
    let key = |(row, _): (Vec<u8>, Vec<u8>)| {
        let (_, key) = partition.parse_timed_row(read.operation(), Table::Leases, &row)?;
        Ok(key)
    };
    rows.into_iter().map(key).collect()
}

/// See [`Ledger::renew`](crate::Ledger::renew).
pub(crate) fn renew(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    expires: Timestamp,
) -> Result<()> {
    change(transaction, task, token, |claimed| {
        renewed(claimed, expires)
    })
}

/// See [`Ledger::record_attempt`](crate::Ledger::record_attempt).
pub(crate) fn record_attempt(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    attempt: Option<Attempt>,
) -> Result<()> {
    change(transaction, task, token, |claimed| Task {
        attempt,
        ..claimed
    })
}

/// See [`Ledger::fail`](crate::Ledger::fail).
pub(crate) fn fail(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    failure: Failure,
    due: Timestamp,
) -> Result<()> {
    transaction.wake();
    change(transaction, task, token, |claimed| {
        failed(claimed, failure, due)
    })
}

/// See [`Ledger::release`](crate::Ledger::release).
pub(crate) fn release(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    due: Timestamp,
) -> Result<()> {
    transaction.wake();
    change(transaction, task, token, |claimed| released(claimed, due))
}

/// See [`Ledger::finish`](crate::Ledger::finish).
pub(crate) fn finish(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    completion: &Completion,
    now: Timestamp,
) -> Result<Finished> {
    let operation = transaction.operation();
    check_receipt(operation, task, completion)?;
    let partition = Partition::of(operation, task)?;
    let claimed = load_claimed(&*transaction, &partition, task, token)?;
    history::add_receipt(transaction, &partition, &completion.receipt)?;
    history::set_tombstone(
        transaction,
        &partition,
        &task.key,
        completion.tombstone.as_ref(),
    )?;
    marks::set(transaction, &partition, &task.key, completion.mark)?;
    let again = finished(claimed.clone(), now);
    replace(transaction, &partition, Some(&claimed), again.as_ref())?;
    if again.is_some() {
        transaction.wake();
        return Ok(Finished::Again);
    }
    Ok(Finished::Done)
}

fn change(
    transaction: &mut dyn Transaction,
    task: &TaskKey,
    token: u64,
    step: impl FnOnce(Task) -> Task,
) -> Result<()> {
    let partition = Partition::of(transaction.operation(), task)?;
    let before = load_claimed(&*transaction, &partition, task, token)?;
    let after = step(before.clone());
    replace(transaction, &partition, Some(&before), Some(&after))
}

/// Makes up to `limit` claims run out whose owner is not `owner`, at once: they are due since they were last due. For a
/// backend that knows the other owners to be dead. `after` is where the last call ended; `None`: all are done.
pub(crate) fn expire_others(
    transaction: &mut dyn Transaction,
    owner: &str,
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Option<Vec<u8>>> {
    let operation = transaction.operation();
    // One byte after the last row seen: the first possible row behind it.
    let from = after.map(|mut row| {
        row.push(0);
        row
    });
    let span = Span {
        from: &from.unwrap_or_default(),
        to: &[0xff],
    };
    let rows = (&*transaction as &dyn Read).rows(Table::Leases, span, false, limit)?;
    let last = rows.last().map(|(row, _)| row.clone());
    for (row, _) in rows {
        let (partition, key) = Partition::parse_timed_task(operation, Table::Leases, &row)?;
        let Some(before) = load(&*transaction, &partition, &key)? else {
            continue;
        };
        let mut task = before.clone();
        match &mut task.lease {
            Some(lease) if lease.owner != owner => lease.expires = task.due,
            _ => continue,
        }
        replace(transaction, &partition, Some(&before), Some(&task))?;
    }
    Ok(last)
}
