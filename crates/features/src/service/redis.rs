//! Online rows in Redis or Valkey.
//!
//! **In:** rows; the URL of a server. **Out:** a key for each row, `skyfresh:project:view:key`, whose value is the row's place in the order of
//! rows and the row. **Never:** a newer row replaced by an older one: a script on the server compares and writes in one step; the URL's
//! password in an error, a log or `Debug`; a wait longer than [`TIMEOUT`] for each request.

use super::codec::Row;
use super::online::{BATCH, ORDER_BYTES, OnlineRows, order};
use crate::{Error, Result};
use redis::{Client, Cmd, Connection, Pipeline, RedisError, RedisResult};
use skyfresh_sky::Kind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that are kept for later.
const MOST_IDLE: usize = 16;

/// Writes a value where it is newer than what is there. Values begin with their place in the order, in digits.
const WRITE_IF_NEWER: &str = "\
local stored = redis.call('GETRANGE', KEYS[1], 0, 29)
if stored ~= '' and stored >= string.sub(ARGV[1], 1, 30) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1";

/// Rows in a Redis or Valkey server.
pub(super) struct RedisRows {
    client: Client,
    /// `host:port`, for errors: the URL has a password.
    address: String,
    /// What all keys begin with.
    prefix: String,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for RedisRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RedisRows");
        shown
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl RedisRows {
    /// Connects to `redis://user:password@host:port/database`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where it is no such URL, [`Kind::Denied`] where the server refuses the user, [`Kind::RetryAfter`] where it cannot
    /// be reached.
    pub(super) fn connect(url: &str, project: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid("open store", "redis://…", why);
        let client = Client::open(url).map_err(|_| {
            bad("it is no redis://user:password@host:port/database; special characters in the password are percent-encoded")
        })?;
        if project.contains(':') {
            return Err(bad(
                "project must have no colon, which separates the parts of keys",
            ));
        }
        let rows = RedisRows {
            address: client.get_connection_info().addr().to_string(),
            client,
            prefix: format!("skyfresh:{project}:"),
            idle: Mutex::default(),
        };
        rows.run("open store", |connection| {
            redis::cmd("PING").query::<String>(connection)
        })?;
        Ok(rows)
    }

    fn name(&self, target: &str) -> String {
        // View names have no colon, so that no two targets have one name.
        format!("{}{}", self.prefix, target.replacen('\0', ":", 1))
    }

    /// Runs a request on a connection that is kept, or a new one. What is run may run twice: it must not matter.
    fn run<T>(
        &self,
        operation: &'static str,
        request: impl Fn(&mut Connection) -> RedisResult<T>,
    ) -> Result<T> {
        let kept = self.idle().pop();
        if let Some(mut connection) = kept {
            match request(&mut connection) {
                Ok(answer) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                // The server was restarted since, or closed what was idle: a new connection will tell.
                Err(error) if error.is_io_error() && !error.is_timeout() => self.idle().clear(),
                Err(error) => return Err(self.failed(operation, &error)),
            }
        }
        let fresh = || {
            let connection = self.client.get_connection_with_timeout(TIMEOUT)?;
            connection.set_read_timeout(Some(TIMEOUT))?;
            connection.set_write_timeout(Some(TIMEOUT))?;
            Ok::<Connection, RedisError>(connection)
        };
        let mut connection = fresh().map_err(|error| self.failed(operation, &error))?;
        let answer = request(&mut connection).map_err(|error| self.failed(operation, &error))?;
        self.keep(connection);
        Ok(answer)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
    }

    /// The server's number of a connection that is kept.
    #[cfg(test)]
    pub(super) fn kept_connection_id(&self) -> u64 {
        let id = |connection: &mut Connection| redis::cmd("CLIENT").arg("ID").query(connection);
        self.run("ask", id).expect("a number")
    }

    fn failed(&self, operation: &'static str, error: &RedisError) -> Error {
        use redis::{ErrorKind, ServerErrorKind};
        let denied = matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
        ) || error.code() == Some("NOAUTH");
        let (kind, what) = match denied {
            true => (
                Kind::Denied,
                "give the URL a user and password that may read, write and run scripts",
            ),
            false => (
                Kind::RetryAfter,
                "is Redis or Valkey running there? It is tried again",
            ),
        };
        Error::new(kind, operation, &self.address, format!("{error}; {what}"))
    }

    fn row(&self, value: &[u8]) -> Result<Row> {
        let row = value.get(ORDER_BYTES..).and_then(Row::stateless);
        row.ok_or_else(|| {
            let why = "a value is not what this version writes: give this project a name or a database of its own";
            Error::new(Kind::Corrupt, "read", &self.address, why)
        })
    }
}

impl OnlineRows for RedisRows {
    fn read(&self, targets: &[String]) -> Result<Vec<Option<Row>>> {
        let mut rows = Vec::with_capacity(targets.len());
        for targets in targets.chunks(BATCH) {
            let mut request = Cmd::new();
            request.arg("MGET");
            for target in targets {
                request.arg(self.name(target));
            }
            let values: Vec<Option<Vec<u8>>> =
                self.run("read", |connection| request.query(connection))?;
            for value in values {
                rows.push(value.map(|value| self.row(&value)).transpose()?);
            }
        }
        Ok(rows)
    }

    fn write(&self, rows: &[(String, Row)]) -> Result<Vec<bool>> {
        let mut written = Vec::with_capacity(rows.len());
        for rows in rows.chunks(BATCH) {
            let mut request = Pipeline::with_capacity(rows.len());
            for (target, row) in rows {
                let mut value = order(row).into_bytes();
                value.extend_from_slice(&row.without_state().to_bytes());
                request
                    .cmd("EVAL")
                    .arg(WRITE_IF_NEWER)
                    .arg(1)
                    .arg(self.name(target))
                    .arg(value);
            }
            let told: Vec<bool> = self.run("write", |connection| request.query(connection))?;
            written.extend(told);
        }
        Ok(written)
    }
}
