//! Trees that begin at one node keep step with each other.
//!
//! In: each tree's share of the bytes, what its hops have sent and what the next nodes have taken. Out: which hop may send now. Never:
//! holds anybody for a tree that has nothing to send, or that has not moved for a while.
//!
//! A plan's time holds if every tree gets at a full port what the plan gives it. Left alone, a port is shared by connections: those of
//! small trees take more than their due, so that large trees' ways stand idle at first and are the last to end. Here nobody gets ahead
//! of the slowest by more than what is under way anyhow. That costs nothing: shares are fixed, so a job ends with its slowest tree.

use super::lock;
use skyfresh_sky::Clock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// How far anybody may be ahead, in what is under way anyhow. Taking is heard of a round trip late: at 1 trees wait for news of others that
/// are as far as themselves, and plans for six destinations took up to 13 % longer than expected; 2, 3 and 5 are alike (`cargo xtask eval
/// overlay --part achieved`).
const LEAD: f64 = 3.0;

/// All trees that begin at a node.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// By group and which of its trees' hops from here: trees over the same regions take whatever chunk is next, so they are one here;
    /// of a tree's several hops each has its own chunks, as destinations may lack different ones.
    groups: Mutex<BTreeMap<(u32, u16), Group>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Group {
    /// Of all its hops.
    stripes: u64,
    /// Bytes that its hops' connections can have under way together.
    width_bytes: u64,
    hops: u32,
    sent: u64,
    taken: u64,
    /// Chunks that wait to be sent.
    waiting: u64,
    moved_ns: u64,
}

impl Group {
    /// How far it is, as bytes of the whole that its share of bytes stands for.
    fn whole(&self, bytes: u64, all_stripes: u64) -> f64 {
        bytes as f64 * all_stripes as f64 / self.stripes.max(1) as f64
    }

    /// Another number of stripes, at which it is as far as it was.
    fn restripe(&mut self, stripes: u64) {
        let scaled = |bytes: u64| {
            let scaled = u128::from(bytes) * u128::from(stripes) / u128::from(self.stripes.max(1));
            scaled as u64
        };
        (self.sent, self.taken) = (scaled(self.sent), scaled(self.taken));
        self.stripes = stripes;
    }
}

/// One hop's place among them. Dropped, it leaves.
#[derive(Debug)]
pub(crate) struct Step {
    steps: Arc<Steps>,
    clock: Arc<dyn Clock>,
    /// Whoever has taken nothing for so long is waited for no longer.
    patience: Duration,
    group: (u32, u16),
    stripes: u32,
    width_bytes: u64,
    chunk_bytes: u64,
    /// Of this hop: chunks that wait, bytes that are under way. They leave with it.
    waiting: AtomicU64,
    under_way: AtomicU64,
}

impl Steps {
    /// A hop of a tree with `stripes` of the job's, whose connections carry `width_bytes` at once. `patience`: with how long it takes until
    /// a link is known to be cut, nobody waits for it longer than that.
    pub(crate) fn join(
        self: &Arc<Self>,
        clock: &Arc<dyn Clock>,
        patience: Duration,
        (group, stripes): ((u32, u16), u32),
        (width_bytes, chunk_bytes): (u64, u64),
    ) -> Step {
        let mut groups = lock(&self.groups);
        // Whoever comes later begins where the others are.
        let all: u64 = groups.values().map(|group| group.stripes).sum();
        let behind = groups
            .values()
            .map(|group| group.whole(group.taken, all) / all.max(1) as f64)
            .reduce(f64::min);
        let is_new = !groups.contains_key(&group);
        let entry = groups.entry(group).or_default();
        entry.restripe(entry.stripes + u64::from(stripes));
        entry.width_bytes += width_bytes;
        entry.hops += 1;
        if is_new && let Some(behind) = behind {
            entry.taken = (behind * f64::from(stripes)) as u64;
            entry.sent = entry.taken;
        }
        entry.moved_ns = clock.monotonic_ns();
        Step {
            steps: Arc::clone(self),
            clock: Arc::clone(clock),
            patience,
            group,
            stripes,
            width_bytes,
            chunk_bytes,
            waiting: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
        }
    }
}

/// Takes away, and not below nothing.
fn less(from: &AtomicU64, by: u64) -> u64 {
    let less = |value: u64| Some(value.saturating_sub(by));
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .unwrap_or(0)
}

impl Step {
    fn change(&self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = lock(&self.steps.groups).get_mut(&self.group) {
            change(group);
        }
        self.steps.changed.notify_waiters();
    }

    /// A chunk waits to be sent.
    pub(crate) fn waits(&self) {
        let now_ns = self.clock.monotonic_ns();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.change(|group| {
            // Nobody waited for it while it had nothing.
            if group.waiting == 0 {
                group.moved_ns = now_ns;
            }
            group.waiting += 1;
        });
    }

    /// A chunk that waited is being sent.
    pub(crate) fn sends(&self, bytes: u64) {
        less(&self.waiting, 1);
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
        self.change(|group| {
            group.waiting = group.waiting.saturating_sub(1);
            group.sent += bytes;
        });
    }

    /// What was being sent waits again.
    pub(crate) fn sends_again(&self, bytes: u64) {
        self.fails(bytes);
        self.waits();
    }

    /// What was being sent is given up.
    pub(crate) fn fails(&self, bytes: u64) {
        less(&self.under_way, bytes);
        self.change(|group| group.sent = group.sent.saturating_sub(bytes));
    }

    /// The next node has taken a chunk.
    pub(crate) fn taken(&self, bytes: u64) {
        let now_ns = self.clock.monotonic_ns();
        less(&self.under_way, bytes);
        self.change(|group| {
            group.taken += bytes;
            group.moved_ns = now_ns;
        });
    }

    fn is_on(&self) -> bool {
        let now_ns = self.clock.monotonic_ns();
        let groups = lock(&self.steps.groups);
        if groups.len() < 2 {
            return true;
        }
        let Some(own) = groups.get(&self.group) else {
            return true;
        };
        let all: u64 = groups.values().map(|group| group.stripes).sum();
        // What is under way anyhow, and one chunk of whoever has the smallest share.
        let under_way: u64 = groups.values().map(|group| group.width_bytes).sum();
        let one = groups
            .values()
            .map(|group| group.whole(self.chunk_bytes, all))
            .fold(0.0, f64::max);
        let slowest = groups
            .iter()
            .filter(|(id, group)| {
                **id != self.group
                    && group.waiting > 0
                    && Duration::from_nanos(now_ns.saturating_sub(group.moved_ns)) < self.patience
            })
            .map(|(_, group)| group.whole(group.taken, all))
            .reduce(f64::min);
        let ahead = LEAD * (under_way as f64 + one);
        slowest.is_none_or(|slowest| own.whole(own.sent, all) <= slowest + ahead)
    }

    /// Waits until this hop may send its next chunk, and never so long that its chunks would be given up as stalled.
    pub(crate) async fn turn(&self) {
        let began_ns = self.clock.monotonic_ns();
        let waited = || Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(began_ns));
        while waited() < 2 * self.patience {
            let mut changed = std::pin::pin!(self.steps.changed.notified());
            changed.as_mut().enable();
            if self.is_on() {
                return;
            }
            // Being stuck is a matter of time alone.
            let limit = self.patience / 4;
            let _ = skyfresh_sky::timeout(&*self.clock, limit, changed).await;
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let steps = Arc::clone(&self.steps);
        let mut groups = lock(&steps.groups);
        if let Some(group) = groups.get_mut(&self.group) {
            let under_way = *self.under_way.get_mut();
            group.sent = group.sent.saturating_sub(under_way);
            group.waiting = group.waiting.saturating_sub(*self.waiting.get_mut());
            group.restripe(group.stripes.saturating_sub(self.stripes.into()));
            group.width_bytes = group.width_bytes.saturating_sub(self.width_bytes);
            group.hops = group.hops.saturating_sub(1);
            if group.hops == 0 {
                groups.remove(&self.group);
            }
        }
        drop(groups);
        steps.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_sky::{ManualClock, Timestamp};

    const CHUNK: u64 = 100;

    fn at(steps: &Arc<Steps>, clock: &Arc<ManualClock>, group: u32, stripes: u32) -> Step {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        let patience = Duration::from_secs(1);
        steps.join(&clock, patience, ((group, 0), stripes), (2 * CHUNK, CHUNK))
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_unix_ms(0)))
    }

    /// Sends and has taken at once as much as it may, at most so many chunks; how many.
    fn send(step: &Step, most: usize) -> usize {
        (0..most)
            .take_while(|_| {
                let on = step.is_on();
                if on {
                    step.sends(CHUNK);
                    step.taken(CHUNK);
                }
                on
            })
            .count()
    }

    #[test]
    fn nobody_runs_away_from_whoever_has_something_to_send() {
        let (steps, clock) = (Arc::default(), clock());
        let (small, large) = (at(&steps, &clock, 0, 1), at(&steps, &clock, 1, 3));
        (0..1_000).for_each(|_| small.waits());
        (0..1_000).for_each(|_| large.waits());
        // Bytes of the whole: 400 under way, 400 for the small one's chunk, three times.
        assert_eq!(send(&small, 1_000), 7);
        assert_eq!(send(&large, 1_000), 3 * (7 + 6) + 1);
        assert!(send(&small, 1_000) > 0, "the other has moved on");
    }

    #[test]
    fn nobody_waits_for_one_that_has_nothing_is_stuck_or_has_left() {
        let (steps, clock) = (Arc::default(), clock());
        let (one, other) = (at(&steps, &clock, 0, 1), at(&steps, &clock, 1, 1));
        (0..1_000).for_each(|_| one.waits());
        assert_eq!(send(&one, 100), 100, "the other has nothing");
        other.waits();
        assert_eq!(send(&one, 100), 0);
        clock.advance(Duration::from_millis(1_001));
        assert_eq!(send(&one, 100), 100, "the other is stuck");
        other.taken(CHUNK);
        assert_eq!(send(&one, 100), 0);
        drop(other);
        assert_eq!(send(&one, 100), 100);
        // Whoever comes later has nothing to make up for.
        let later = at(&steps, &clock, 2, 1);
        later.waits();
        assert!(send(&one, 100) > 0);
    }

    #[test]
    fn a_hop_that_comes_or_goes_leaves_its_group_as_far_as_it_was() {
        let (steps, clock) = (Arc::default(), clock());
        let (one, other) = (at(&steps, &clock, 0, 1), at(&steps, &clock, 1, 1));
        (0..1_000).for_each(|_| one.waits());
        (0..1_000).for_each(|_| other.waits());
        for _ in 0..20 {
            send(&one, 5);
            send(&other, 5);
        }
        let far = |step: &Step| {
            let groups = lock(&steps.groups);
            let all = groups.values().map(|group| group.stripes).sum();
            let group = &groups[&step.group];
            group.whole(group.taken, all) / all as f64
        };
        let before = far(&one);
        let mate = at(&steps, &clock, 0, 3);
        assert!((far(&one) - before).abs() < 1.0, "{} {before}", far(&one));
        // What it had waiting and under way leaves with it.
        (0..10).for_each(|_| mate.waits());
        mate.sends(CHUNK);
        drop(mate);
        assert!((far(&one) - before).abs() < 1.0, "{} {before}", far(&one));
        let groups = lock(&steps.groups);
        let group = &groups[&(0, 0)];
        assert_eq!(group.waiting, 1_000 - group.taken / CHUNK);
        assert!(group.sent <= group.taken);
    }

    #[test]
    fn hops_of_one_group_are_one() {
        let (steps, clock) = (Arc::default(), clock());
        let (one, mate) = (at(&steps, &clock, 0, 1), at(&steps, &clock, 0, 1));
        mate.waits();
        (0..1_000).for_each(|_| one.waits());
        assert_eq!(send(&one, 100), 100, "whichever is ready takes the next");
    }

    proptest! {
        /// Whatever a port does, all that have something to send are equally far, to within the lead.
        #[test]
        fn a_port_is_shared_as_the_plan_says(
            stripes in prop::collection::vec(1u32..20, 2..6),
            turns in prop::collection::vec(0usize..6, 200..1_000),
        ) {
            let (steps, clock) = (Arc::default(), clock());
            let all: Vec<Step> = stripes.iter().enumerate()
                .map(|(group, stripes)| at(&steps, &clock, group as u32, *stripes)).collect();
            for step in &all {
                (0..10_000).for_each(|_| step.waits());
            }
            let mut sent = vec![0u64; all.len()];
            for turn in turns {
                let turn = turn % all.len();
                sent[turn] += send(&all[turn], 1) as u64 * CHUNK;
            }
            let sum: f64 = stripes.iter().map(|stripes| f64::from(*stripes)).sum();
            let whole: Vec<f64> = sent.iter().zip(&stripes)
                .map(|(sent, stripes)| *sent as f64 * sum / f64::from(*stripes)).collect();
            let one = CHUNK as f64 * sum / f64::from(*stripes.iter().min().unwrap());
            let lead = LEAD * ((2 * CHUNK) as f64 * all.len() as f64 + one) + one;
            let most = whole.iter().copied().fold(0.0, f64::max);
            let least = whole.iter().copied().fold(f64::MAX, f64::min);
            prop_assert!(most - least <= lead + 1e-6, "{whole:?}");
        }
    }
}
