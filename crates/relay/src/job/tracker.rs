//! Who lacks which chunk, and over which tree it is on its way. Pure: time is given in.

use crate::node::Assignment;
use crate::{Chunk, DestinationSet, TreeId};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A job's chunks.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) chunks: Vec<Chunk>,
    rows: Vec<Row>,
    /// Chunks that wait, by group of trees.
    waiting: Vec<VecDeque<u64>>,
    trees: BTreeMap<TreeId, OnTree>,
    /// Destinations that are given up.
    failed: DestinationSet,
    /// Chunks that some destination still lacks which is not given up.
    open: usize,
    pub(super) resent: u64,
    /// Chunks and bytes that each destination holds.
    held: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Row {
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
    /// Every chunk waits in its group and is lacked by `all`.
    pub(super) fn new(
        chunks: Vec<Chunk>,
        shares: &[usize],
        groups: usize,
        all: DestinationSet,
    ) -> Self {
        let mut waiting = vec![VecDeque::new(); groups];
        let mut rows = Vec::with_capacity(chunks.len());
        for (chunk, group) in chunks.iter().zip(shares) {
            waiting[*group].push_back(chunk.id);
            rows.push(Row {
                group: *group,
                missing: all,
                ..Row::default()
            });
        }
        Tracker {
            open: chunks.len(),
            chunks,
            rows,
            waiting,
            trees: BTreeMap::new(),
            failed: DestinationSet::default(),
            resent: 0,
            held: vec![(0, 0); DestinationSet::MAX],
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.open == 0
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
            .get(chunk as usize)
            .map_or(DestinationSet::default(), |row| {
                row.missing.without(self.failed)
            })
    }

    fn wait_again(&mut self, chunk: u64) {
        if !self.lacked(chunk).is_empty() {
            let group = self.rows[chunk as usize].group;
            self.waiting[group].push_front(chunk);
        }
    }

    /// The next chunks for `tree`, so that at most `window` are on their way.
    pub(super) fn assign(&mut self, tree: TreeId, window: usize, now_ns: u64) -> Vec<Assignment> {
        let Some(on) = self.trees.get(&tree) else {
            return Vec::new();
        };
        let (group, reaches, room) = (on.group, on.reaches, window.saturating_sub(on.sent.len()));
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
            let lacked = self.lacked(id);
            let wanted = lacked.intersection(reaches);
            let row = &mut self.rows[id as usize];
            row.group = group;
            if lacked.is_empty() {
                continue;
            }
            if wanted.is_empty() {
                passed.push(id);
                continue;
            }
            let attempt = row.attempts;
            row.attempts += 1;
            self.resent += u64::from(attempt > 0);
            assigned.push(Assignment {
                tree,
                chunk: self.chunks[id as usize].clone(),
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
            self.rows[id as usize].group = group;
            self.waiting[group].push_back(id);
        }
        assigned
    }

    /// A destination holds a chunk. Whether that is news.
    pub(super) fn written(&mut self, chunk: u64, destination: u8, now_ns: u64) -> bool {
        let one = DestinationSet::one(destination);
        let news = self.lacked(chunk).contains(destination);
        if news {
            let row = &mut self.rows[chunk as usize];
            row.missing = row.missing.without(one);
            let held = &mut self.held[usize::from(destination)];
            held.0 += 1;
            held.1 += u64::from(self.chunks[chunk as usize].length);
            if self.lacked(chunk).is_empty() {
                self.open -= 1;
            }
        }
        let lacked = self.lacked(chunk);
        let mut finished = None;
        for (tree, on) in &mut self.trees {
            if let Some(sent) = on.sent.get(&chunk) {
                on.heard_ns.insert(destination, now_ns);
                if sent.wanted.intersection(lacked).is_empty() {
                    finished = Some(*tree);
                }
            }
        }
        if let Some(on) = finished.and_then(|tree| self.trees.get_mut(&tree)) {
            on.sent.remove(&chunk);
            self.wait_again(chunk);
        }
        news
    }

    /// A try failed: it waits again. How often the chunk has failed, or `None` for a try that was given up before.
    pub(super) fn lost(&mut self, chunk: u64, attempt: u32) -> Option<u32> {
        let on = self.trees.values_mut().find(|on| {
            on.sent
                .get(&chunk)
                .is_some_and(|sent| sent.attempt == attempt)
        })?;
        on.sent.remove(&chunk);
        let row = &mut self.rows[chunk as usize];
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
                let silent = lacking.iter().filter(silent);
                let silent = silent.fold(DestinationSet::default(), |set, at| {
                    set.union(DestinationSet::one(at))
                });
                if !silent.is_empty() {
                    stalled.push((*chunk, sent.attempt, silent));
                }
            }
        }
        stalled.sort_unstable_by_key(|(chunk, ..)| std::cmp::Reverse(*chunk));
        stalled
    }

    /// A destination is given up: nothing more is sent for it.
    pub(super) fn give_up(&mut self, destination: u8) {
        let one = DestinationSet::one(destination);
        if self.failed.contains(destination) {
            return;
        }
        for row in &self.rows {
            let lacked = row.missing.without(self.failed);
            self.open -= usize::from(lacked == one);
        }
        self.failed = self.failed.union(one);
        let mut finished = Vec::new();
        for (tree, on) in &self.trees {
            let done = on
                .sent
                .iter()
                .filter(|(chunk, sent)| sent.wanted.intersection(self.lacked(**chunk)).is_empty());
            finished.extend(done.map(|(chunk, _)| (*tree, *chunk)));
        }
        for (tree, chunk) in finished {
            if let Some(on) = self.trees.get_mut(&tree) {
                on.sent.remove(&chunk);
            }
            self.wait_again(chunk);
        }
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
