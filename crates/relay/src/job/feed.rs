//! Chunks that come while a job runs: whoever carries objects asks for them one by one, and is answered one by one.
//!
//! **In:** a chunk and who lacks it. **Out:** one answer for each of them. **Never:** fails anything but the chunk that could not
//! be carried; keeps what was answered.

use super::report::Failed;
use crate::{Chunk, DestinationSet, Receipt};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// What came of a chunk at each destination that lacked it.
pub type Answers = BTreeMap<u8, Result<Receipt, Failed>>;

/// A chunk that must be carried.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) chunk: Chunk,
    pub(super) waiting: Waiting,
}

/// Who still waits for an answer.
#[derive(Debug)]
pub(super) struct Waiting {
    open: DestinationSet,
    answers: Answers,
    done: Option<oneshot::Sender<Answers>>,
}

impl Waiting {
    pub(super) fn open(&self) -> DestinationSet {
        self.open
    }

    /// Answers for one destination; whether that was the last one.
    pub(super) fn answer(&mut self, destination: u8, answer: Result<Receipt, Failed>) -> bool {
        if self.open.contains(destination) {
            self.open = self.open.without(DestinationSet::one(destination));
            self.answers.insert(destination, answer);
        }
        if self.open.is_empty()
            && let Some(done) = self.done.take()
        {
            // Whoever asked may have gone.
            let _ = done.send(std::mem::take(&mut self.answers));
        }
        self.open.is_empty()
    }
}

/// Gives chunks to a job that runs. When the last of its clones is dropped, the job ends with what it has.
#[derive(Clone, Debug)]
pub struct Feed(mpsc::Sender<Offer>);

/// The job's end of a [`Feed`].
#[derive(Debug)]
pub struct Fed(pub(super) mpsc::Receiver<Offer>);

/// Both ends: at most `waiting` chunks wait for the job, then [`Feed::carry`] does.
pub fn feed(waiting: usize) -> (Feed, Fed) {
    let (sender, receiver) = mpsc::channel(waiting.max(1));
    (Feed(sender), Fed(receiver))
}

impl Feed {
    /// Has a chunk carried to `wanted` (places in the topology), and returns when each of them has it or will not get it. The
    /// chunk's number is chosen by the job; its `object` must be one that no other chunk at the same offset has.
    pub async fn carry(&self, chunk: Chunk, wanted: DestinationSet) -> Answers {
        let (done, answered) = oneshot::channel();
        let waiting = Waiting {
            open: wanted,
            answers: Answers::new(),
            done: Some(done),
        };
        let over = || {
            let failed = || Failed {
                kind: Kind::RetryAfter,
                why: "the relays' job has ended".into(),
            };
            wanted.iter().map(|at| (at, Err(failed()))).collect()
        };
        if wanted.is_empty() {
            return Answers::new();
        }
        if self.0.send(Offer { chunk, waiting }).await.is_err() {
            return over();
        }
        answered.await.unwrap_or_else(|_| over())
    }

    /// Whether the job has ended: nothing given to it is carried any more.
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }
}
