//! A job, from its owner's side: starts the nodes, hands out programs and chunks, hears what was written, goes round what fails.
//!
//! **In:** a [`Job`] and an [`Executor`]. **Out:** a [`Receipt`](crate::Receipt) for each chunk and destination as they come, and
//! a [`JobReport`] at the end. **Never:** takes a chunk as written that its sink has not confirmed, sends again what was
//! acknowledged, lets one destination's failure fail another, leaves a node running.
//!
//! ```text
//!  chunks ─► shares (by stripes) ─► window of each tree ─► source node ═══► … ═══► destinations
//!                 ▲                                                                     │
//!                 └── lost, damaged, stalled: again ◄── tracker ◄── written, failed ◄───┘
//! ```

mod coordinator;
mod feed;
mod hearing;
mod link;
mod losing;
mod plan;
mod report;
mod shares;
mod tracker;

pub use feed::{Answers, Fed, Feed, feed};
pub use report::{DestinationReport, EdgeBytes, Event, Failed, JobReport, NodeReport, Progress};
pub use shares::shares;

use crate::executor::Executor;
use crate::node::Timing;
use crate::topology::Topology;
use crate::{Chunk, Error, JobId, Result};
use coordinator::Coordinator;
use skyfresh_sky::Clock;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What must be carried, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Its shape.
    pub topology: Topology,
    /// What must be at every destination. Numbered from 0 without gaps. More may come while the job runs: [`run_fed`].
    pub chunks: Vec<Chunk>,
    /// How patient it is.
    pub options: JobOptions,
}

/// How patient a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// The nodes' timing.
    pub timing: Timing,
    /// A node that its owner does not hear of for so long is dead.
    pub node_timeout_ms: u64,
    /// A chunk is sent again when nothing of its tree was acknowledged for so long by a destination that lacks it.
    pub stall_ms: u64,
    /// Times that a chunk is sent before its destination is given up.
    pub max_attempts: u32,
    /// Chunks of each tree that are assigned and not yet acknowledged, at most.
    pub window_chunks: usize,
    /// Nodes started in place of dead ones whose work no other can do, at most.
    pub max_replacements: u32,
    /// Between two [`Event::Progress`].
    pub progress_ms: u64,
}

impl Default for JobOptions {
    fn default() -> Self {
        JobOptions {
            timing: Timing::default(),
            node_timeout_ms: 10_000,
            stall_ms: 30_000,
            max_attempts: 5,
            window_chunks: 256,
            max_replacements: 2,
            progress_ms: 1_000,
        }
    }
}

/// Hears what happens.
pub type Listener = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// The world of a job.
#[derive(Clone)]
pub struct JobSeams {
    /// Where nodes run.
    pub executor: Arc<dyn Executor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Hears of every receipt, loss and step. Called on the job's own task: must not block.
    pub listener: Option<Listener>,
    /// Ends the job: nodes are stopped, what is under way is dropped.
    pub stop: CancellationToken,
}

impl fmt::Debug for JobSeams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSeams").finish_non_exhaustive()
    }
}

impl Job {
    fn validate(&self) -> Result<()> {
        self.topology.validate()?;
        let wrong = |context: String| Err(Error::invalid("check job", context));
        for (at, chunk) in self.chunks.iter().enumerate() {
            if chunk.id != at as u64 {
                return wrong(format!(
                    "chunk {} stands at place {at}: number them from 0",
                    chunk.id
                ));
            }
            self.check_chunk(chunk)?;
        }
        let options = &self.options;
        if options.window_chunks == 0
            || options.max_attempts == 0
            || options.stall_ms == 0
            || options.progress_ms == 0
        {
            return wrong(
                "window_chunks, max_attempts, stall_ms and progress_ms must be above 0".into(),
            );
        }
        Ok(())
    }

    fn check_chunk(&self, chunk: &Chunk) -> Result<()> {
        let wrong = |why: String| {
            let context = format!("chunk {} of {:?}: {why}", chunk.id, chunk.key);
            Err(Error::invalid("check job", context))
        };
        if chunk.length > self.topology.chunk_bytes {
            return wrong(format!(
                "{} bytes, above the topology's chunk_bytes of {}",
                chunk.length, self.topology.chunk_bytes
            ));
        }
        let notes_bytes = chunk.notes.iter().map(String::len).sum();
        let texts = [
            ("key", chunk.key.len(), crate::chunk::MAX_KEY_BYTES),
            (
                "version",
                chunk.version.len(),
                crate::chunk::MAX_VERSION_BYTES,
            ),
            ("notes", notes_bytes, crate::chunk::MAX_NOTES_BYTES),
        ];
        match texts.iter().find(|(_, bytes, most)| bytes > most) {
            Some((what, bytes, most)) => wrong(format!("{what} of {bytes} bytes, above {most}")),
            None => Ok(()),
        }
    }
}

/// Carries a job out. When this returns, its nodes have ended; dropped, they are told to.
///
/// # Errors
/// `Invalid` for a job that cannot be; the source's own kind where it cannot be read; and where every destination failed, the
/// first one's reason. Where some destinations hold everything and others failed, that is no error: see
/// [`JobReport::destinations`].
pub async fn run(job: Job, seams: JobSeams) -> Result<JobReport> {
    begin(job, None, seams).await
}

/// As [`run`], with chunks that come while it runs. A chunk that cannot be carried fails by itself, and whoever gave it is told;
/// the job ends when the last [`Feed`] is dropped and everything given was answered.
///
/// # Errors
/// As for [`run`]. Whatever was not answered then is answered by [`Kind::RetryAfter`](skyfresh_sky::Kind::RetryAfter).
pub async fn run_fed(job: Job, fed: Fed, seams: JobSeams) -> Result<JobReport> {
    begin(job, Some(fed), seams).await
}

async fn begin(job: Job, fed: Option<Fed>, seams: JobSeams) -> Result<JobReport> {
    job.validate()?;
    let mut coordinator = Coordinator::new(job, fed, seams)?;
    let result = coordinator.carry().await;
    coordinator.stop_nodes().await;
    result.and_then(|()| coordinator.report())
}
