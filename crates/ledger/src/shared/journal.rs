//! Receipts, twice: by key, one document each; and by time, in groups. What this process finishes at once goes into the journal
//! as one document, so that a receipt costs one write and a share of another, and nothing has to refer to anything.

use super::bodies::{Entry, Line, decode_group, encode_group};
use super::core::{Core, put_any};
use super::names::{
    HOUR_MS, JOURNAL_SHARDS, Lane, SLOT_MS, behind, hour_marks, journal, slot_sort,
};
use super::{Condition, DocumentId};
use crate::Result;
use crate::model::*;
use crate::rows::{decode, encode};
use crate::tables::Table;
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A group is at most this long.
const GROUP_LIMIT_BYTES: usize = 32 << 10;

/// What this process is about to write into the journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    rules: Mutex<HashMap<String, Arc<Writer>>>,
    /// The newest lines' numbers.
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Writer {
    turn: tokio::sync::Mutex<()>,
    /// By number: in the order they came.
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    /// Hours that are known to be marked: the newest two that were written.
    hours: Mutex<BTreeSet<u64>>,
}

#[derive(Debug)]
struct Waiting {
    slot: u64,
    line: Vec<u8>,
    written: oneshot::Sender<()>,
}

/// Lines of one slot that are written together.
struct Batch {
    slot: u64,
    numbers: Vec<u64>,
    lines: Vec<Vec<u8>>,
}

/// Takes lines out of the queue when their caller goes, whether or not they were written.
struct Queued<'writer> {
    writer: &'writer Writer,
    lines: Vec<(u64, oneshot::Receiver<()>)>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.writer.waiting);
        for (number, _) in &self.lines {
            waiting.remove(number);
        }
    }
}

impl Core {
    /// Writes the receipt of a claim, and, where it left a tombstone, what pruning will need to find it.
    pub(crate) async fn add_receipt(
        &self,
        operation: &'static str,
        lane: &Lane,
        token: u64,
        completion: &Completion,
    ) -> Result<()> {
        let receipt = &completion.receipt;
        let id = lane.receipt(&receipt.task.key, receipt.published, token);
        let by_key = put_any(&*self.documents, &id, encode(operation, receipt)?);
        let mut lines = vec![Entry {
            token,
            what: Line::Receipt(Box::new(receipt.clone())),
        }];
        if let Some(tombstone) = &completion.tombstone {
            lines.push(Entry {
                token,
                what: Line::Tombstone(receipt.task.clone(), tombstone.deleted),
            });
        }
        futures::future::try_join(by_key, self.append(operation, &lane.rule, &lines)).await?;
        Ok(())
    }

    /// Appends lines: whoever has the turn writes all that wait for the same slot.
    async fn append(&self, operation: &'static str, rule: &str, lines: &[Entry]) -> Result<()> {
        let writer = {
            let mut rules = lock(&self.journal.rules);
            Arc::clone(rules.entry(rule.to_owned()).or_default())
        };
        let mut queued = Queued {
            writer: &writer,
            lines: Vec::with_capacity(lines.len()),
        };
        for line in lines {
            let (written, heard) = oneshot::channel();
            let waiting = Waiting {
                slot: line.time().unix_ms() / SLOT_MS,
                line: line.encode(operation)?,
                written,
            };
            let number = self.journal.numbers.fetch_add(1, Ordering::Relaxed);
            lock(&writer.waiting).insert(number, waiting);
            queued.lines.push((number, heard));
        }
        for (number, written) in &mut queued.lines {
            tokio::select! {
                biased;
                _ = written => {}
                _turn = writer.turn.lock() => {
                    if let Some(batch) = writer.batch_with(*number) {
                        self.write_batch(rule, &writer, &batch).await?;
                        writer.settle(&batch);
                    }
                }
            }
        }
        Ok(())
    }

    async fn write_batch(&self, rule: &str, writer: &Writer, batch: &Batch) -> Result<()> {
        let slot = batch.slot;
        let hour = slot * SLOT_MS / HOUR_MS;
        if !lock(&writer.hours).contains(&hour) {
            let [all, own] = hour_marks(rule, hour);
            let body = rule.as_bytes().to_vec();
            futures::future::try_join(
                put_any(&*self.documents, &all, body.clone()),
                put_any(&*self.documents, &own, body),
            )
            .await?;
            let mut hours = lock(&writer.hours);
            hours.insert(hour);
            if hours.len() > 2 {
                hours.pop_first();
            }
        }
        // A name of its own for every group: nothing that was written is ever written over.
        let name = self.rng.u64();
        let mut sort = slot_sort(slot);
        sort.extend_from_slice(&name.to_be_bytes());
        let id = DocumentId {
            partition: journal(rule, hour, name % JOURNAL_SHARDS),
            sort,
        };
        let lines = batch.lines.iter().map(Vec::as_slice);
        put_any(&*self.documents, &id, encode_group(lines)).await
    }

    /// Takes a receipt back that belongs to a claim which turned out to be stale.
    pub(crate) async fn remove_receipt(
        &self,
        operation: &'static str,
        lane: &Lane,
        token: u64,
        receipt: &Receipt,
    ) -> Result<()> {
        let id = lane.receipt(&receipt.task.key, receipt.published, token);
        super::core::delete_any(&*self.documents, &id).await?;
        let slot = receipt.published.unix_ms() / SLOT_MS;
        for shard in 0..JOURNAL_SHARDS {
            let partition = journal(&lane.rule, slot * SLOT_MS / HOUR_MS, shard);
            let (from, to) = (slot_sort(slot), slot_sort(slot + 1));
            let groups = self
                .documents
                .scan(&partition, &from, &to, false, usize::MAX)
                .await?;
            for group in groups {
                let mut lines = decode_group(operation, &lane.rule, &group.sort, &group.body)?;
                let many = lines.len();
                lines.retain(|line| {
                    line.token != token
                        || *line.task() != receipt.task
                        || matches!(line.what, Line::Tombstone(..))
                });
                if lines.len() == many {
                    continue;
                }
                let id = DocumentId {
                    partition: partition.clone(),
                    sort: group.sort,
                };
                let condition = Condition::Unchanged(group.stamp);
                // Refused: it was pruned meanwhile.
                if lines.is_empty() {
                    self.documents.delete(&id, condition).await?;
                } else {
                    let lines: Result<Vec<Vec<u8>>> =
                        lines.iter().map(|line| line.encode(operation)).collect();
                    let body = encode_group(lines?.iter().map(Vec::as_slice));
                    self.documents.put(&id, body, condition).await?;
                }
            }
        }
        Ok(())
    }

    /// See [`Ledger::receipts_by_key`](crate::Ledger::receipts_by_key).
    pub(crate) async fn receipts_by_key(
        &self,
        task: &TaskKey,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        let operation = "receipts_by_key";
        let lane = Lane::of(operation, task)?;
        let (partition, hash) = lane.receipts(&task.key);
        let to = [hash.as_slice(), &[0xff; 17]].concat();
        let found = self
            .documents
            .scan(&partition, &hash, &to, true, limit)
            .await?;
        let receipts = found.into_iter().map(|document| {
            decode::<Receipt>(
                operation,
                Table::Receipts,
                &document.sort,
                task.rule.clone(),
                &document.body,
            )
        });
        // Another key with this hash: as good as impossible, and harmless.
        let own = receipts.filter(|receipt| !matches!(receipt, Ok(other) if other.task != *task));
        own.collect()
    }

    /// Hours of a rule's journal, from one on, oldest first.
    async fn hours(&self, rule: &str, from: u64, limit: usize) -> Result<Vec<u64>> {
        let partition = super::names::hours_of(rule);
        let from = from.to_be_bytes();
        let marks = self
            .documents
            .scan(&partition, &from, super::names::END, false, limit)
            .await?;
        let hours = marks
            .iter()
            .filter_map(|mark| mark.sort.as_slice().try_into().ok());
        Ok(hours.map(u64::from_be_bytes).collect())
    }

    /// See [`Ledger::receipts_by_time`](crate::Ledger::receipts_by_time).
    pub(crate) async fn receipts_by_time(
        &self,
        rule: &str,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        /// Hours looked up at once.
        const HOURS: usize = 256;
        let operation = "receipts_by_time";
        crate::tables::check_name(operation, "rule", rule)?;
        let mut receipts = Vec::new();
        let mut next = from.unix_ms() / HOUR_MS;
        while receipts.len() < limit {
            let hours = self.hours(rule, next, HOURS).await?;
            for hour in &hours {
                if receipts.len() >= limit {
                    break;
                }
                let left = limit - receipts.len();
                receipts.extend(self.hour(operation, rule, *hour, from, left).await?);
            }
            match hours.last() {
                Some(last) if hours.len() == HOURS => next = last + 1,
                _ => break,
            }
        }
        Ok(receipts)
    }

    /// The first receipts of an hour, in order: reads each shard as far as the first `limit` could come from.
    async fn hour(
        &self,
        operation: &'static str,
        rule: &str,
        hour: u64,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        /// Groups of one shard read at once.
        const PAGE: usize = 64;
        let begin = slot_sort(from.unix_ms() / SLOT_MS);
        // Where each shard goes on; `None`: it has been read to its end.
        let mut positions = vec![Some(begin); JOURNAL_SHARDS as usize];
        let mut found = BTreeMap::new();
        loop {
            // All slots before this one are read; none: all are.
            let first_open = positions.iter().flatten().map(|sort| slot_of(sort)).min();
            let is_whole = |(time, ..): &&(Timestamp, u64, TaskKey)| {
                first_open.is_none_or(|slot| time.unix_ms() / SLOT_MS < slot)
            };
            let whole = found.keys().take_while(is_whole).take(limit);
            if first_open.is_none() || whole.count() == limit {
                return Ok(found.into_values().take(limit).collect());
            }
            for (shard, position) in positions.iter_mut().enumerate() {
                if position.as_deref().map(slot_of) != first_open {
                    continue;
                }
                let Some(at) = position.take() else { continue };
                let partition = journal(rule, hour, shard as u64);
                let groups = self
                    .documents
                    .scan(&partition, &at, super::names::END, false, PAGE)
                    .await?;
                if groups.len() == PAGE {
                    *position = groups.last().map(|group| behind(&group.sort));
                }
                for group in groups {
                    for line in decode_group(operation, rule, &group.sort, &group.body)? {
                        let at = (line.time(), line.token, line.task().clone());
                        if let Line::Receipt(receipt) = line.what
                            && at.0 >= from
                        {
                            // The same line may have been written twice.
                            found.insert(at, *receipt);
                        }
                    }
                }
            }
        }
    }

    /// Forgets that an hour is marked.
    pub(crate) fn unmark_hour(&self, rule: &str, hour: u64) {
        if let Some(writer) = lock(&self.journal.rules).get(rule) {
            lock(&writer.hours).remove(&hour);
        }
    }
}

impl Writer {
    /// What to write so that this line is: with it, all that wait for its slot, as far as they fit. `None`: it is written.
    fn batch_with(&self, number: u64) -> Option<Batch> {
        let waiting = lock(&self.waiting);
        let own = waiting.get(&number)?;
        let mut batch = Batch {
            slot: own.slot,
            numbers: vec![number],
            lines: vec![own.line.clone()],
        };
        let mut bytes = own.line.len();
        for (other, waiting) in waiting.iter() {
            if *other == number || waiting.slot != batch.slot {
                continue;
            }
            bytes += waiting.line.len();
            if bytes > GROUP_LIMIT_BYTES {
                break;
            }
            batch.numbers.push(*other);
            batch.lines.push(waiting.line.clone());
        }
        Some(batch)
    }

    fn settle(&self, batch: &Batch) {
        let mut waiting = lock(&self.waiting);
        for number in &batch.numbers {
            if let Some(waiting) = waiting.remove(number) {
                // Nobody hears it who has gone.
                let _ = waiting.written.send(());
            }
        }
    }
}

fn slot_of(sort: &[u8]) -> u64 {
    sort.first_chunk::<8>()
        .map_or(0, |slot| u64::from_be_bytes(*slot))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
