//! Who lacks which chunk, and over which tree it is on its way. Pure: time is given in.

use crate::node::Assignment;
use crate::{Chunk, DestinationSet, TreeId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A job's chunks.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Chunks that some destination lacks which is not given up.
    rows: BTreeMap<u64, Row>,
    /// Chunks that wait, by group of trees.
    waiting: Vec<VecDeque<u64>>,
    trees: BTreeMap<TreeId, OnTree>,
    /// Destinations that are given up.
    failed: DestinationSet,
    pub(super) resent: u64,
    /// Bytes of all chunks so far.
    pub(super) total_bytes: u64,
    /// Chunks and bytes that each destination holds.
    held: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Row {
    chunk: Arc<Chunk>,
    group: usize,
    missing: DestinationSet,
    attempts: u32,
    failures: u32,
}

#[derive(Debug)]
struct OnTree {
    group: usize,
    reaches: DestinationSet,
    sent: HashMap<u64, Sent>,
    /// When each destination last acknowledged something.
    heard_ns: BTreeMap<u8, u64>,
}

#[derive(Debug)]
struct Sent {
    attempt: u32,
    at_ns: u64,
    wanted: DestinationSet,
}

impl Tracker {
    /// Nothing to carry yet, in so many groups of trees.
    pub(super) fn new(groups: usize) -> Self {
        Tracker {
            rows: BTreeMap::new(),
            waiting: vec![VecDeque::new(); groups],
            trees: BTreeMap::new(),
            failed: DestinationSet::default(),
            resent: 0,
            total_bytes: 0,
            held: vec![(0, 0); DestinationSet::MAX],
        }
    }

    /// A chunk that `wanted` lack waits in its group.
    pub(super) fn add(&mut self, chunk: Chunk, group: usize, wanted: DestinationSet) {
        self.total_bytes += u64::from(chunk.length);
        let missing = wanted.without(self.failed);
        if missing.is_empty() {
            return;
        }
        self.waiting[group].push_back(chunk.id);
        let row = Row {
            group,
            missing,
            attempts: 0,
            failures: 0,
            chunk: Arc::new(chunk),
        };
        self.rows.insert(row.chunk.id, row);
    }

    pub(super) fn is_done(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn begin(&mut self, tree: TreeId, group: usize, reaches: DestinationSet) {
        self.trees.insert(
            tree,
            OnTree {
                group,
                reaches,
                sent: HashMap::new(),
                heard_ns: BTreeMap::new(),
            },
        );
    }

    /// A tree is gone: what was on its way over it waits again, in order, before everything else.
    pub(super) fn end(&mut self, tree: TreeId) {
        let Some(gone) = self.trees.remove(&tree) else {
            return;
        };
        let mut chunks: Vec<u64> = gone.sent.into_keys().collect();
        chunks.sort_unstable_by(|a, b| b.cmp(a));
        for chunk in chunks {
            self.wait_again(chunk);
        }
    }

    fn lacked(&self, chunk: u64) -> DestinationSet {
        self.rows
            .get(&chunk)
            .map_or(DestinationSet::default(), |row| row.missing)
    }

    fn wait_again(&mut self, chunk: u64) {
        if let Some(row) = self.rows.get(&chunk) {
            self.waiting[row.group].push_front(chunk);
        }
    }

    /// The most chunks that a tree of a group may have under way: an equal share of what its trees have left, so that none is
    /// given what another could carry at the same time. As they get on, the faster one's share of the rest grows.
    fn fair_share(&self, group: usize) -> usize {
        let sharing = self.trees.values().filter(|on| on.group == group);
        let (count, under_way) =
            sharing.fold((0, 0), |(count, sum), on| (count + 1, sum + on.sent.len()));
        let left = self.waiting.get(group).map_or(0, VecDeque::len) + under_way;
        match (left, count) {
            // Nobody to share with, or what is left is another group's, which has no tree.
            (0, _) | (_, 0 | 1) => usize::MAX,
            (left, count) => left.div_ceil(count),
        }
    }

    /// The next chunks for `tree`, so that at most `window` are on their way.
    pub(super) fn assign(&mut self, tree: TreeId, window: usize, now_ns: u64) -> Vec<Assignment> {
        let Some(on) = self.trees.get(&tree) else {
            return Vec::new();
        };
        let most = window.min(self.fair_share(on.group));
        let (group, reaches, room) = (on.group, on.reaches, most.saturating_sub(on.sent.len()));
        let mut assigned = Vec::new();
        let mut passed = Vec::new();
        while assigned.len() < room {
            // A group whose trees are all gone has others carry its chunks.
            let orphaned =
                |at: &usize| *at != group && !self.trees.values().any(|on| on.group == *at);
            let from = [group]
                .into_iter()
                .chain((0..self.waiting.len()).filter(orphaned));
            let Some(from) = from.into_iter().find(|at| !self.waiting[*at].is_empty()) else {
                break;
            };
            let Some(id) = self.waiting[from].pop_front() else {
                break;
            };
            let Some(row) = self.rows.get_mut(&id) else {
                continue;
            };
            let wanted = row.missing.intersection(reaches);
            row.group = group;
            if wanted.is_empty() {
                passed.push(id);
                continue;
            }
            let attempt = row.attempts;
            row.attempts += 1;
            self.resent += u64::from(attempt > 0);
            assigned.push(Assignment {
                tree,
                chunk: (*row.chunk).clone(),
                attempt,
                wanted,
            });
            let sent = Sent {
                attempt,
                at_ns: now_ns,
                wanted,
            };
            if let Some(on) = self.trees.get_mut(&tree) {
                on.sent.insert(id, sent);
            }
        }
        // Not for this tree: for one that reaches who lacks it, or for a later shape.
        for id in passed {
            let lacked = self.lacked(id);
            let other = self
                .trees
                .values()
                .find(|on| !on.reaches.intersection(lacked).is_empty());
            let group = other.map_or(group, |on| on.group);
            if let Some(row) = self.rows.get_mut(&id) {
                row.group = group;
            }
            self.waiting[group].push_back(id);
        }
        assigned
    }

    /// A destination holds a chunk: which, where that is news.
    pub(super) fn written(
        &mut self,
        chunk: u64,
        destination: u8,
        now_ns: u64,
    ) -> Option<Arc<Chunk>> {
        let row = self.rows.get(&chunk);
        let row = row.filter(|row| row.missing.contains(destination));
        let news = row.map(|row| Arc::clone(&row.chunk));
        if let Some(news) = &news {
            let held = &mut self.held[usize::from(destination)];
            held.0 += 1;
            held.1 += u64::from(news.length);
        }
        for on in self.trees.values_mut() {
            if on.sent.contains_key(&chunk) {
                on.heard_ns.insert(destination, now_ns);
            }
        }
        self.settle(chunk, DestinationSet::one(destination));
        news
    }

    /// Some destinations no longer lack a chunk: they hold it, or will not get it.
    fn settle(&mut self, chunk: u64, destinations: DestinationSet) {
        if let Some(row) = self.rows.get_mut(&chunk) {
            row.missing = row.missing.without(destinations);
            if row.missing.is_empty() {
                self.rows.remove(&chunk);
            }
        }
        let lacked = self.lacked(chunk);
        let over = self.trees.values_mut().find(|on| {
            on.sent
                .get(&chunk)
                .is_some_and(|sent| sent.wanted.intersection(lacked).is_empty())
        });
        if let Some(on) = over {
            on.sent.remove(&chunk);
            self.wait_again(chunk);
        }
    }

    /// Some destinations will not get a chunk. Which of them lacked it.
    pub(super) fn refuse(&mut self, chunk: u64, destinations: DestinationSet) -> DestinationSet {
        let lacked = self.lacked(chunk).intersection(destinations);
        self.settle(chunk, lacked);
        lacked
    }

    /// A try failed: it waits again. How often the chunk has failed, or `None` for a try that was given up before.
    pub(super) fn lost(&mut self, chunk: u64, attempt: u32) -> Option<u32> {
        let on = self.trees.values_mut().find(|on| {
            on.sent
                .get(&chunk)
                .is_some_and(|sent| sent.attempt == attempt)
        })?;
        on.sent.remove(&chunk);
        let row = self.rows.get_mut(&chunk)?;
        row.failures += 1;
        let failures = row.failures;
        self.wait_again(chunk);
        Some(failures)
    }

    /// Chunks of which nothing was heard for `limit_ns`, with their try and who still lacks them: neither of themselves since they were
    /// sent, nor of anything else from the same destinations over the same tree.
    pub(super) fn stalled(&self, now_ns: u64, limit_ns: u64) -> Vec<(u64, u32, DestinationSet)> {
        let mut stalled = Vec::new();
        for on in self.trees.values() {
            for (chunk, sent) in &on.sent {
                let silent = |destination: &u8| {
                    let heard_ns = on.heard_ns.get(destination).copied().unwrap_or(0);
                    now_ns.saturating_sub(heard_ns.max(sent.at_ns)) > limit_ns
                };
                let lacking = sent.wanted.intersection(self.lacked(*chunk));
                let silent: DestinationSet = lacking.iter().filter(silent).collect();
                if !silent.is_empty() {
                    stalled.push((*chunk, sent.attempt, silent));
                }
            }
        }
        stalled.sort_unstable_by_key(|(chunk, ..)| std::cmp::Reverse(*chunk));
        stalled
    }

    /// A destination is given up: nothing more is sent for it. The chunks that it lacked.
    pub(super) fn give_up(&mut self, destination: u8) -> Vec<u64> {
        let one = DestinationSet::one(destination);
        self.failed = self.failed.union(one);
        let lacking = self.rows.iter();
        let lacking = lacking.filter(|(_, row)| row.missing.contains(destination));
        let lacking: Vec<u64> = lacking.map(|(chunk, _)| *chunk).collect();
        for chunk in &lacking {
            self.settle(*chunk, one);
        }
        lacking
    }

    /// Chunks and bytes that a destination holds.
    pub(super) fn held(&self, destination: u8) -> (u64, u64) {
        self.held
            .get(usize::from(destination))
            .copied()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
