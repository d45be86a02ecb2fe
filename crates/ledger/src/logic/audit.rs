//! Counts what is pending by looking at every row, to check the counters and indexes that are kept.

use super::tasks::{Tally, backlog, schedule, task_key};
use crate::model::*;
use crate::rows::decode;
use crate::tables::{Partition, Table, corrupt};
use crate::transaction::Read;
use crate::{Error, Result};
use skyfresh_sky::Kind;

/// The backlog by recount.
///
/// # Errors
/// [`Kind::Corrupt`] where an index or a counter disagrees with the tasks.
pub(crate) fn recount(read: &dyn Read, rule: &str, destination: &str) -> Result<Backlog> {
    let operation = read.operation();
    let partition = Partition::new(operation, rule, destination)?;
    let mut tally = Tally::default();
    let mut failed = 0;
    let mut problem = None;
    read.scan(
        Table::Tasks,
        partition.bytes(),
        &partition.end(),
        false,
        &mut |row, value| {
            let check = || -> Result<Task> {
                let key = partition.parse_row(operation, Table::Tasks, row)?;
                let task: Task = decode(
                    operation,
                    Table::Tasks,
                    row,
                    task_key(rule, destination, key),
                    value,
                )?;
                let (table, time) = schedule(&task);
                for (table, time) in [(table, time), (Table::Pending, task.pending_since)] {
                    if read
                        .get(table, &partition.timed_row(time, &task.task.key))?
                        .is_none()
                    {
                        return Err(corrupt(operation, table, row, "the index lacks this task"));
                    }
                }
                if task.last_failure.is_some()
                    && read
                        .get(Table::Failing, &partition.row(&task.task.key))?
                        .is_none()
                {
                    return Err(corrupt(
                        operation,
                        Table::Failing,
                        row,
                        "the index lacks this task",
                    ));
                }
                Ok(task)
            };
            match check() {
                Ok(task) => {
                    failed += u64::from(task.last_failure.is_some());
                    tally.add(&task);
                    true
                }
                Err(error) => {
                    problem = Some(error);
                    false
                }
            }
        },
    )?;
    if let Some(error) = problem {
        return Err(error);
    }
    let counted = tally.total();
    let disagree = |what: &str, indexed: &dyn std::fmt::Debug| {
        let why = format!("{what} disagrees with the tasks: {indexed:?}, counted {counted:?}");
        Error::new(
            Kind::Corrupt,
            operation,
            format!("{rule}/{destination}"),
            why,
        )
    };
    let kept = backlog(read, rule, destination)?;
    if kept != counted {
        return Err(disagree("the counter row", &kept));
    }
    let rows = |tables: &[Table]| -> Result<u64> {
        let mut rows = 0;
        for table in tables {
            read.scan(
                *table,
                partition.bytes(),
                &partition.end(),
                false,
                &mut |_, _| {
                    rows += 1;
                    true
                },
            )?;
        }
        Ok(rows)
    };
    for (tables, expected) in [
        (&[Table::Due, Table::Leases][..], counted.objects),
        (&[Table::Pending], counted.objects),
        (&[Table::Failing], failed),
    ] {
        let indexed = rows(tables)?;
        if indexed != expected {
            return Err(disagree(tables[0].name(), &indexed));
        }
    }
    Ok(counted)
}
