//! The table itself: created on request, checked before use.

use super::PostgresDocuments;
use super::errors::failure;
use crate::remote::{Attempted, Failure};
use crate::{Error, Result};
use skyfresh_sky::Kind;
use tokio_postgres::Client;

const OPERATION: &str = "open";

/// The columns, in order, with their types.
const COLUMNS: &str = "b bytea, p bytea, s bytea, v text";

/// `p` (permanent): an unlogged or temporary table does not survive a crash.
const PERMANENT: &str = "p";

impl PostgresDocuments {
    /// Checks that the table is there, has the right columns and survives a crash.
    ///
    /// # Errors
    /// [`Kind::Missing`]: there is no such table; [`Kind::Invalid`]: it is another kind of table; [`Kind::Denied`]: the server
    /// refuses the user or cannot be trusted; others as the server answers.
    pub async fn check(&self) -> Result<()> {
        let target = self.target();
        self.repeater
            .harmless(OPERATION, &target, || async {
                let client = self.pool.connect(OPERATION).await?;
                self.check_once(&client).await
            })
            .await
    }

    /// Creates the table where it is absent, in the first schema of the user's `search_path`. Several may do so at once.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Kind::Denied`]: the user may not create it, with the statement that somebody else can run.
    pub async fn create(&self) -> Result<()> {
        let target = self.target();
        self.repeater
            .harmless(OPERATION, &target, || async {
                let client = self.pool.connect(OPERATION).await?;
                if self.persistence(&client).await?.is_none() {
                    let made = client.batch_execute(&self.statement()).await;
                    made.map_err(|error| self.uncreated(&error))?;
                }
                self.check_once(&client).await
            })
            .await
    }

    /// Bodies change far more often than keys: room in each page lets a new version of a row stay on it, without touching the
    /// index (<https://www.postgresql.org/docs/current/storage-hot.html>).
    fn statement(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (p bytea NOT NULL, s bytea NOT NULL, b bytea NOT NULL, v text NOT NULL, \
             PRIMARY KEY (p, s)) WITH (fillfactor = 70)",
            self.table
        )
    }

    async fn check_once(&self, client: &Client) -> Attempted<()> {
        let Some(persistence) = self.persistence(client).await? else {
            let why = format!(
                "there is no table {}: have it created, or run: {}",
                self.table,
                self.statement()
            );
            return Err(Failure::Final(self.error(Kind::Missing, why)));
        };
        if persistence != PERMANENT {
            let why = "the table does not survive a crash (it is unlogged or temporary)";
            return Err(Failure::Final(self.error(Kind::Invalid, why)));
        }
        let columns: String = self
            .one(
                client,
                "SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attname)
                   FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            )
            .await?
            .unwrap_or_default();
        if columns != COLUMNS {
            let why = format!(
                "the table has the columns {columns}, not {COLUMNS}: it belongs to something else; name another"
            );
            return Err(Failure::Final(self.error(Kind::Invalid, why)));
        }
        Ok(())
    }

    /// How the table is stored; `None` where there is none.
    async fn persistence(&self, client: &Client) -> Attempted<Option<String>> {
        let question = "SELECT relpersistence::text FROM pg_class WHERE oid = to_regclass($1)";
        self.one(client, question).await
    }

    /// The first column of the first row of a question about the table.
    async fn one(&self, client: &Client, question: &str) -> Attempted<Option<String>> {
        let unanswered = |error| failure(OPERATION, &self.target(), &error);
        let row = client
            .query_opt(question, &[&self.table])
            .await
            .map_err(unanswered)?;
        match row {
            Some(row) => row.try_get(0).map_err(unanswered),
            None => Ok(None),
        }
    }

    fn uncreated(&self, error: &tokio_postgres::Error) -> Failure {
        match failure(OPERATION, &self.target(), error) {
            Failure::Final(error) if error.kind == Kind::Denied => {
                let why = format!(
                    "{}; let an owner of the schema run: {}; GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO the user",
                    error.context,
                    self.statement(),
                    self.table
                );
                Failure::Final(self.error(Kind::Denied, why))
            }
            failure => failure,
        }
    }

    fn target(&self) -> String {
        format!("{} table {}", self.pool.target(), self.table)
    }

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        Error::new(kind, OPERATION, self.target(), why)
    }
}
