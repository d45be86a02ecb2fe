//! Documents in one PostgreSQL table, for those who run their own.
//!
//! **In:** the operations of [`Documents`]; a connection URL from the caller.
//! **Out:** one statement, committed at once, for each write; reads from the primary.
//! **Never:** speaks in the clear unless the URL says `sslmode=disable`, accepts a certificate that it cannot verify, repeats a
//! conditional write whose answer was lost (it reads which stamp the row has instead), changes a table that is there.
//!
//! A row has the key (`p`, `s`), the body `b` and the stamp `v`, chosen by the writer. Partitions are kept as bytes, not as
//! text: no collation or encoding of the database can reorder or refuse them.

mod errors;
mod pool;
mod requests;
mod table;
mod tls;
mod url;

pub use url::PostgresUrl;

use crate::remote::{Failure, Repeater, Stamps, check_body, check_id, check_partition, name};
use crate::shared::{Condition, Document, DocumentId, Documents, Written};
use crate::{Error, Result};
use async_trait::async_trait;
use pool::Pool;
use skyfresh_sky::{Clock, Kind, Rng};
use std::sync::Arc;

/// The table's name where no other is given.
pub const DEFAULT_TABLE: &str = "skyfresh_documents";

/// Most connections of one process where no other number is given. A statement holds one for about a millisecond.
pub const DEFAULT_CONNECTIONS: usize = 8;

/// Which table, where, and over how many connections.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Server, database, user, TLS.
    pub url: PostgresUrl,
    /// The table's name, found along the user's `search_path`.
    pub table: String,
    /// Most connections at once.
    pub connections: usize,
}

impl PostgresConfig {
    /// The usual table over the usual number of connections.
    pub fn new(url: PostgresUrl) -> Self {
        PostgresConfig {
            url,
            table: DEFAULT_TABLE.into(),
            connections: DEFAULT_CONNECTIONS,
        }
    }
}

/// Documents in a PostgreSQL table.
#[derive(Debug)]
pub struct PostgresDocuments {
    pool: Pool,
    table: String,
    repeater: Repeater,
    stamps: Stamps,
}

impl PostgresDocuments {
    /// Documents in this table. Nothing is asked yet: [`check`](Self::check) or [`create`](Self::create) does.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the table's name or a certificate cannot be used; [`Kind::Internal`]: the system's root certificates
    /// cannot be read.
    pub fn new(config: PostgresConfig, clock: Arc<dyn Clock>, rng: &Rng) -> Result<Self> {
        check_table_name(&config.table)?;
        Ok(PostgresDocuments {
            pool: Pool::new(&config.url, &config.table, config.connections)?,
            table: config.table,
            repeater: Repeater::new(clock, rng.fork(), config.connections),
            stamps: Stamps::new(rng),
        })
    }

    async fn after_lost_put(&self, id: &DocumentId, stamp: String, lost: Error) -> Result<Written> {
        match self.get(id).await? {
            Some(document) if document.stamp.0 == stamp => Ok(Written::Done(Some(document.stamp))),
            _ => Err(lost),
        }
    }
}

#[async_trait]
impl Documents for PostgresDocuments {
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>> {
        check_id("get", id)?;
        self.repeater
            .harmless("get", &name(id), || self.get_once(id))
            .await
    }

    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written> {
        check_id("put", id)?;
        check_body("put", id, &body)?;
        let stamp = self.stamps.next();
        let attempt = || self.put_once(id, &body, &stamp, &condition);
        if condition == Condition::Any {
            return self.repeater.harmless("put", &name(id), attempt).await;
        }
        match self.repeater.once("put", &name(id), attempt).await {
            Ok(written) => Ok(written),
            Err(Failure::Lost(error)) => self.after_lost_put(id, stamp, error).await,
            Err(failure) => Err(failure.into_error()),
        }
    }

    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written> {
        check_id("delete", id)?;
        let attempt = || self.delete_once(id, &condition);
        match condition {
            // There is nothing to remove where the condition holds.
            Condition::Absent => Ok(match self.get(id).await? {
                Some(_) => Written::Refused,
                None => Written::Done(None),
            }),
            Condition::Any => self.repeater.harmless("delete", &name(id), attempt).await,
            Condition::Unchanged(_) => self
                .repeater
                .once("delete", &name(id), attempt)
                .await
                .map_err(Failure::into_error),
        }
    }

    async fn scan(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Document>> {
        check_partition("scan", partition)?;
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        self.repeater
            .harmless("scan", partition, || {
                self.scan_once(partition, from, to, reverse, limit)
            })
            .await
    }
}

/// Names that need no quoting in SQL and are not folded to lower case.
fn check_table_name(table: &str) -> Result<()> {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let plain = |byte: u8| first(byte) || byte.is_ascii_digit();
    if (1..=63).contains(&table.len())
        && table.bytes().next().is_some_and(first)
        && table.bytes().all(plain)
    {
        return Ok(());
    }
    let why =
        "a table's name has 1 to 63 lower-case letters, digits and '_', and begins with no digit";
    Err(Error::new(Kind::Invalid, "open", table, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_cannot_carry_sql() {
        for good in ["skyfresh_documents", "_t1"] {
            assert!(check_table_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1t",
            "T",
            "t;drop table x",
            "t\"",
            "a.b",
            "ü",
            &"t".repeat(64),
        ] {
            assert_eq!(
                check_table_name(bad).unwrap_err().kind,
                Kind::Invalid,
                "{bad}"
            );
        }
    }
}
