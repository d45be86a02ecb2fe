//! A durable ledger in one file, owned by one process.
//!
//! Changes go through one writer thread: it takes what waits in its queue, runs all of it over one snapshot, writes the
//! result in one transaction, flushes it to the disk once (group commit), and only then answers everybody. While it
//! flushes, the next batch gathers. Reads see the last committed state and never wait for the writer.
//!
//! ```text
//!  change() ──► queue (1,024 changes) ──► writer thread: snapshot + staged changes ──► one commit, one fsync ──► answers
//!  look(), scan() ──► snapshot of the last commit
//! ```
//!
//! In memory: the cache ([`CACHE_BYTES`]), the queue, and one batch (at most [`writer::BATCH_ROWS`] rows more than its last
//! change makes). Nothing per key.
//!
//! A commit that fails (full disk) fails every change of its batch, and the file is opened again before the next one, so
//! that work goes on once there is space. A change whose commit failed may nevertheless have been made: callers repeat
//! it, as they would after a crash.

mod database;
mod failure;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use crate::backend::Backend;
use crate::logic::{claims, parts};
use crate::model::Backlog;
use crate::transaction::{Read, Transaction};
use crate::{Bell, Error, Listener, Result, backend};
use database::{Opener, Shared};
use skyfresh_sky::Kind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use writer::Message;

/// Pages of the file kept in memory.
const CACHE_BYTES: usize = 32 << 20;

/// Changes that wait for the writer before callers wait to hand theirs in.
const QUEUE_LIMIT: usize = 1_024;

/// Rows that one step of the clean-up at start changes.
const RECOVERY_STEP: usize = 1_000;

/// A ledger in a file. Cheap to share in an [`Arc`]; see the module's head for how it works.
///
/// Dropping it waits for the changes under way; [`EmbeddedLedger::close`] does the same without blocking a thread.
#[derive(Debug)]
pub struct EmbeddedLedger {
    shared: Arc<Shared>,
    /// `None` once dropped, so that the writer sees the end of its queue.
    queue: Option<mpsc::Sender<Message>>,
    writer: Option<std::thread::JoinHandle<()>>,
    arrivals: Bell,
}

impl EmbeddedLedger {
    /// Opens or creates the ledger at `path`, and locks it for as long as it is open (`path` with `.lock` added).
    ///
    /// `owner` names this incarnation of this process, as in [`ClaimRequest::owner`](crate::ClaimRequest::owner). As the file
    /// has one owner at a time, all others are dead: their claims count as run out and nobody holds a part.
    ///
    /// # Errors
    /// [`Kind::Denied`] where another process has it open, or where permissions are lacking; [`Kind::Corrupt`] where the file is
    /// not a ledger; [`Kind::Unsupported`] where a newer version wrote it, or the file system cannot lock.
    pub async fn open(path: impl AsRef<Path>, owner: &str) -> Result<Self> {
        Self::open_with(path.as_ref().to_owned(), owner, database::open_file).await
    }

    async fn open_with(path: PathBuf, owner: &str, opener: Opener) -> Result<Self> {
        crate::tables::check_name("open", "owner", owner)?;
        let arrivals = Bell::new();
        let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
        let (name, wakes) = (owner.to_owned(), arrivals.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let shared = Arc::new(Shared::open(path, &name, opener)?);
            let writer = writer::start(Arc::clone(&shared), receiver, wakes)?;
            Ok::<_, Error>((shared, writer))
        });
        let (shared, writer) = opened
            .await
            .map_err(|error| stopped("open", "").with_source(error))??;
        let ledger = EmbeddedLedger {
            shared,
            queue: Some(sender),
            writer: Some(writer),
            arrivals,
        };
        ledger.bury_others(owner).await?;
        Ok(ledger)
    }

    /// Ends the claims and part holds of owners that are dead, in steps.
    async fn bury_others(&self, owner: &str) -> Result<()> {
        let mut after = None;
        loop {
            let owner = owner.to_owned();
            let step = move |t: &mut dyn Transaction| {
                claims::expire_others(t, &owner, after, RECOVERY_STEP)
            };
            after = self.change("open", step).await?;
            if after.is_none() {
                break;
            }
        }
        loop {
            after = self
                .change("open", move |t| parts::free_all(t, after, RECOVERY_STEP))
                .await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Finishes the changes handed in, closes the file and unlocks it. Calls after it fail with [`Kind::Denied`].
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if let Some(queue) = &self.queue
            && queue.send(Message::Close(answer)).await.is_ok()
        {
            // No answer: the writer has stopped, and closed the file on its way out.
            let _ = closed.await;
        }
    }

    /// The backlog counted row by row, which also checks every counter and index. Takes as long as the backlog is.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] where a counter or an index disagrees with the tasks.
    pub async fn recount(&self, rule: &str, destination: &str) -> Result<Backlog> {
        backend::recount(self, rule, destination).await
    }
}

impl Drop for EmbeddedLedger {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the ledger's writer panicked");
        }
    }
}

impl Backend for EmbeddedLedger {
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&mut dyn Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (job, result) = writer::job(operation, step);
        let stopped = || stopped(operation, &self.shared.name());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue
            .send(Message::Change(job))
            .await
            .map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())?
    }

    async fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // A few pages, mostly cached: cheaper here than on another thread.
        self.shared.read(operation, step)
    }

    async fn scan<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let scan = tokio::task::spawn_blocking(move || shared.read(operation, step));
        scan.await
            .map_err(|error| stopped(operation, &self.shared.name()).with_source(error))?
    }

    fn wakes(&self) -> Listener {
        self.arrivals.listen()
    }
}

fn stopped(operation: &'static str, target: &str) -> Error {
    Error::new(
        Kind::Internal,
        operation,
        target,
        "the ledger's writer has stopped; restart the process",
    )
}
