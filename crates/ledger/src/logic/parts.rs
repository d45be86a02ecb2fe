//! Part pools: many workers, one object.
//!
//! A part is in one of three places: not yet held (from the pool's `next` on), in `holds` (claimed, or given back), or in
//! `parts` (done). A claim looks only at `holds`, which has as many rows as workers have parts in flight, and at `next`.

use crate::model::*;
use crate::rows::{Hold, Holders, Pool, decode, encode};
use crate::tables::{Table, after_prefix, check_name, corrupt, part_row, text_prefix};
use crate::transaction::{Read, Span, Transaction};
use crate::{Error, Result};
use skyfresh_sky::{Kind, Mutant, Timestamp};
use std::time::Duration;

/// A part is copied by so many workers at most.
const HOLDERS_LIMIT: usize = 2;

/// Which parts to claim, for whom, for how long: the arguments of [`Ledger::claim_parts`](crate::Ledger::claim_parts).
#[derive(Debug)]
pub(crate) struct PartsRequest {
    pub(crate) attempt: String,
    pub(crate) worker: String,
    pub(crate) limit: usize,
    pub(crate) lease: Duration,
    pub(crate) duplicate_after: Duration,
    pub(crate) now: Timestamp,
}

/// See [`Ledger::open_pool`](crate::Ledger::open_pool).
pub(crate) fn open(transaction: &mut dyn Transaction, attempt: &str, total: u32) -> Result<()> {
    let operation = transaction.operation();
    check_name(operation, "attempt", attempt)?;
    check_total(operation, attempt, total)?;
    match find(&*transaction, attempt)? {
        Some(pool) => check_same_total(operation, attempt, pool.total, total),
        None => put_pool(
            transaction,
            attempt,
            &Pool {
                total,
                done: 0,
                next: 1,
            },
        ),
    }
}

/// See [`Ledger::claim_parts`](crate::Ledger::claim_parts).
pub(crate) fn claim(
    transaction: &mut dyn Transaction,
    request: &PartsRequest,
) -> Result<Vec<PartClaim>> {
    let PartsRequest {
        attempt,
        worker,
        limit,
        lease,
        duplicate_after,
        now,
    } = request;
    check_name(transaction.operation(), "worker", worker)?;
    let mut pool = existing(&*transaction, attempt)?;
    let hold = Hold {
        worker: worker.clone(),
        claimed_ms: now.unix_ms(),
        expires_ms: now.after(*lease).unix_ms(),
    };
    let held = held(&*transaction, attempt, *now)?;
    let mut claims = Vec::new();
    for (number, _) in held
        .iter()
        .filter(|(_, holders)| holders.0.is_empty())
        .take(*limit)
    {
        put_holders(transaction, attempt, *number, &Holders(vec![hold.clone()]))?;
        claims.push(PartClaim {
            number: *number,
            duplicate: false,
        });
    }
    let next_before = pool.next;
    while claims.len() < *limit && pool.next <= pool.total {
        let number = pool.next;
        pool.next += 1;
        // A part can be done without having been held: a resumed upload already has it.
        if transaction
            .get(Table::Parts, &part_row(attempt, number))?
            .is_none()
        {
            put_holders(transaction, attempt, number, &Holders(vec![hold.clone()]))?;
            claims.push(PartClaim {
                number,
                duplicate: false,
            });
        }
    }
    if pool.next != next_before {
        put_pool(transaction, attempt, &pool)?;
    }
    if claims.is_empty() && *limit > 0 {
        let old = now.before(*duplicate_after);
        let candidates = held.iter().map(|(number, holders)| (*number, holders));
        if let Some((number, holders)) = slowest(candidates, worker, old) {
            let mut holders = holders.clone();
            holders.0.push(hold);
            put_holders(transaction, attempt, number, &holders)?;
            claims.push(PartClaim {
                number,
                duplicate: true,
            });
        }
    }
    Ok(claims)
}

/// The part to duplicate for `worker`: the one claimed longest ago, at `old` or before, with fewer than two (living) holders,
/// the first of whom is another.
pub(crate) fn slowest<'held>(
    held: impl Iterator<Item = (u32, &'held Holders)>,
    worker: &str,
    old: Timestamp,
) -> Option<(u32, &'held Holders)> {
    held.filter(|(_, holders)| holders.0.len() < HOLDERS_LIMIT)
        .filter_map(|(number, holders)| {
            let first = holders.0.first()?;
            let ripe = first.claimed_ms <= old.unix_ms() && first.worker != worker;
            ripe.then_some((first.claimed_ms, number, holders))
        })
        .min_by_key(|(claimed_ms, number, _)| (*claimed_ms, *number))
        .map(|(_, number, holders)| (number, holders))
}

/// The pool's size, checked.
pub(crate) fn check_total(operation: &'static str, attempt: &str, total: u32) -> Result<()> {
    if total > 0 {
        return Ok(());
    }
    let why = "a pool has at least one part";
    Err(Error::new(Kind::Invalid, operation, attempt, why))
}

/// An open pool may be opened again only with its own size.
pub(crate) fn check_same_total(
    operation: &'static str,
    attempt: &str,
    open: u32,
    total: u32,
) -> Result<()> {
    if open == total {
        return Ok(());
    }
    let why = format!("the pool is open with {open} parts, not {total}");
    Err(Error::new(Kind::Invalid, operation, attempt, why))
}

/// A part's number, checked against the pool.
pub(crate) fn check_number(
    operation: &'static str,
    attempt: &str,
    number: u32,
    total: u32,
) -> Result<()> {
    if (1..=total).contains(&number) {
        return Ok(());
    }
    let why = format!("there is no part {number}: the pool has 1 to {total}");
    Err(Error::new(Kind::Invalid, operation, attempt, why))
}

/// The error for a pool that is not open.
pub(crate) fn closed(operation: &'static str, attempt: &str) -> Error {
    let why = "the pool is closed: the attempt is over";
    Error::new(Kind::Missing, operation, attempt, why)
}

/// See [`Ledger::finish_part`](crate::Ledger::finish_part).
pub(crate) fn finish(
    transaction: &mut dyn Transaction,
    attempt: &str,
    part: &PartDone,
) -> Result<PoolState> {
    let operation = transaction.operation();
    let mut pool = existing(&*transaction, attempt)?;
    check_number(operation, attempt, part.number, pool.total)?;
    let row = part_row(attempt, part.number);
    let first_result = transaction.get(Table::Parts, &row)?.is_none();
    if first_result {
        pool.done += 1;
        put_pool(transaction, attempt, &pool)?;
        transaction.delete(Table::Holds, row.clone())?;
        transaction.put(Table::Parts, row, encode(operation, part)?)?;
    }
    Ok(PoolState {
        total: pool.total,
        done: pool.done,
        completed_now: first_result && pool.done == pool.total,
    })
}

/// See [`Ledger::release_part`](crate::Ledger::release_part). A part that the worker does not hold, or of a pool that is
/// closed, is left alone: there is nothing to give back.
pub(crate) fn release(
    transaction: &mut dyn Transaction,
    attempt: &str,
    worker: &str,
    number: u32,
) -> Result<()> {
    check_name(transaction.operation(), "attempt", attempt)?;
    let row = part_row(attempt, number);
    let Some(value) = transaction.get(Table::Holds, &row)? else {
        return Ok(());
    };
    let mut holders: Holders = decode(transaction.operation(), Table::Holds, &row, (), &value)?;
    holders.0.retain(|hold| hold.worker != worker);
    put_holders(transaction, attempt, number, &holders)
}

/// See [`Ledger::parts`](crate::Ledger::parts).
pub(crate) fn parts(read: &dyn Read, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>> {
    let Some(pool) = find(read, attempt)? else {
        return Ok(None);
    };
    let prefix = text_prefix(attempt);
    let span = Span {
        from: &prefix,
        to: &after_prefix(&prefix),
    };
    let rows = read.rows(Table::Parts, span, false, usize::MAX)?;
    let parts = rows.iter().map(|(row, value)| {
        let number = parse_number(read.operation(), Table::Parts, row, prefix.len())?;
        decode(read.operation(), Table::Parts, row, number, value)
    });
    Ok(Some((pool.total, parts.collect::<Result<_>>()?)))
}

/// See [`Ledger::close_pool`](crate::Ledger::close_pool).
pub(crate) fn close(transaction: &mut dyn Transaction, attempt: &str) -> Result<()> {
    check_name(transaction.operation(), "attempt", attempt)?;
    let prefix = text_prefix(attempt);
    let span = Span {
        from: &prefix,
        to: &after_prefix(&prefix),
    };
    for table in [Table::Holds, Table::Parts] {
        for (row, _) in (&*transaction as &dyn Read).rows(table, span, false, usize::MAX)? {
            transaction.delete(table, row)?;
        }
    }
    transaction.delete(Table::Pools, attempt.as_bytes().to_vec())
}

/// Makes nobody hold up to `limit` parts behind the row `after`. For a backend that knows every holder to be dead. Returns
/// where it ended; `None`: all are done.
pub(crate) fn free_all(
    transaction: &mut dyn Transaction,
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Option<Vec<u8>>> {
    let from = after.map(|mut row| {
        row.push(0);
        row
    });
    let span = Span {
        from: &from.unwrap_or_default(),
        to: &[0xff],
    };
    let rows = (&*transaction as &dyn Read).rows(Table::Holds, span, false, limit)?;
    let last = rows.last().map(|(row, _)| row.clone());
    for (row, _) in rows {
        let nobody = encode(transaction.operation(), &Holders::default())?;
        transaction.put(Table::Holds, row, nobody)?;
    }
    Ok(last)
}

/// Parts claimed or given back but not done, with their living holders.
fn held(read: &dyn Read, attempt: &str, now: Timestamp) -> Result<Vec<(u32, Holders)>> {
    let prefix = text_prefix(attempt);
    let span = Span {
        from: &prefix,
        to: &after_prefix(&prefix),
    };
    let rows = read.rows(Table::Holds, span, false, usize::MAX)?;
    rows.iter()
        .map(|(row, value)| {
            let number = parse_number(read.operation(), Table::Holds, row, prefix.len())?;
            let mut holders: Holders = decode(read.operation(), Table::Holds, row, (), value)?;
            holders.0.retain(|hold| {
                hold.expires_ms > now.unix_ms() || Mutant::PartLostWithWorker.is_on()
            });
            Ok((number, holders))
        })
        .collect()
}

fn find(read: &dyn Read, attempt: &str) -> Result<Option<Pool>> {
    check_name(read.operation(), "attempt", attempt)?;
    let Some(value) = read.get(Table::Pools, attempt.as_bytes())? else {
        return Ok(None);
    };
    decode(
        read.operation(),
        Table::Pools,
        attempt.as_bytes(),
        (),
        &value,
    )
    .map(Some)
}

fn existing(read: &dyn Read, attempt: &str) -> Result<Pool> {
    find(read, attempt)?.ok_or_else(|| closed(read.operation(), attempt))
}

fn put_pool(transaction: &mut dyn Transaction, attempt: &str, pool: &Pool) -> Result<()> {
    let value = encode(transaction.operation(), pool)?;
    transaction.put(Table::Pools, attempt.as_bytes().to_vec(), value)
}

fn put_holders(
    transaction: &mut dyn Transaction,
    attempt: &str,
    number: u32,
    holders: &Holders,
) -> Result<()> {
    let value = encode(transaction.operation(), holders)?;
    transaction.put(Table::Holds, part_row(attempt, number), value)
}

fn parse_number(operation: &'static str, table: Table, row: &[u8], prefix: usize) -> Result<u32> {
    let number = row.get(prefix..).and_then(|number| number.try_into().ok());
    number
        .map(u32::from_be_bytes)
        .ok_or_else(|| corrupt(operation, table, row, "bad key"))
}
