//! What this process believes of pending tasks: what it wrote itself, and what its last scans read. Nothing relies on it being
//! true (every write is conditional); it saves reads.

use super::Stamp;
use super::bodies::Stored;
use super::names::Lane;
use skyfresh_sky::{ObjectKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tasks remembered per destination; beyond it those that are due last are forgotten, and found again by a scan.
const KNOWN_LIMIT: usize = 20_000;

/// A task as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    pub(crate) stored: Arc<Stored>,
}

impl Known {
    fn key(&self) -> &ObjectKey {
        &self.stored.task.task.key
    }
}

/// All destinations.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<HashMap<(String, String), Arc<View>>>);

impl Views {
    pub(crate) fn of(&self, lane: &Lane) -> Arc<View> {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (lane.rule.clone(), lane.destination.clone());
        Arc::clone(views.entry(name).or_default())
    }
}

/// One destination.
#[derive(Debug, Default)]
pub(crate) struct View(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<Place, Seen>,
    /// When to try, which key, where.
    due: BTreeSet<(Timestamp, Vec<u8>, u32)>,
    /// Counts own changes, so that a scan that began earlier does not undo them.
    changes: u64,
    /// Scans under way, and what was removed since the first of them began.
    scans: usize,
    removed: HashMap<Place, u64>,
    /// Where each shard's next scan begins.
    positions: HashMap<u32, Vec<u8>>,
    /// When the last scan of everything began, by the claimers' clock.
    last_scan: Option<Timestamp>,
    /// The last scan of everything is newer than the last look at the schedule.
    fresh: bool,
    reported: HashSet<Vec<u8>>,
}

/// Shard and key, in the order of a scan.
type Place = (u32, Vec<u8>);

#[derive(Debug)]
struct Seen {
    known: Known,
    /// `changes` when it was learnt.
    change: u64,
    /// Its time in `due`.
    at: Timestamp,
}

/// Until dropped, removals are kept so that the scan's pages can be merged.
#[derive(Debug)]
pub(crate) struct Scan<'view>(&'view View);

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.scans -= 1;
        if state.scans == 0 {
            state.removed.clear();
        }
    }
}

impl View {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, shard: u32, key: &ObjectKey) -> Option<Known> {
        let state = self.lock();
        let seen = state.tasks.get(&place(shard, key))?;
        Some(seen.known.clone())
    }

    /// After an own write or a read of this one document. `None`: it is not there.
    pub(crate) fn set(&self, shard: u32, key: &ObjectKey, known: Option<Known>) {
        let mut state = self.lock();
        state.changes += 1;
        let at = place(shard, key);
        match known {
            Some(known) => {
                let when = known.stored.claimable_at();
                state.insert(at, known, when);
            }
            None => {
                state.remove(&at);
                if state.scans > 0 {
                    let change = state.changes;
                    state.removed.insert(at, change);
                }
            }
        }
    }

    /// What became of this task is not known.
    pub(crate) fn forget(&self, shard: u32, key: &ObjectKey) {
        self.set(shard, key, None);
    }

    /// Begins a scan.
    pub(crate) fn scan(&self) -> Scan<'_> {
        self.lock().scans += 1;
        Scan(self)
    }

    /// Own changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Merges a page: all tasks of a shard with keys in `span` (from, to before; `None`: the end), read after `changes`. Tasks
    /// of others that nobody claims are tried only `patience` after they are due.
    pub(crate) fn learn(
        &self,
        shard: u32,
        span: (&[u8], Option<&[u8]>),
        page: &[Known],
        changes: u64,
        patience: Duration,
    ) {
        let mut state = self.lock();
        let found: HashSet<_> = page
            .iter()
            .map(|known| known.key().as_str().as_bytes())
            .collect();
        let from = (shard, span.0.to_vec());
        let to = span
            .1
            .map_or((shard + 1, Vec::new()), |to| (shard, to.to_vec()));
        let gone: Vec<_> = state
            .tasks
            .range(from..to)
            .filter(|(at, seen)| seen.change <= changes && !found.contains(at.1.as_slice()))
            .map(|(at, _)| at.clone())
            .collect();
        for at in gone {
            state.remove(&at);
        }
        for known in page {
            let task = &known.stored.task;
            let at = place(shard, known.key());
            let seen = state.tasks.get(&at);
            let newer = seen
                .map(|seen| seen.change)
                .max(state.removed.get(&at).copied());
            if newer.is_some_and(|change| change > changes) {
                continue;
            }
            let mut when = known.stored.claimable_at();
            match seen {
                // Nothing new; what was taken for a claim that never came to be is back.
                Some(seen) if seen.known.stamp == known.stamp => when = seen.at,
                _ if task.lease.is_none() => when = when.after(patience),
                _ => {}
            }
            state.insert(at, known.clone(), when);
        }
    }

    /// Takes up to `limit` tasks to be tried now, the longest due first. Each is to be set or put back.
    pub(crate) fn take_due(&self, now: Timestamp, limit: usize) -> Vec<ObjectKey> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < limit
            && state.due.first().is_some_and(|(at, _, _)| *at <= now)
            && let Some((_, key, shard)) = state.due.pop_first()
        {
            let seen = state.tasks.get(&(shard, key));
            taken.extend(seen.map(|seen| seen.known.key().clone()));
        }
        taken
    }

    /// Puts a taken task back.
    pub(crate) fn put_back(&self, shard: u32, key: &ObjectKey) {
        let mut state = self.lock();
        let at = place(shard, key);
        if let Some(seen) = state.tasks.get(&at) {
            let entry = (seen.at, at.1, shard);
            state.due.insert(entry);
        }
    }

    /// How many tasks can be tried now, up to `limit`.
    pub(crate) fn count_due(&self, now: Timestamp, limit: usize) -> usize {
        let state = self.lock();
        let due = state.due.iter().take(limit);
        due.take_while(|(at, _, _)| *at <= now).count()
    }

    /// The earliest time at which a task can be tried.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        self.lock().due.first().map(|(at, _, _)| *at)
    }

    /// Where the next scan of a shard begins.
    pub(crate) fn position(&self, shard: u32) -> Vec<u8> {
        let state = self.lock();
        state.positions.get(&shard).cloned().unwrap_or_default()
    }

    pub(crate) fn set_position(&self, shard: u32, position: Vec<u8>) {
        self.lock().positions.insert(shard, position);
    }

    /// Everything was scanned (`complete`) or as much as one call may, since `now`.
    pub(crate) fn scanned(&self, now: Option<Timestamp>, complete: bool) {
        let mut state = self.lock();
        state.last_scan = now.or(state.last_scan);
        state.fresh = complete;
    }

    pub(crate) fn last_scan(&self) -> Option<Timestamp> {
        self.lock().last_scan
    }

    /// Whether everything was scanned since this was last asked.
    pub(crate) fn take_fresh(&self) -> bool {
        std::mem::take(&mut self.lock().fresh)
    }

    /// Whether this unreadable document is to be reported: once.
    pub(crate) fn is_news(&self, sort: &[u8]) -> bool {
        let mut state = self.lock();
        state.reported.len() < KNOWN_LIMIT && state.reported.insert(sort.to_vec())
    }
}

fn place(shard: u32, key: &ObjectKey) -> Place {
    (shard, key.as_str().as_bytes().to_vec())
}

impl State {
    fn insert(&mut self, at: Place, known: Known, when: Timestamp) {
        self.remove(&at);
        self.due.insert((when, at.1.clone(), at.0));
        let seen = Seen {
            known,
            change: self.changes,
            at: when,
        };
        self.tasks.insert(at, seen);
        while self.tasks.len() > KNOWN_LIMIT
            && let Some((_, key, shard)) = self.due.pop_last()
        {
            self.tasks.remove(&(shard, key));
        }
    }

    fn remove(&mut self, at: &Place) {
        if let Some(seen) = self.tasks.remove(at) {
            self.due.remove(&(seen.at, at.1.clone(), at.0));
        }
    }
}
