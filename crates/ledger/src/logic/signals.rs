//! How signals enter, and how two about one key become one.

use super::tasks::{load, replace};
use crate::Result;
use crate::model::*;
use crate::tables::Partition;
use crate::transaction::Transaction;
use skyfresh_sky::Timestamp;

/// See [`Ledger::submit`](crate::Ledger::submit).
pub(crate) fn submit(
    transaction: &mut dyn Transaction,
    submissions: &[Submission],
) -> Result<SubmitReport> {
    let mut report = SubmitReport::default();
    for Submission { task: key, signal } in submissions {
        let partition = Partition::of(transaction.operation(), key)?;
        let before = load(&*transaction, &partition, key)?;
        let after = heard(before.clone(), key, signal, &mut report);
        if before.is_none() {
            transaction.wake();
        }
        replace(transaction, &partition, before.as_ref(), Some(&after))?;
    }
    Ok(report)
}

/// The task of `key`, new or not, once it has heard a signal; counted in `report`.
pub(crate) fn heard(
    before: Option<Task>,
    key: &TaskKey,
    signal: &Signal,
    report: &mut SubmitReport,
) -> Task {
    match before {
        None => {
            report.created += 1;
            fresh(key.clone(), signal.clone(), signal.notified)
        }
        Some(task) if task.lease.is_some() => {
            report.dirtied += 1;
            let dirty = match &task.dirty {
                Some(older) => joined(older, signal),
                None => signal.clone(),
            };
            Task {
                dirty: Some(dirty),
                ..task
            }
        }
        Some(task) => {
            report.merged += 1;
            absorbed(task, signal)
        }
    }
}

/// A task that nobody has worked on.
pub(crate) fn fresh(task: TaskKey, signal: Signal, due: Timestamp) -> Task {
    Task {
        task,
        changed_since: signal.changed,
        pending_since: signal.notified,
        signal,
        due,
        failures: 0,
        last_failure: None,
        lease: None,
        dirty: None,
        attempt: None,
    }
}

/// The task once it has absorbed a signal: the newest signal, the oldest times.
pub(crate) fn absorbed(mut task: Task, signal: &Signal) -> Task {
    task.changed_since = counted_from(
        (task.signal.origin, task.changed_since),
        (signal.origin, signal.changed),
    );
    task.pending_since = task.pending_since.min(signal.notified);
    task.signal = newest(&task.signal, signal);
    task
}

/// The task once its dirty mark, if any, is part of its signal.
pub(crate) fn undirtied(mut task: Task) -> Task {
    match task.dirty.take() {
        Some(dirty) => absorbed(task, &dirty),
        None => task,
    }
}

/// Two dirty signals as one: the newest, but with the oldest times, from which lag is counted.
fn joined(older: &Signal, signal: &Signal) -> Signal {
    Signal {
        changed: counted_from(
            (older.origin, older.changed),
            (signal.origin, signal.changed),
        ),
        notified: older.notified.min(signal.notified),
        ..newest(older, signal)
    }
}

/// The signal of the later change; of equal ones the earlier heard, which may not be blamed for being lost. What one of them
/// counts for the SLO, both do.
fn newest(held: &Signal, heard: &Signal) -> Signal {
    let (mut winner, loser) = if heard.changed > held.changed {
        (heard.clone(), held)
    } else {
        (held.clone(), heard)
    };
    if winner.origin == Origin::Backfill {
        winner.origin = loser.origin;
    }
    winner.size = winner.size.or(if heard.changed == held.changed {
        loser.size
    } else {
        None
    });
    winner
}

/// The older change, of those that count for the SLO if one of them does: an object may have been there for years when the
/// first sweep found it, and its next change must not look as late as that.
fn counted_from(a: (Origin, Timestamp), b: (Origin, Timestamp)) -> Timestamp {
    match (a.0 == Origin::Backfill, b.0 == Origin::Backfill) {
        (true, false) => b.1,
        (false, true) => a.1,
        _ => a.1.min(b.1),
    }
}
