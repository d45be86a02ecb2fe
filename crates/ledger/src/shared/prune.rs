//! Forgetting: receipts and tombstones that are older than anyone wants to know.

use super::bodies::{Entry, Line, decode_group, encode_group};
use super::core::{AT_ONCE, Core, delete_any};
use super::names::{
    HOUR_MS, HOURS, JOURNAL_SHARDS, Lane, SLOT_MS, behind, hour_marks, journal, slot_sort,
};
use super::{Condition, Document, DocumentId, Written};
use crate::Result;
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::{Kind, Timestamp};

/// Receipts and tombstones that one call removes at most.
const LIMIT: u64 = 10_000;

/// Documents read at once.
const PAGE: usize = 64;

const OPERATION: &str = "prune";

impl Core {
    /// See [`Ledger::prune`](crate::Ledger::prune): hour by hour, the oldest first, of all rules.
    pub(crate) async fn prune(&self, before: Timestamp) -> Result<u64> {
        let mut removed = 0;
        let (mut from, to) = (Vec::new(), (before.unix_ms() / HOUR_MS + 1).to_be_bytes());
        loop {
            let marks = self.documents.scan(HOURS, &from, &to, false, PAGE).await?;
            for mark in &marks {
                let Some((hour, rule)) = parse_mark(mark) else {
                    tracing::warn!(sort = %mark.sort.escape_ascii(), "a mark of an hour cannot be read");
                    continue;
                };
                removed += self.prune_hour(rule, hour, before, LIMIT - removed).await?;
                if removed >= LIMIT {
                    return Ok(removed);
                }
                if (hour + 1).saturating_mul(HOUR_MS) <= before.unix_ms() {
                    self.unmark_hour(rule, hour);
                    for id in hour_marks(rule, hour) {
                        delete_any(&*self.documents, &id).await?;
                    }
                }
            }
            match marks.last() {
                Some(last) if marks.len() == PAGE => from = behind(&last.sort),
                _ => return Ok(removed),
            }
        }
    }

    async fn prune_hour(
        &self,
        rule: &str,
        hour: u64,
        before: Timestamp,
        limit: u64,
    ) -> Result<u64> {
        let mut removed = 0;
        let end = slot_sort(before.unix_ms().div_ceil(SLOT_MS));
        for shard in 0..JOURNAL_SHARDS {
            let partition = journal(rule, hour, shard);
            let mut from = Vec::new();
            loop {
                let groups = self
                    .documents
                    .scan(&partition, &from, &end, false, PAGE)
                    .await?;
                let last = groups.last().map(|group| behind(&group.sort));
                let is_last_page = groups.len() < PAGE;
                for group in groups {
                    if removed >= limit {
                        return Ok(removed);
                    }
                    let left = limit - removed;
                    removed += self
                        .prune_group(rule, &partition, group, before, left)
                        .await?;
                }
                match last {
                    Some(last) if !is_last_page => from = last,
                    _ => break,
                }
            }
        }
        Ok(removed)
    }

    /// First what the lines lead to, then the lines: what is interrupted is done again.
    async fn prune_group(
        &self,
        rule: &str,
        partition: &str,
        group: Document,
        before: Timestamp,
        limit: u64,
    ) -> Result<u64> {
        let id = DocumentId {
            partition: partition.to_owned(),
            sort: group.sort.clone(),
        };
        let lines = match decode_group(OPERATION, rule, &group.sort, &group.body) {
            Ok(lines) => lines,
            // What cannot be read can still be forgotten.
            Err(error) if error.kind == Kind::Corrupt => {
                tracing::warn!(%error, "unreadable receipts are pruned");
                let condition = Condition::Unchanged(group.stamp);
                self.documents.delete(&id, condition).await?;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let (mut old, mut kept): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.time() < before);
        if old.is_empty() {
            return Ok(0);
        }
        if old.len() as u64 > limit {
            kept.extend(old.split_off(limit as usize));
        }
        let mut removals = Vec::with_capacity(old.len());
        for line in &old {
            removals.push(self.prune_line(line, before));
        }
        let removed = futures::stream::iter(removals)
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |all, one| async move { Ok(all + u64::from(one)) })
            .await?;
        let condition = Condition::Unchanged(group.stamp);
        let written = if kept.is_empty() {
            self.documents.delete(&id, condition).await?
        } else {
            let lines: Result<Vec<Vec<u8>>> =
                kept.iter().map(|line| line.encode(OPERATION)).collect();
            let body = encode_group(lines?.iter().map(Vec::as_slice));
            self.documents.put(&id, body, condition).await?
        };
        match written {
            Written::Done(_) => Ok(removed),
            // Another process prunes the same, and counts it.
            Written::Refused => Ok(0),
        }
    }

    async fn prune_line(&self, line: &Entry, before: Timestamp) -> Result<bool> {
        match &line.what {
            Line::Receipt(receipt) => {
                let lane = Lane::of(OPERATION, &receipt.task)?;
                let id = lane.receipt(&receipt.task.key, receipt.published, line.token);
                delete_any(&*self.documents, &id).await?;
                Ok(true)
            }
            Line::Tombstone(task, _) => self.prune_tombstone(task, before).await,
        }
    }
}

fn parse_mark(mark: &Document) -> Option<(u64, &str)> {
    let (hour, rule) = mark.sort.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*hour), std::str::from_utf8(rule).ok()?))
}
