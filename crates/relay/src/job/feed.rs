//! Chunks that come while a job runs: whoever carries objects asks for them one by one, and is answered one by one.
//!
//! **In:** a chunk and who lacks it. **Out:** one answer for each of them. **Never:** fails anything but the chunk that could not
//! be carried; keeps what was answered.

use super::report::Failed;
use crate::{Chunk, DestinationSet, Receipt};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

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
    answers: mpsc::UnboundedSender<Answer>,
}

/// One destination's.
type Answer = (u8, Result<Receipt, Failed>);

impl Waiting {
    pub(super) fn open(&self) -> DestinationSet {
        self.open
    }

    /// Answers for one destination; whether that was the last one.
    pub(super) fn answer(&mut self, destination: u8, answer: Result<Receipt, Failed>) -> bool {
        if self.open.contains(destination) {
            self.open = self.open.without(DestinationSet::one(destination));
            // Whoever asked may have gone.
            let _ = self.answers.send((destination, answer));
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
        let mut answers = Answers::new();
        let each = |at, answer| {
            answers.insert(at, answer);
        };
        self.carry_each(chunk, wanted, each).await;
        answers
    }

    /// The same, and says of each destination at once what came of it: a fast one does not wait for a slow one.
    pub async fn carry_each(
        &self,
        chunk: Chunk,
        wanted: DestinationSet,
        mut each: impl FnMut(u8, Result<Receipt, Failed>),
    ) {
        if wanted.is_empty() {
            return;
        }
        let (answers, mut answered) = mpsc::unbounded_channel();
        let waiting = Waiting {
            open: wanted,
            answers,
        };
        let mut open = wanted;
        if self.0.send(Offer { chunk, waiting }).await.is_ok() {
            while let Some((at, answer)) = answered.recv().await {
                open = open.without(DestinationSet::one(at));
                each(at, answer);
            }
        }
        for at in open.iter() {
            let failed = Failed {
                kind: Kind::RetryAfter,
                why: "the relays' job has ended".into(),
            };
            each(at, Err(failed));
        }
    }

    /// Whether the job has ended: nothing given to it is carried any more.
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }
}
