//! What a job remembers of objects in parts, so that the same command goes on inside them after Ctrl-C or a crash.
//!
//! In: uploads begun, parts done. Out: the upload and the parts that an earlier run left. Never: an upload that was begun before its
//! intent was written; a wait for the disk between two parts.
//!
//! The ledger is opened when the first object in parts comes: most jobs have none, and a new ledger costs more than a small copy.

use crate::{Error, Result};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use skyfresh_ledger::{Ledger, PartDone, TaskKey, UploadIntent};
use skyfresh_sky::{Clock, Kind, Location, ObjectKey, ObjectVersion, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, mpsc, oneshot};

/// Opens the job's ledger.
pub type OpenLedger = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Ledger>>> + Send + Sync>;

/// The rule that bulk uploads are journalled under.
const RULE: &str = "bulk";

/// An upload that an earlier run began.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) attempt: String,
    pub(super) upload: String,
    pub(super) part_bytes: u64,
    pub(super) done: Vec<PartDone>,
}

/// The journal of one job.
pub(super) struct Journal {
    open: Option<OpenLedger>,
    opened: OnceCell<Option<Opened>>,
    clock: Arc<dyn Clock>,
}

struct Opened {
    ledger: Arc<dyn Ledger>,
    /// What earlier runs left, by identity, as far as this run has not taken it up.
    left: Mutex<HashMap<String, UploadIntent>>,
    recorder: mpsc::UnboundedSender<Note>,
}

enum Note {
    /// An upload was begun, of so many parts.
    Begun(UploadIntent, u32),
    Part(String, PartDone),
    /// It was completed or aborted.
    Ended(String),
    Flush(oneshot::Sender<()>),
}

/// Names an upload: the same object version to the same place has the same name in every run.
pub(super) fn identity(target: &Location, key: &ObjectKey, version: &ObjectVersion) -> String {
    let mut hash = Sha256::new();
    for text in [&target.to_string(), key.as_str(), &version.to_string()] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hex::encode(&hash.finalize()[..12])
}

fn attempt(identity: &str, part_bytes: u64) -> String {
    format!("{identity}-{part_bytes}")
}

impl Journal {
    pub(super) fn new(open: Option<OpenLedger>, clock: Arc<dyn Clock>) -> Self {
        Journal {
            open,
            opened: OnceCell::new(),
            clock,
        }
    }

    async fn opened(&self) -> Result<Option<&Opened>> {
        let open = || async {
            let Some(open) = &self.open else {
                return Ok(None);
            };
            let ledger = open().await?;
            // All there are: a clock that was set back since must hide none.
            let ever = Timestamp::from_unix_ms(u64::MAX);
            let left = ledger.uploads(RULE, ever).await?;
            let by_identity = left.into_iter().filter_map(|intent| {
                let identity = intent.attempt.split('-').next()?.to_owned();
                Some((identity, intent))
            });
            let (recorder, notes) = mpsc::unbounded_channel();
            tokio::spawn(record(Arc::clone(&ledger), notes));
            Ok::<_, Error>(Some(Opened {
                ledger,
                left: Mutex::new(by_identity.collect()),
                recorder,
            }))
        };
        Ok(self.opened.get_or_try_init(open).await?.as_ref())
    }

    /// The upload that an earlier run left under this name.
    pub(super) async fn find(&self, identity: &str) -> Result<Option<Found>> {
        let Some(opened) = self.opened().await? else {
            return Ok(None);
        };
        let left = opened.left().remove(identity);
        let Some(intent) = left else { return Ok(None) };
        let part_bytes = intent
            .attempt
            .split('-')
            .nth(1)
            .and_then(|text| text.parse().ok());
        let parts = opened.ledger.parts(&intent.attempt).await?;
        match (intent.upload.clone(), part_bytes, parts) {
            (Some(upload), Some(part_bytes), Some((_, done))) => Ok(Some(Found {
                attempt: intent.attempt,
                upload,
                part_bytes,
                done,
            })),
            // Begun, but no part of it is known: it is swept away at the end.
            _ => {
                opened.left().insert(format!("{identity} unusable"), intent);
                Ok(None)
            }
        }
    }

    /// Opens the ledger, so that it is ready when it is needed.
    pub(super) async fn prepare(&self) {
        if let Err(error) = self.opened().await {
            tracing::debug!(%error, "the ledger cannot be opened; this will be said when it is needed");
        }
    }

    /// Writes down that an upload will be begun; the intent to go on with.
    pub(super) async fn intend(
        &self,
        identity: &str,
        part_bytes: u64,
        target: &Location,
        key: &ObjectKey,
    ) -> Result<UploadIntent> {
        let intent = UploadIntent {
            task: TaskKey {
                rule: RULE.to_owned(),
                destination: target.to_string(),
                key: key.clone(),
            },
            attempt: attempt(identity, part_bytes),
            upload: None,
            started: self.clock.now(),
        };
        if let Some(opened) = self.opened().await? {
            opened.ledger.record_upload(intent.clone()).await?;
        }
        Ok(intent)
    }

    /// An upload was begun. That is written soon: after a crash before it is, the intent leads to it.
    pub(super) fn begun(&self, mut intent: UploadIntent, upload: &str, parts: u32) {
        intent.upload = Some(upload.to_owned());
        self.note(Note::Begun(intent, parts));
    }

    /// A part is done. It is written soon; a crash before that costs copying the part again.
    pub(super) fn part(&self, attempt: &str, part: PartDone) {
        self.note(Note::Part(attempt.to_owned(), part));
    }

    /// The upload was completed or aborted. A crash before that is written costs a look by the next run.
    pub(super) fn ended(&self, attempt: &str) {
        self.note(Note::Ended(attempt.to_owned()));
    }

    fn note(&self, note: Note) {
        if let Some(Some(opened)) = self.opened.get() {
            // The recorder lives as long as this.
            let _ = opened.recorder.send(note);
        }
    }

    /// Waits until everything told so far is on disk.
    pub(super) async fn flush(&self) {
        if let Some(Some(opened)) = self.opened.get() {
            opened.flush().await;
        }
    }

    /// What earlier runs left and this one did not take up; only where this run has opened the ledger.
    pub(super) fn left(&self) -> Vec<UploadIntent> {
        match self.opened.get() {
            Some(Some(opened)) => opened.left().drain().map(|(_, intent)| intent).collect(),
            _ => Vec::new(),
        }
    }
}

impl Opened {
    fn left(&self) -> std::sync::MutexGuard<'_, HashMap<String, UploadIntent>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.recorder.send(Note::Flush(done)).is_ok() {
            let _ = wait.await;
        }
    }
}

/// Writes down what comes, in order: all that has come since the last write together, so that the disk is waited for as seldom
/// as can be.
async fn record(ledger: Arc<dyn Ledger>, mut notes: mpsc::UnboundedReceiver<Note>) {
    let mut batch = Vec::new();
    while notes.recv_many(&mut batch, 1_000).await > 0 {
        let (mut begun, mut parts, mut ended, mut flushed) = (vec![], vec![], vec![], vec![]);
        for note in batch.drain(..) {
            match note {
                Note::Begun(intent, total) => begun.push((intent, total)),
                Note::Part(attempt, part) => parts.push((attempt, part)),
                Note::Ended(attempt) => ended.push(attempt),
                Note::Flush(done) => flushed.push(done),
            }
        }
        // What has ended again within a batch need not be written first.
        begun.retain(|(intent, _)| !ended.contains(&intent.attempt));
        parts.retain(|(attempt, _)| !ended.contains(attempt));
        let ledger = ledger.as_ref();
        let begun = begun.into_iter().map(|(intent, total)| async move {
            let attempt = intent.attempt.clone();
            let (recorded, opened) = futures::join!(
                ledger.record_upload(intent),
                ledger.open_pool(&attempt, total)
            );
            recorded.and(opened)
        });
        let begun = futures::future::join_all(begun).await;
        let parts = parts.into_iter().map(|(attempt, part)| async move {
            ledger.finish_part(&attempt, part).await.map(drop)
        });
        let parts = futures::future::join_all(parts).await;
        let ended = ended.into_iter().map(|attempt| async move {
            let (closed, forgotten) =
                futures::join!(ledger.close_pool(&attempt), ledger.end_upload(&attempt));
            closed.and(forgotten)
        });
        let ended = futures::future::join_all(ended).await;
        for written in begun.into_iter().chain(parts).chain(ended) {
            if let Err(error) = written
                && error.kind != Kind::Missing
            {
                tracing::warn!(%error, "the ledger could not be written: the next run may copy parts again");
            }
        }
        flushed.into_iter().for_each(|done| {
            let _ = done.send(());
        });
    }
}
