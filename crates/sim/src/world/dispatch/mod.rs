//! How the parts of an object are given to its workers: as the engine does it, or as a system without that would.
//!
//! For comparisons only. The engine's workers stay as they are and ask their ledger for parts; another way of giving them out
//! is a ledger in between ([`DispatchLedger`]) that answers otherwise. The engine's own way has nothing in between.
//!
//! Every way keeps the guarantees, since what is done is still recorded, counted and verified by the real ledger and the real
//! engine. What the ways change is who copies which part, and when a part is copied again:
//!
//! | way | a part goes to | a slow part | a dead worker's parts |
//! |---|---|---|---|
//! | pull and duplicate | whoever asks next | is copied by a second worker | come back when their lease ends, or are duplicated |
//! | pull | whoever asks next | is waited for | come back when their lease ends |
//! | equal | the worker whose share it is in | is waited for | come back when the object is tried again: its shares are new then |
//! | counter | whoever asks next, once | is waited for | come back when the object is tried again after their lease |
//!
//! The last is the published prototype's of λReplica: an atomic counter hands every number out once. There a dead worker's
//! part is lost, and the upload is completed without it, or never. Neither may happen here, so the object is tried again and
//! its lease (a minute) gives the part back: dearer in time than losing it, and right. Where no worker dies there is no
//! difference. In both of the last two a worker ends when there is nothing left for it, as the prototype's functions do, and
//! is billed no further; the others stay until the object is done.

mod ledger;
#[cfg(test)]
mod tests;

pub(crate) use ledger::DispatchLedger;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// The engine's own: workers pull, and when nothing is left they duplicate the slowest.
    #[default]
    PullAndDuplicate,
    /// Workers pull; nothing is duplicated.
    Pull,
    /// Each worker has a fixed share of equally many parts.
    Equal,
    /// A counter hands each part out once.
    Counter,
}

/// What all processes of a run know of who has which part.
#[derive(Debug, Default)]
pub(crate) struct Dispatcher {
    pub(crate) way: Dispatch,
    attempts: Mutex<HashMap<String, Pool>>,
}

/// The parts of one attempt.
#[derive(Debug, Default)]
struct Pool {
    /// As planned.
    workers: u32,
    total: u32,
    done: BTreeSet<u32>,
    /// What was not done when the first worker of a run asked: what its workers share.
    runs: HashMap<String, Vec<u32>>,
    hands: HashMap<String, Hand>,
}

/// One worker's.
#[derive(Debug, Default)]
struct Hand {
    /// To be copied by it and no other.
    own: VecDeque<u32>,
    /// Being copied by it.
    held: BTreeSet<u32>,
}

impl Dispatcher {
    pub(crate) fn new(way: Dispatch) -> Self {
        Dispatcher {
            way,
            attempts: Mutex::default(),
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<String, Pool>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many workers are planned for an attempt.
    fn planned(&self, attempt: &str, workers: u32) {
        let mut attempts = self.attempts();
        attempts.entry(attempt.to_owned()).or_default().workers = workers;
    }

    fn opened(&self, attempt: &str, total: u32) {
        let mut attempts = self.attempts();
        attempts.entry(attempt.to_owned()).or_default().total = total;
    }

    fn closed(&self, attempt: &str) {
        self.attempts().remove(attempt);
    }

    /// Up to so many parts that this worker alone is to copy next.
    fn take_own(&self, attempt: &str, worker: &str, limit: usize) -> Vec<u32> {
        let mut attempts = self.attempts();
        let Some(pool) = attempts.get_mut(attempt) else {
            return Vec::new();
        };
        if self.way == Dispatch::Equal && !pool.hands.contains_key(worker) {
            let own = pool.share(worker).into();
            let held = BTreeSet::new();
            pool.hands.insert(worker.to_owned(), Hand { own, held });
        }
        let Some(hand) = pool.hands.get_mut(worker) else {
            return Vec::new();
        };
        let count = limit.min(hand.own.len());
        let taken: Vec<u32> = hand.own.drain(..count).collect();
        hand.held.extend(&taken);
        taken
    }

    /// The worker was given these by the ledger.
    fn given(&self, attempt: &str, worker: &str, numbers: impl Iterator<Item = u32>) {
        let mut attempts = self.attempts();
        let pool = attempts.entry(attempt.to_owned()).or_default();
        let hand = pool.hands.entry(worker.to_owned()).or_default();
        hand.held.extend(numbers);
    }

    /// Whether the worker has nothing under way.
    fn is_idle(&self, attempt: &str, worker: &str) -> bool {
        let attempts = self.attempts();
        let hand = attempts
            .get(attempt)
            .and_then(|pool| pool.hands.get(worker));
        hand.is_none_or(|hand| hand.held.is_empty())
    }

    fn done(&self, attempt: &str, number: u32) {
        if let Some(pool) = self.attempts().get_mut(attempt) {
            pool.done.insert(number);
            for hand in pool.hands.values_mut() {
                hand.held.remove(&number);
            }
        }
    }

    /// The worker could not copy a part: it is the one to try again.
    fn returned(&self, attempt: &str, worker: &str, number: u32) {
        if let Some(pool) = self.attempts().get_mut(attempt)
            && let Some(hand) = pool.hands.get_mut(worker)
            && hand.held.remove(&number)
        {
            hand.own.push_back(number);
        }
    }
}

impl Pool {
    /// The share of a worker: of those called `<run>-1` to `<run>-<workers>` (`engine/src/carry.rs`), each has as many of what
    /// is left, but for one, and in a row.
    fn share(&mut self, worker: &str) -> Vec<u32> {
        let (run, number) = worker.rsplit_once('-').unwrap_or((worker, "1"));
        let number = number.parse::<usize>().unwrap_or(1).max(1);
        let (total, done) = (self.total, &self.done);
        let left = self
            .runs
            .entry(run.to_owned())
            .or_insert_with(|| (1..=total).filter(|part| !done.contains(part)).collect());
        let workers = (self.workers as usize).max(1);
        let end = |number: usize| left.len() * number.min(workers) / workers;
        left[end(number - 1)..end(number)].to_vec()
    }
}
