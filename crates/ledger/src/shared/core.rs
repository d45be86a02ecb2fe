//! What all operations share: the documents, the view, tokens, and the loop of read, decide, write if unchanged.

use super::bodies::Stored;
use super::journal::Journal;
use super::names::{self, Lane};
use super::pool::Pools;
use super::view::{Known, View, Views};
use super::{Condition, Document, DocumentId, Documents, Settings, Written};
use crate::{Error, Result, TaskKey};
use skyfresh_sky::{Kind, ObjectKey, Rng, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Conditional writes that one operation tries before it gives up, for others to get through. Each refusal means that another
/// one did.
const TRIES: usize = 64;

/// Own operations on one key take turns, so that they do not refuse each other: so many keys at once, at least.
const TURNS: usize = 64;

/// Bits of a token that tell processes apart.
const OWN_BITS: u32 = 20;

/// Documents written or read at once by one operation.
pub(crate) const AT_ONCE: usize = 32;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) views: Views,
    pub(crate) journal: Journal,
    pub(crate) pools: Pools,
    /// This process, as holder of blocks of parts.
    pub(crate) holder: u64,
    turns: Vec<tokio::sync::Mutex<()>>,
    /// The greatest token given or seen.
    newest_token: AtomicU64,
}

/// What is to become of a task.
pub(crate) enum Step<T> {
    /// Nothing: the answer is known.
    Answer(T),
    /// This replaces it; `None`: it goes.
    Write(Option<Stored>, T),
}

/// What a step is decided on.
pub(crate) struct Current<'core> {
    pub(crate) stored: Option<&'core Stored>,
    /// The answer to an earlier write of this operation was lost: it may have taken effect.
    pub(crate) lost: bool,
}

/// Where one task is.
pub(crate) struct Spot {
    pub(crate) lane: Lane,
    pub(crate) view: Arc<View>,
    pub(crate) key: ObjectKey,
    pub(crate) shard: u32,
    id: DocumentId,
}

impl Core {
    pub(crate) fn new(documents: Arc<dyn Documents>, settings: Settings, rng: Rng) -> Self {
        Core {
            documents,
            settings,
            holder: rng.u64(),
            rng,
            views: Views::default(),
            journal: Journal::default(),
            pools: Pools::default(),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            newest_token: AtomicU64::new(0),
        }
    }

    /// Where a task is.
    pub(crate) fn spot(&self, operation: &'static str, task: &TaskKey) -> Result<Spot> {
        let lane = Lane::of(operation, task)?;
        Ok(self.spot_in(&lane, task.key.clone()))
    }

    /// The same, the names being checked.
    pub(crate) fn spot_in(&self, lane: &Lane, key: ObjectKey) -> Spot {
        let hash = lane.hash(&key);
        let shards = u64::from(self.settings.task_shards);
        let shard = names::shard_of(&hash, shards) as u32;
        Spot {
            view: self.views.of(lane),
            id: DocumentId {
                partition: lane.tasks(shard),
                sort: key.as_str().as_bytes().to_vec(),
            },
            lane: lane.clone(),
            key,
            shard,
        }
    }

    /// A token for a row whose newest was `previous`: a time in milliseconds, or more where tokens given or seen have used it up,
    /// and behind it 20 bits that are this process's. So it is greater than `previous`, than every token this process has
    /// given or seen, and, as far as clocks agree, than every token given anywhere.
    pub(crate) fn next_token(&self, previous: u64, now: Timestamp) -> u64 {
        let own = self.holder & ((1 << OWN_BITS) - 1);
        let now = now.unix_ms().min((1 << (u64::BITS - OWN_BITS - 1)) - 1);
        let mut given = 0;
        let update = |newest: u64| {
            let used = (newest.max(previous) >> OWN_BITS) + 1;
            given = (now.max(used) << OWN_BITS) | own;
            Some(given)
        };
        let order = Ordering::SeqCst;
        // The closure always gives a value.
        let _ = self.newest_token.fetch_update(order, order, update);
        given
    }

    /// A stored task, decoded; its token is seen.
    pub(crate) fn known(
        &self,
        operation: &'static str,
        lane: &Lane,
        document: Document,
    ) -> Result<Known> {
        let key = std::str::from_utf8(&document.sort)
            .ok()
            .and_then(|key| ObjectKey::new(key).ok());
        let key = key.ok_or_else(|| {
            let row = format!("task {}", document.sort.escape_ascii());
            Error::new(Kind::Corrupt, operation, row, "is no object key")
        })?;
        let stored = Stored::decode(operation, lane.key(key), &document.body)?;
        self.newest_token.fetch_max(stored.fence, Ordering::SeqCst);
        Ok(Known {
            stamp: document.stamp,
            stored: Arc::new(stored),
        })
    }

    /// A task as it is stored now.
    pub(crate) async fn fetch(
        &self,
        operation: &'static str,
        spot: &Spot,
    ) -> Result<Option<Known>> {
        let found = self.documents.get(&spot.id).await?;
        let known = found
            .map(|document| self.known(operation, &spot.lane, document))
            .transpose()?;
        spot.view.set(spot.shard, &spot.key, known.clone());
        Ok(known)
    }

    /// Changes one task: decides on what this process believes, writes if that is still so, else reads and decides again. An
    /// error or an answer is only believed of what was read. `None` is believed where nothing is known of the key: a write
    /// on it finds out.
    pub(crate) async fn change<T>(
        &self,
        operation: &'static str,
        spot: &Spot,
        mut decide: impl FnMut(Current<'_>) -> Result<Step<T>>,
    ) -> Result<T> {
        let packed = u128::from_be_bytes(spot.lane.hash(&spot.key));
        let _turn = self.turns[(packed >> 64) as usize % TURNS].lock().await;
        let mut found = spot.view.get(spot.shard, &spot.key);
        let (mut read, mut lost) = (false, false);
        for _ in 0..TRIES {
            let stored = found.as_ref().map(|known| &*known.stored);
            let (after, answer) = match decide(Current { stored, lost }) {
                Ok(Step::Write(after, answer)) => (after, answer),
                Ok(Step::Answer(answer)) if read => return Ok(answer),
                Err(error) if read => return Err(error),
                Ok(Step::Answer(_)) | Err(_) => {
                    (found, read) = (self.fetch(operation, spot).await?, true);
                    continue;
                }
            };
            let condition = match &found {
                Some(known) => Condition::Unchanged(known.stamp.clone()),
                None => Condition::Absent,
            };
            let written = match &after {
                Some(stored) => {
                    let body = stored.encode(operation)?;
                    self.documents.put(&spot.id, body, condition).await
                }
                None => self.documents.delete(&spot.id, condition).await,
            };
            match written {
                Ok(Written::Done(stamp)) => {
                    let known = after.zip(stamp).map(|(stored, stamp)| Known {
                        stamp,
                        stored: Arc::new(stored),
                    });
                    spot.view.set(spot.shard, &spot.key, known);
                    return Ok(answer);
                }
                Ok(Written::Refused) => {}
                Err(error) => {
                    spot.view.forget(spot.shard, &spot.key);
                    if error.kind != Kind::RetryAfter {
                        return Err(error);
                    }
                    // Whether it took effect is written in the document.
                    lost = true;
                    found = self.fetch(operation, spot).await.map_err(|_| error)?;
                    read = true;
                    let now = found.as_ref().map(|known| &*known.stored);
                    if now == after.as_ref() {
                        return Ok(answer);
                    }
                    continue;
                }
            }
            (found, read) = (self.fetch(operation, spot).await?, true);
        }
        let why = format!("others changed it {TRIES} times in a row; try again");
        Err(Error::new(
            Kind::RetryAfter,
            operation,
            spot.lane.key(spot.key.clone()).to_string(),
            why,
        ))
    }
}

/// Writes a document without a condition, once more where the answer was lost: repeating changes nothing.
pub(crate) async fn put_any(
    documents: &dyn Documents,
    id: &DocumentId,
    body: Vec<u8>,
) -> Result<()> {
    match documents.put(id, body.clone(), Condition::Any).await {
        Err(error) if error.kind == Kind::RetryAfter => {
            documents.put(id, body, Condition::Any).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// Removes a document without a condition, once more where the answer was lost.
pub(crate) async fn delete_any(documents: &dyn Documents, id: &DocumentId) -> Result<()> {
    match documents.delete(id, Condition::Any).await {
        Err(error) if error.kind == Kind::RetryAfter => {
            documents.delete(id, Condition::Any).await.map(drop)
        }
        other => other.map(drop),
    }
}
