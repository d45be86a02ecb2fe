//! Rows in the database's file: a snapshot to read, and changes to apply.

use super::failure::Failure;
use crate::tables::{Table, corrupt};
use crate::transaction::{Changes, Read};
use crate::{Error, Result};
use redb::{ReadableTable, TableDefinition};
use std::cell::OnceCell;

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
type BytesTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
/// Marks have a fixed width, which spares eight bytes a row.
type Marks = TableDefinition<'static, &'static [u8; 16], &'static [u8; 16]>;
type MarksTable = redb::ReadOnlyTable<&'static [u8; 16], &'static [u8; 16]>;

pub(super) const MARKS: Marks = TableDefinition::new(Table::Marks.name());

const fn definition(table: Table) -> Bytes {
    TableDefinition::new(table.name())
}

/// The last committed state. Tables are opened when they are first read.
pub(super) struct View {
    transaction: redb::ReadTransaction,
    operation: &'static str,
    target: String,
    tables: [OnceCell<BytesTable>; Table::ALL.len()],
    marks: OnceCell<MarksTable>,
}

impl View {
    pub(super) fn new(
        database: &redb::Database,
        operation: &'static str,
        target: String,
    ) -> Result<Self, Failure> {
        let transaction =
            redb::ReadableDatabase::begin_read(database).map_err(redb::Error::from)?;
        let tables = std::array::from_fn(|_| OnceCell::new());
        Ok(View {
            transaction,
            operation,
            target,
            tables,
            marks: OnceCell::new(),
        })
    }

    fn table(&self, table: Table) -> Result<&BytesTable> {
        let cell = &self.tables[table as usize];
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let open = self
            .transaction
            .open_table(definition(table))
            .map_err(|error| self.error(error))?;
        Ok(cell.get_or_init(|| open))
    }

    fn mark(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let marks = match self.marks.get() {
            Some(open) => open,
            None => {
                let open = self
                    .transaction
                    .open_table(MARKS)
                    .map_err(|error| self.error(error))?;
                self.marks.get_or_init(|| open)
            }
        };
        let Ok(key) = <&[u8; 16]>::try_from(key) else {
            return Ok(None);
        };
        let value = ReadableTable::get(marks, key).map_err(|error| self.error(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn error(&self, error: impl Into<redb::Error>) -> Error {
        let error: redb::Error = error.into();
        Failure::from(error).error(self.operation, &self.target)
    }
}

impl Read for View {
    fn operation(&self) -> &'static str {
        self.operation
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if table == Table::Marks {
            return self.mark(key);
        }
        let value =
            ReadableTable::get(self.table(table)?, key).map_err(|error| self.error(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        if table == Table::Marks {
            return Err(corrupt(
                self.operation,
                table,
                from,
                "marks have no order worth scanning",
            ));
        }
        if from >= to {
            return Ok(());
        }
        let open = self.table(table)?;
        let mut rows =
            ReadableTable::range::<&[u8]>(open, from..to).map_err(|error| self.error(error))?;
        while let Some(row) = if reverse {
            rows.next_back()
        } else {
            rows.next()
        } {
            let (key, value) = row.map_err(|error| self.error(error))?;
            if !visit(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}

/// Creates the tables that are missing, so that snapshots find them.
pub(super) fn create_tables(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    for table in Table::ALL {
        if table == Table::Marks {
            transaction.open_table(MARKS)?;
        } else {
            transaction.open_table(definition(table))?;
        }
    }
    Ok(())
}

/// Writes changes in one durable transaction.
pub(super) fn apply(
    database: &redb::Database,
    changes: Vec<(Table, Changes)>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for (table, rows) in changes {
        if table == Table::Marks {
            let mut open = transaction.open_table(MARKS)?;
            for (key, value) in rows {
                let Ok(key) = <&[u8; 16]>::try_from(key.as_slice()) else {
                    continue;
                };
                match value.as_deref().map(<&[u8; 16]>::try_from) {
                    Some(Ok(value)) => open.insert(key, value)?,
                    _ => open.remove(key)?,
                };
            }
        } else {
            let mut open = transaction.open_table(definition(table))?;
            for (key, value) in rows {
                match value {
                    Some(value) => open.insert(key.as_slice(), value.as_slice())?,
                    None => open.remove(key.as_slice())?,
                };
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
