//! What a process knows of one pool, and which parts it hands out: pure.

use super::bodies::{Block, Group, Head, group_of};
use crate::logic::parts::slowest;
use crate::model::{PartClaim, PartDone};
use crate::rows::{Hold, Holders};
use crate::shared::Stamp;
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A process that finds no free parts takes half of another's, if so many are left there: the holder has fewer than that in
/// flight, and hands out from the front.
const SPLIT_PARTS: usize = 16;

/// The holder looks at the pool's document again after handing out so many parts, so that it learns of such a split before it
/// comes to what was taken.
pub(crate) const PARTS_A_LOOK: usize = SPLIT_PARTS / 2;

/// One pool.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    pub(crate) stamp: Stamp,
    /// What is done by group, with the group's stamp; group 0 has the head's.
    pub(crate) groups: BTreeMap<u32, (Option<Stamp>, Group)>,
    pub(crate) done: BTreeSet<u32>,
    /// Somebody completed the pool.
    pub(crate) completed: bool,
    /// Parts handed out here or given back, and not done.
    holds: BTreeMap<u32, Holders>,
    /// All parts before this one are done.
    done_before: u32,
    /// All own parts before this one are done, handed out, or given back.
    touched_before: u32,
    /// Parts handed out since the last look at the head.
    pub(crate) given: usize,
    /// Results that wait for their turn to be written.
    pub(crate) waiting: BTreeMap<u32, PartDone>,
}

/// Who asks for parts.
pub(crate) struct Wanted<'a> {
    pub(crate) worker: &'a str,
    pub(crate) limit: usize,
    pub(crate) lease: Duration,
    pub(crate) now: Timestamp,
}

impl State {
    pub(crate) fn new(head: Head, stamp: Stamp) -> Self {
        State {
            head,
            stamp,
            groups: BTreeMap::new(),
            done: BTreeSet::new(),
            completed: false,
            holds: BTreeMap::new(),
            done_before: 1,
            touched_before: 1,
            given: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// The head as it was read or written.
    pub(crate) fn set_head(&mut self, head: Head, group: Group, stamp: Stamp) {
        self.take_head(head, stamp);
        self.set_group(0, group, None);
    }

    /// The head as it was written, its group being known.
    pub(crate) fn take_head(&mut self, head: Head, stamp: Stamp) {
        if head.blocks != self.head.blocks {
            self.touched_before = 1;
        }
        self.head = head;
        self.stamp = stamp;
    }

    /// A group as it was read or written.
    pub(crate) fn set_group(&mut self, number: u32, group: Group, stamp: Option<Stamp>) {
        self.completed |= group.completed_by.is_some();
        for part in group.parts.keys() {
            self.done.insert(*part);
            self.holds.remove(part);
        }
        while self.done.contains(&self.done_before) {
            self.done_before += 1;
        }
        self.groups.insert(number, (stamp, group));
    }

    pub(crate) fn is_all_done(&self) -> bool {
        self.done.len() as u64 >= u64::from(self.head.total)
    }

    fn own(&self, holder: u64) -> impl Iterator<Item = &Block> {
        self.head
            .blocks
            .iter()
            .filter(move |block| block.holder == holder)
    }

    fn undone(&self, from: u32, to: u32) -> impl DoubleEndedIterator<Item = u32> {
        (from.max(self.done_before)..=to).filter(|part| !self.done.contains(part))
    }

    /// Whether every own block is good until `until`.
    pub(crate) fn is_secure(&self, holder: u64, until: Timestamp) -> bool {
        self.own(holder)
            .all(|block| block.expires_ms >= until.unix_ms())
    }

    /// Parts to copy of the own blocks: those given back, or whose holders' leases have run out, then those never handed out.
    pub(crate) fn give(&mut self, holder: u64, wanted: &Wanted<'_>) -> Vec<PartClaim> {
        self.forget_dead(wanted.now);
        let mut parts: Vec<u32> = self
            .own(holder)
            .flat_map(|block| self.holds.range(block.from..=block.to))
            .filter(|(_, holders)| holders.0.is_empty())
            .map(|(part, _)| *part)
            .take(wanted.limit)
            .collect();
        let left = wanted.limit - parts.len();
        let never_held = self
            .own(holder)
            .flat_map(|block| self.undone(block.from.max(self.touched_before), block.to))
            .filter(|part| !self.holds.contains_key(part) && !self.waiting.contains_key(part));
        let never_held: Vec<_> = never_held.take(left).collect();
        // A result that waits may yet fail to be written; its part is then to be found again.
        if self.waiting.is_empty()
            && let Some(last) = never_held.last()
        {
            self.touched_before = last + 1;
        }
        parts.extend(never_held);
        self.given += parts.len();
        parts
            .into_iter()
            .map(|number| self.hold(number, wanted, false))
            .collect()
    }

    /// When there is nothing else: the slowest part in the hands of another worker here.
    pub(crate) fn duplicate(
        &mut self,
        wanted: &Wanted<'_>,
        duplicate_after: Duration,
    ) -> Option<PartClaim> {
        self.forget_dead(wanted.now);
        let held = self.holds.iter().map(|(part, holders)| (*part, holders));
        let old = wanted.now.before(duplicate_after);
        let (number, _) = slowest(held, wanted.worker, old)?;
        Some(self.hold(number, wanted, true))
    }

    fn hold(&mut self, number: u32, wanted: &Wanted<'_>, duplicate: bool) -> PartClaim {
        self.holds.entry(number).or_default().0.push(Hold {
            worker: wanted.worker.to_owned(),
            claimed_ms: wanted.now.unix_ms(),
            expires_ms: wanted.now.after(wanted.lease).unix_ms(),
        });
        PartClaim { number, duplicate }
    }

    fn forget_dead(&mut self, now: Timestamp) {
        for holders in self.holds.values_mut() {
            holders.0.retain(|hold| hold.expires_ms > now.unix_ms());
        }
    }

    pub(crate) fn release(&mut self, worker: &str, number: u32) {
        if let Some(holders) = self.holds.get_mut(&number) {
            holders.0.retain(|hold| hold.worker != worker);
        }
    }

    /// The head with the own blocks renewed.
    pub(crate) fn renewed(&self, holder: u64, expires: Timestamp) -> Head {
        let mut head = self.head.clone();
        for block in &mut head.blocks {
            if block.holder == holder {
                block.expires_ms = expires.unix_ms();
            }
        }
        head
    }

    /// The head once this process has got parts: free ones, or else another's whose lease has run out, or else half of
    /// another's. `None`: there are none to be had.
    pub(crate) fn acquired(&self, holder: u64, now: Timestamp, expires: Timestamp) -> Option<Head> {
        let mut head = self.renewed(holder, expires);
        let own = |from, to| Block {
            holder,
            from,
            to,
            expires_ms: expires.unix_ms(),
        };
        // Free parts: before, between and behind the blocks.
        let mut from = 1;
        let ends = head.blocks.iter().map(|block| (block.from, block.to));
        let ends: Vec<_> = ends.chain([(head.total + 1, head.total + 1)]).collect();
        for (index, (next, last)) in ends.into_iter().enumerate() {
            if from < next && self.undone(from, next - 1).next().is_some() {
                head.blocks.insert(index, own(from, next - 1));
                return Some(head);
            }
            from = last + 1;
        }
        let left = |block: &Block| self.undone(block.from, block.to).count();
        let others = || {
            let blocks = head.blocks.iter().enumerate();
            blocks.filter(|(_, block)| block.holder != holder)
        };
        let expired = others()
            .find(|(_, block)| block.expires_ms <= now.unix_ms() && left(block) > 0)
            .map(|(index, _)| index);
        if let Some(index) = expired {
            let block = &head.blocks[index];
            head.blocks[index] = own(block.from, block.to);
            return Some(head);
        }
        let (index, most) = others()
            .map(|(index, block)| (index, left(block)))
            .max_by_key(|(_, left)| *left)?;
        if most < SPLIT_PARTS {
            return None;
        }
        let block = head.blocks[index].clone();
        let middle = self.undone(block.from, block.to).rev().nth(most / 2 - 1)?;
        head.blocks[index].to = middle - 1;
        head.blocks.insert(index + 1, own(middle, block.to));
        Some(head)
    }

    /// Whether others hold blocks, and what no other holds is done but for a few parts: then the rest may be done too. A few,
    /// because another that held a part before may have finished it late.
    pub(crate) fn depends_on_others(&self, holder: u64) -> bool {
        let (mut from, mut left) = (1, 0);
        let mut others = self.head.blocks.iter().filter(|b| b.holder != holder);
        let mut is_shared = false;
        loop {
            let block = others.next();
            let to = block.map_or(self.head.total, |block| block.from - 1);
            left += self.undone(from, to).take(SPLIT_PARTS + 1).count();
            match block {
                Some(block) => (from, is_shared) = (block.to + 1, true),
                None => return is_shared && left <= SPLIT_PARTS,
            }
        }
    }

    /// Whether a holder's lease has run out: what it held may be done, by itself or through another process.
    pub(crate) fn has_dead_holders(&self, now: Timestamp) -> bool {
        let mut holds = self.holds.values().flat_map(|holders| &holders.0);
        holds.any(|hold| hold.expires_ms <= now.unix_ms())
    }

    /// The first group in which something is not known to be done.
    pub(crate) fn first_open_group(&self) -> u32 {
        self.undone(1, self.head.total).next().map_or(0, group_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn state(total: u32, blocks: &[(u64, u32, u32)]) -> State {
        let blocks = blocks.iter().map(|&(holder, from, to)| Block {
            holder,
            from,
            to,
            expires_ms: 100,
        });
        let head = Head {
            total,
            blocks: blocks.collect(),
        };
        State::new(head, Stamp("s".to_owned()))
    }

    fn blocks(head: Option<Head>) -> Vec<(u64, u32, u32)> {
        let blocks = head.into_iter().flat_map(|head| head.blocks);
        blocks
            .map(|block| (block.holder, block.from, block.to))
            .collect()
    }

    fn done(state: &mut State, parts: impl Iterator<Item = u32>) {
        let mut group = Group::default();
        for number in parts {
            let part = PartDone {
                number,
                etag: String::new(),
                size: 1,
                crc64: None,
                crc32c: None,
            };
            group.parts.insert(number, part);
        }
        state.set_group(0, group, None);
    }

    #[test]
    fn free_parts_come_first_then_the_dead_s_then_half_of_another_s() {
        let acquired = |state: &State, now| blocks(state.acquired(9, at(now), at(300)));
        assert_eq!(acquired(&state(40, &[]), 50), [(9, 1, 40)]);
        let gap = state(40, &[(1, 1, 5), (2, 20, 40)]);
        assert_eq!(acquired(&gap, 200), [(1, 1, 5), (9, 6, 19), (2, 20, 40)]);

        let full = state(40, &[(1, 1, 10), (2, 11, 40)]);
        assert_eq!(acquired(&full, 100), [(9, 1, 10), (2, 11, 40)]);
        assert_eq!(acquired(&full, 99), [(1, 1, 10), (2, 11, 25), (9, 26, 40)]);

        // Of what is left, not of what was.
        let mut late = state(40, &[(1, 1, 10), (2, 11, 40)]);
        done(&mut late, 11..=24);
        assert_eq!(acquired(&late, 99), [(1, 1, 10), (2, 11, 32), (9, 33, 40)]);
        done(&mut late, 11..=25);
        assert_eq!(acquired(&late, 99), [], "too few to be worth it");
        done(&mut late, 1..=40);
        assert_eq!(acquired(&late, 200), [], "nothing left");
    }

    #[test]
    fn others_matter_only_near_the_end() {
        let mut mixed = state(60, &[(1, 1, 20), (2, 21, 40)]);
        assert!(!state(60, &[(1, 1, 60)]).depends_on_others(1), "alone");
        assert!(!mixed.depends_on_others(1), "40 parts are free or own");
        done(&mut mixed, (1..=20).chain(41..=44));
        assert!(mixed.depends_on_others(1));
        assert!(mixed.depends_on_others(3), "16 parts are free");
    }
}
