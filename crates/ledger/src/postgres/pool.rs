//! A few connections, opened when they are needed and replaced when they break.

use super::PostgresUrl;
use super::errors::{connect_failure, failure};
use super::tls::Tls;
use crate::remote::{Attempted, Failure};
use crate::{Error, Result};
use skyfresh_sky::Kind;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Statement};

/// What every session begins with.
///
/// - A statement ends, one way or the other, before the attempt is given up: the server then says that it did nothing.
/// - A write that has returned survives a crash: a role or a server may have turned that off. Stronger settings stay.
/// - A conditional `UPDATE` that waited for another looks at the row as it is then.
const SESSION: &str = "
    SET statement_timeout = '4s';
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off";

/// The connections of one process to one database.
#[derive(Debug)]
pub(super) struct Pool {
    driver: Config,
    tls: Tls,
    table: String,
    target: String,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// A connection with its statements prepared.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A session in use. Dropped without [`keep`](Self::keep), after an error or by a caller that gave up, its connection closes:
/// what is under way on it is nobody's any more.
pub(super) struct Borrowed<'a> {
    pub(super) session: Session,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Borrowed<'_> {
    /// Gives the session back for the next one.
    pub(super) fn keep(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push(self.session);
    }
}

impl Pool {
    /// A pool without connections yet.
    ///
    /// # Errors
    /// The certificates that the URL asks for cannot be used.
    pub(super) fn new(url: &PostgresUrl, table: &str, connections: usize) -> Result<Self> {
        Ok(Pool {
            driver: url.driver.clone(),
            tls: Tls::new(url)?,
            table: table.to_owned(),
            target: url.target(),
            permits: Semaphore::new(connections.max(1)),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Where it leads, for messages.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// A session, waiting for one where all are in use.
    pub(super) async fn borrow(&self, operation: &'static str) -> Attempted<Borrowed<'_>> {
        let permit = self.permits.acquire().await.map_err(|_| {
            let why = "the pool is closed";
            Failure::Final(Error::new(Kind::Internal, operation, &self.target, why))
        })?;
        let session = match self.idle_session() {
            Some(session) => session,
            None => {
                let client = self.connect(operation).await?;
                let statements = Statements::prepare(&client, &self.table)
                    .await
                    .map_err(|error| self.unprepared(operation, &error))?;
                Session { client, statements }
            }
        };
        Ok(Borrowed {
            session,
            pool: self,
            _permit: permit,
        })
    }

    /// A connection of its own, for making the table.
    pub(super) async fn connect(&self, operation: &'static str) -> Attempted<Client> {
        let (client, connection) = self
            .driver
            .connect(self.tls.clone())
            .await
            .map_err(|error| connect_failure(operation, &self.target, &error))?;
        let target = self.target.clone();
        // Ends when the client is dropped, or the connection breaks.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%target, %error, "a connection broke");
            }
        });
        client
            .batch_execute(SESSION)
            .await
            .map_err(|error| connect_failure(operation, &self.target, &error))?;
        Ok(client)
    }

    fn idle_session(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if !session.client.is_closed() {
                return Some(session);
            }
        }
        None
    }

    /// Nothing was done: preparing writes nothing.
    fn unprepared(&self, operation: &'static str, error: &tokio_postgres::Error) -> Failure {
        let target = format!("{} table {}", self.target, self.table);
        match failure(operation, &target, error) {
            Failure::Lost(error) => Failure::NotDone { error, wait: None },
            failure => failure,
        }
    }
}

/// The statements of the seam: each is one transaction.
pub(super) struct Statements {
    pub(super) get: Statement,
    pub(super) put_any: Statement,
    pub(super) put_absent: Statement,
    pub(super) put_unchanged: Statement,
    pub(super) delete_any: Statement,
    pub(super) delete_unchanged: Statement,
    pub(super) scan: Statement,
    pub(super) scan_reverse: Statement,
}

impl Statements {
    async fn prepare(client: &Client, table: &str) -> Result<Self, tokio_postgres::Error> {
        let insert =
            format!("INSERT INTO {table} (p, s, b, v) VALUES ($1, $2, $3, $4) ON CONFLICT (p, s)");
        let put_any = format!("{insert} DO UPDATE SET b = excluded.b, v = excluded.v");
        let put_absent = format!("{insert} DO NOTHING");
        let put_unchanged =
            format!("UPDATE {table} SET b = $3, v = $4 WHERE p = $1 AND s = $2 AND v = $5");
        let get = format!("SELECT b, v FROM {table} WHERE p = $1 AND s = $2");
        let delete_any = format!("DELETE FROM {table} WHERE p = $1 AND s = $2");
        let delete_unchanged = format!("{delete_any} AND v = $3");
        let scan = |order: &str| {
            format!(
                "SELECT s, b, v FROM {table} WHERE p = $1 AND s >= $2 AND s < $3 ORDER BY s {order} LIMIT $4"
            )
        };
        let (forward, backward) = (scan("ASC"), scan("DESC"));
        const KEY: [Type; 2] = [Type::BYTEA, Type::BYTEA];
        const ROW: [Type; 4] = [Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::TEXT];
        const RANGE: [Type; 4] = [Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::INT8];
        let unchanged = [&ROW[..], &[Type::TEXT]].concat();
        let removed = [&KEY[..], &[Type::TEXT]].concat();
        // Sent together: preparing them costs one journey, not eight.
        let (
            get,
            put_any,
            put_absent,
            put_unchanged,
            delete_any,
            delete_unchanged,
            scan,
            scan_reverse,
        ) = futures::future::try_join(
            futures::future::try_join4(
                client.prepare_typed(&get, &KEY),
                client.prepare_typed(&put_any, &ROW),
                client.prepare_typed(&put_absent, &ROW),
                client.prepare_typed(&put_unchanged, &unchanged),
            ),
            futures::future::try_join4(
                client.prepare_typed(&delete_any, &KEY),
                client.prepare_typed(&delete_unchanged, &removed),
                client.prepare_typed(&forward, &RANGE),
                client.prepare_typed(&backward, &RANGE),
            ),
        )
        .await
        .map(|((a, b, c, d), (e, f, g, h))| (a, b, c, d, e, f, g, h))?;
        Ok(Statements {
            get,
            put_any,
            put_absent,
            put_unchanged,
            delete_any,
            delete_unchanged,
            scan,
            scan_reverse,
        })
    }
}
