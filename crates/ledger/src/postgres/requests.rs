//! One attempt at one statement.

use super::PostgresDocuments;
use super::errors::failure;
use crate::Error;
use crate::remote::{Attempted, Failure, name};
use crate::shared::{Condition, Document, DocumentId, Stamp, Written};
use skyfresh_sky::Kind;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

impl PostgresDocuments {
    /// One read.
    pub(super) async fn get_once(&self, id: &DocumentId) -> Attempted<Option<Document>> {
        let borrowed = self.pool.borrow("get").await?;
        let session = &borrowed.session;
        let row = session
            .client
            .query_opt(
                &session.statements.get,
                &[&id.partition.as_bytes(), &id.sort],
            )
            .await
            .map_err(|error| failure("get", &name(id), &error))?;
        borrowed.keep();
        row.map(|row| {
            Ok(Document {
                sort: id.sort.clone(),
                body: column(&row, 0, "get")?,
                stamp: Stamp(column(&row, 1, "get")?),
            })
        })
        .transpose()
    }

    /// One write of a whole row.
    pub(super) async fn put_once(
        &self,
        id: &DocumentId,
        body: &[u8],
        stamp: &str,
        condition: &Condition,
    ) -> Attempted<Written> {
        let borrowed = self.pool.borrow("put").await?;
        let session = &borrowed.session;
        let partition = id.partition.as_bytes();
        let changed = match condition {
            Condition::Any => {
                let statement = &session.statements.put_any;
                session
                    .client
                    .execute(statement, &[&partition, &id.sort, &body, &stamp])
                    .await
            }
            Condition::Absent => {
                let statement = &session.statements.put_absent;
                session
                    .client
                    .execute(statement, &[&partition, &id.sort, &body, &stamp])
                    .await
            }
            Condition::Unchanged(expected) => {
                let statement = &session.statements.put_unchanged;
                session
                    .client
                    .execute(
                        statement,
                        &[&partition, &id.sort, &body, &stamp, &expected.0],
                    )
                    .await
            }
        }
        .map_err(|error| failure("put", &name(id), &error))?;
        borrowed.keep();
        Ok(match changed {
            0 => Written::Refused,
            _ => Written::Done(Some(Stamp(stamp.to_owned()))),
        })
    }

    /// One removal.
    pub(super) async fn delete_once(
        &self,
        id: &DocumentId,
        condition: &Condition,
    ) -> Attempted<Written> {
        let borrowed = self.pool.borrow("delete").await?;
        let session = &borrowed.session;
        let partition = id.partition.as_bytes();
        let removed = match condition {
            Condition::Unchanged(expected) => {
                let statement = &session.statements.delete_unchanged;
                session
                    .client
                    .execute(statement, &[&partition, &id.sort, &expected.0])
                    .await
            }
            Condition::Any | Condition::Absent => {
                let statement = &session.statements.delete_any;
                session
                    .client
                    .execute(statement, &[&partition, &id.sort])
                    .await
            }
        }
        .map_err(|error| failure("delete", &name(id), &error))?;
        borrowed.keep();
        Ok(match (removed, condition) {
            (0, Condition::Unchanged(_)) => Written::Refused,
            _ => Written::Done(None),
        })
    }

    /// One range of the index.
    pub(super) async fn scan_once(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Attempted<Vec<Document>> {
        let borrowed = self.pool.borrow("scan").await?;
        let session = &borrowed.session;
        let statement = if reverse {
            &session.statements.scan_reverse
        } else {
            &session.statements.scan
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = session
            .client
            .query(statement, &[&partition.as_bytes(), &from, &to, &limit])
            .await
            .map_err(|error| failure("scan", partition, &error))?;
        borrowed.keep();
        rows.iter()
            .map(|row| {
                Ok(Document {
                    sort: column(row, 0, "scan")?,
                    body: column(row, 1, "scan")?,
                    stamp: Stamp(column(row, 2, "scan")?),
                })
            })
            .collect()
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize, operation: &'static str) -> Attempted<T> {
    row.try_get(index).map_err(|error| {
        let why = format!("a row cannot be read: {error}");
        Failure::Final(Error::new(Kind::Corrupt, operation, "row", why))
    })
}
