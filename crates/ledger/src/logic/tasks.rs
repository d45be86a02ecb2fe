//! Rows of tasks with their indexes and counters, which change together or not at all, and what people ask about them.

use crate::model::*;
use crate::rows::{Counters, decode, encode};
use crate::tables::{Partition, Table, corrupt};
use crate::transaction::{Read, Span, Transaction};
use crate::{Error, Result};
use skyfresh_sky::{Kind, Mutant, ObjectKey, Timestamp};

/// Keys whose failures are counted as moved by one `hurry` step.
pub(crate) const HURRY_STEP: usize = 1_000;

/// A task's row, if there is one.
pub(crate) fn load(read: &dyn Read, partition: &Partition, task: &TaskKey) -> Result<Option<Task>> {
    let row = partition.row(&task.key);
    let Some(value) = read.get(Table::Tasks, &row)? else {
        return Ok(None);
    };
    decode(read.operation(), Table::Tasks, &row, task.clone(), &value).map(Some)
}

/// A task that this token claims.
///
/// # Errors
/// [`Kind::Precondition`] where the task is gone, not claimed, or claimed with another token.
pub(crate) fn load_claimed(
    read: &dyn Read,
    partition: &Partition,
    task: &TaskKey,
    token: u64,
) -> Result<Task> {
    claimed_with(read.operation(), load(read, partition, task)?, task, token)
}

/// The task found, if this token claims it.
///
/// # Errors
/// See [`load_claimed`].
pub(crate) fn claimed_with(
    operation: &'static str,
    found: Option<Task>,
    task: &TaskKey,
    token: u64,
) -> Result<Task> {
    let stale = |why: String| {
        Err(Error::new(
            Kind::Precondition,
            operation,
            task.to_string(),
            why,
        ))
    };
    let Some(found) = found else {
        return stale(format!("token {token} is stale: the task is done"));
    };
    match &found.lease {
        Some(lease) if lease.token == token || Mutant::LeaseWithoutFencing.is_on() => Ok(found),
        Some(lease) => stale(format!(
            "token {token} is stale: {} claimed it with {}",
            lease.owner, lease.token
        )),
        None => stale(format!("token {token} is stale: its claim has ended")),
    }
}

/// Replaces a task's row (`None`: there is none) and with it what follows from the row: its place in `due` or `leases`, in
/// `pending` and `failing`, and its share of the counters.
pub(crate) fn replace(
    transaction: &mut dyn Transaction,
    partition: &Partition,
    before: Option<&Task>,
    after: Option<&Task>,
) -> Result<()> {
    let Some(key) = after.or(before).map(|task| &task.task.key) else {
        return Ok(());
    };
    let (old, new) = (before.map(schedule), after.map(schedule));
    if old != new {
        if let Some((table, time)) = old {
            transaction.delete(table, partition.timed_row(time, key))?;
        }
        if let Some((table, time)) = new {
            transaction.put(table, partition.timed_row(time, key), Vec::new())?;
        }
    }
    let (old, new) = (before.map(pending), after.map(pending));
    if old != new {
        if let Some((since, _)) = old
            && new.is_none_or(|(new_since, _)| new_since != since)
        {
            transaction.delete(Table::Pending, partition.timed_row(since, key))?;
        }
        if let Some((since, changed)) = new {
            let value = changed.unix_ms().to_be_bytes().to_vec();
            transaction.put(Table::Pending, partition.timed_row(since, key), value)?;
        }
    }
    let (old, new) = (before.and_then(failing_kind), after.and_then(failing_kind));
    match (old, new) {
        (None, Some(_)) => transaction.put(Table::Failing, partition.row(key), Vec::new())?,
        (Some(_), None) => transaction.delete(Table::Failing, partition.row(key))?,
        _ => {}
    }
    count(transaction, partition, before, after)?;
    match after {
        Some(task) => {
            let value = encode(transaction.operation(), task)?;
            transaction.put(Table::Tasks, partition.row(key), value)
        }
        None => transaction.delete(Table::Tasks, partition.row(key)),
    }
}

/// What is pending, counted task by task, in any order.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counted: Backlog,
    /// Pending since, key, changed since: of equal times the first key.
    oldest: Option<(Timestamp, ObjectKey, Timestamp)>,
}

impl Tally {
    pub(crate) fn add(&mut self, task: &Task) {
        let counted = &mut self.counted;
        counted.objects += 1;
        counted.bytes = counted.bytes.saturating_add(task.signal.size.unwrap_or(0));
        if let Some(kind) = failing_kind(task) {
            *counted.failing.entry(kind).or_default() += 1;
        }
        let older = self
            .oldest
            .as_ref()
            .is_none_or(|(since, key, _)| (task.pending_since, &task.task.key) < (*since, key));
        if older {
            self.oldest = Some((
                task.pending_since,
                task.task.key.clone(),
                task.changed_since,
            ));
        }
    }

    pub(crate) fn total(self) -> Backlog {
        let mut counted = self.counted;
        if let Some((since, key, changed)) = self.oldest {
            counted.oldest = Some((key, since));
            counted.oldest_changed = Some(changed);
        }
        counted
    }
}

/// Where a task waits: for its claim to run out, or to become due.
pub(crate) fn schedule(task: &Task) -> (Table, Timestamp) {
    match &task.lease {
        Some(lease) => (Table::Leases, lease.expires),
        None => (Table::Due, task.due),
    }
}

fn pending(task: &Task) -> (Timestamp, Timestamp) {
    (task.pending_since, task.changed_since)
}

fn failing_kind(task: &Task) -> Option<Kind> {
    task.last_failure.as_ref().map(|failure| failure.kind)
}

fn count(
    transaction: &mut dyn Transaction,
    partition: &Partition,
    before: Option<&Task>,
    after: Option<&Task>,
) -> Result<()> {
    let share =
        |task: Option<&Task>| task.map(|task| (task.signal.size.unwrap_or(0), failing_kind(task)));
    let (old, new) = (share(before), share(after));
    if old == new {
        return Ok(());
    }
    let mut counters = counters(&*transaction, partition)?;
    if let Some((bytes, kind)) = old {
        // Saturating: a counter is for people, and a wrong one must not stop the work.
        counters.objects = counters.objects.saturating_sub(1);
        counters.bytes = counters.bytes.saturating_sub(bytes);
        if let Some(kind) = kind
            && let Some(failing) = counters.failing.get_mut(&kind)
        {
            *failing = failing.saturating_sub(1);
        }
    }
    if let Some((bytes, kind)) = new {
        counters.objects += 1;
        counters.bytes = counters.bytes.saturating_add(bytes);
        if let Some(kind) = kind {
            *counters.failing.entry(kind).or_default() += 1;
        }
    }
    counters.failing.retain(|_, failing| *failing > 0);
    if counters == Counters::default() {
        return transaction.delete(Table::Counters, partition.bytes().to_vec());
    }
    let value = encode(transaction.operation(), &counters)?;
    transaction.put(Table::Counters, partition.bytes().to_vec(), value)
}

fn counters(read: &(impl Read + ?Sized), partition: &Partition) -> Result<Counters> {
    match read.get(Table::Counters, partition.bytes())? {
        Some(value) => decode(
            read.operation(),
            Table::Counters,
            partition.bytes(),
            (),
            &value,
        ),
        None => Ok(Counters::default()),
    }
}

/// One task, if pending.
pub(crate) fn task(read: &dyn Read, task: &TaskKey) -> Result<Option<Task>> {
    load(read, &Partition::of(read.operation(), task)?, task)
}

/// What is pending for a destination: one row of counters, and the first of `pending`.
pub(crate) fn backlog(read: &dyn Read, rule: &str, destination: &str) -> Result<Backlog> {
    let partition = Partition::new(read.operation(), rule, destination)?;
    let Counters {
        objects,
        bytes,
        failing,
    } = counters(read, &partition)?;
    let mut backlog = Backlog {
        objects,
        bytes,
        failing,
        ..Backlog::default()
    };
    let span = Span {
        from: partition.bytes(),
        to: &partition.end(),
    };
    if let Some((row, value)) = read.first(Table::Pending, span)? {
        let (since, key) = partition.parse_timed_row(read.operation(), Table::Pending, &row)?;
        let changed: [u8; 8] = value
            .as_slice()
            .try_into()
            .map_err(|_| corrupt(read.operation(), Table::Pending, &row, "a time has 8 bytes"))?;
        backlog.oldest = Some((key, since));
        backlog.oldest_changed = Some(Timestamp::from_unix_ms(u64::from_be_bytes(changed)));
    }
    Ok(backlog)
}

/// Pending tasks whose last attempt failed, by key.
pub(crate) fn failing(
    read: &dyn Read,
    rule: &str,
    destination: &str,
    limit: usize,
) -> Result<Vec<Task>> {
    let partition = Partition::new(read.operation(), rule, destination)?;
    let span = Span {
        from: partition.bytes(),
        to: &partition.end(),
    };
    let mut tasks = Vec::new();
    for (row, _) in read.rows(Table::Failing, span, false, limit)? {
        let key = partition.parse_row(read.operation(), Table::Failing, &row)?;
        tasks.extend(load(read, &partition, &task_key(rule, destination, key))?);
    }
    Ok(tasks)
}

/// Makes up to [`HURRY_STEP`] unclaimed tasks that are due later than `now` due now. Returns how many.
pub(crate) fn hurry(
    transaction: &mut dyn Transaction,
    rule: &str,
    destination: &str,
    now: Timestamp,
) -> Result<u64> {
    let partition = Partition::new(transaction.operation(), rule, destination)?;
    let span = Span {
        from: &partition.after_time(now),
        to: &partition.end(),
    };
    let rows = (&*transaction as &dyn Read).rows(Table::Due, span, false, HURRY_STEP)?;
    let hurried = rows.len() as u64;
    for (row, _) in rows {
        let (_, key) = partition.parse_timed_row(transaction.operation(), Table::Due, &row)?;
        let task = load(&*transaction, &partition, &task_key(rule, destination, key))?.ok_or_else(
            || {
                corrupt(
                    transaction.operation(),
                    Table::Due,
                    &row,
                    "there is no such task",
                )
            },
        )?;
        let after = Task {
            due: now,
            ..task.clone()
        };
        replace(transaction, &partition, Some(&task), Some(&after))?;
    }
    if hurried > 0 {
        transaction.wake();
    }
    Ok(hurried)
}

pub(crate) fn task_key(rule: &str, destination: &str, key: ObjectKey) -> TaskKey {
    TaskKey {
        rule: rule.to_owned(),
        destination: destination.to_owned(),
        key,
    }
}
