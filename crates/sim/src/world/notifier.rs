//! Tells processes of changes, as clouds do: later, twice, in another order, or not at all; and again until somebody says that
//! it was taken.

use super::Sim;
use super::process::Process;
use skyfresh_engine::ObjectEvent;
use skyfresh_sky::{Clock, ObjectKey, Timestamp};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    pub(crate) key: ObjectKey,
    pub(crate) changed: Timestamp,
    pub(crate) size: Option<u64>,
}

/// A message that was not taken comes again after this, as a queue's visibility timeout has it.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Messages handed over at once, as SQS does.
const BATCH: usize = 10;
/// Batches under way at once.
const AT_ONCE: usize = 32;

/// Due in ms of the run, number, message.
type Entry = Reverse<(u64, u64, Note)>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Notifier {
    sim: Arc<Sim>,
    rule: String,
    queue: Mutex<(BinaryHeap<Entry>, u64)>,
    bell: Notify,
}

impl Notifier {
    pub(crate) fn new(sim: Arc<Sim>, rule: String) -> Arc<Self> {
        Arc::new(Notifier {
            sim,
            rule,
            queue: Mutex::default(),
            bell: Notify::new(),
        })
    }

    fn queue(&self) -> MutexGuard<'_, (BinaryHeap<Entry>, u64)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message that arrives after `delay`.
    pub(crate) fn send(&self, note: Note, delay: Duration) {
        let due_ms = self.sim.now_ms() + delay.as_millis() as u64;
        let mut queue = self.queue();
        queue.1 += 1;
        let number = queue.1;
        queue.0.push(Reverse((due_ms, number, note)));
        drop(queue);
        self.bell.notify_one();
    }

    /// Messages that were not taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().0.len()
    }

    /// The messages due, or when the next will be.
    fn due(&self) -> Result<Vec<Note>, Option<Duration>> {
        let now_ms = self.sim.now_ms();
        let mut queue = self.queue();
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(Reverse((due_ms, ..))) = queue.0.peek()
        {
            if *due_ms > now_ms {
                if batch.is_empty() {
                    return Err(Some(Duration::from_millis(*due_ms - now_ms)));
                }
                break;
            }
            if let Some(Reverse((_, _, note))) = queue.0.pop() {
                batch.push(note);
            }
        }
        if batch.is_empty() {
            Err(None)
        } else {
            Ok(batch)
        }
    }

    /// Hands messages over to the processes in turn, for ever.
    pub(crate) async fn run(self: Arc<Self>, processes: Vec<Arc<Process>>) {
        let under_way = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        for turn in 0.. {
            let batch = loop {
                match self.due() {
                    Ok(batch) => break batch,
                    Err(wait) => tokio::select! {
                        biased;
                        () = self.bell.notified() => {}
                        () = self.sim.clock.sleep(wait.unwrap_or(Duration::MAX / 4)) => {}
                    },
                }
            };
            let process = Arc::clone(&processes[turn % processes.len()]);
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else {
                return;
            };
            let notifier = Arc::clone(&self);
            tokio::spawn(async move {
                let _permit = permit;
                notifier.hand_over(&process, batch).await;
            });
        }
    }

    async fn hand_over(&self, process: &Process, batch: Vec<Note>) {
        let events: Vec<ObjectEvent> = batch
            .iter()
            .map(|note| ObjectEvent {
                key: note.key.clone(),
                changed: Some(note.changed),
                size: note.size,
            })
            .collect();
        let observer = &self.sim.observer;
        let before: Vec<_> = batch
            .iter()
            .map(|note| observer.submissions(&self.rule, &note.key))
            .collect();
        let rule = self.rule.clone();
        let taken = process
            .ask(|engine| async move { engine.submit(&rule, &events).await.is_ok() })
            .await;
        if taken == Some(true) {
            for (note, before) in batch.iter().zip(&before) {
                observer.acknowledged(self.sim.now(), &self.rule, &note.key, before);
            }
            return;
        }
        for note in batch {
            self.send(note, AGAIN_AFTER);
        }
    }
}
