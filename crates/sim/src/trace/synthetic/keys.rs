//! Which key an event is of: keys written before are kept in the order of their last write, up to a bound.

use super::Synthetic;
use skyfresh_sky::{Distribution, Rng};
use std::collections::VecDeque;

/// Ranks of popularity are drawn evenly up to this.
const RANKS: u64 = 1 << 16;
/// Of the keys written about as long ago as asked for, this many compete by popularity.
const CANDIDATES: usize = 16;
/// How often a gap is drawn anew that reaches back beyond the trace's beginning.
const GAP_TRIES: usize = 8;
/// Not existing, in `Key::existing_at`.
const ABSENT: usize = usize::MAX;
/// Written once, in `Key::written`.
const ONCE: u64 = u64::MAX;
/// Not written yet, in `Key::written`.
const NEVER: u64 = u64::MAX - 1;
/// No key's last write any more, in `Write::slot`.
const PAST: u32 = u32::MAX;

struct Key {
    id: u64,
    /// Its place in `existing`, or [`ABSENT`].
    existing_at: usize,
    /// The serial number of its last write, or [`ONCE`] or [`NEVER`].
    written: u64,
    /// Relative to other keys.
    weight: f32,
}

/// 16 bytes: choosing a key looks at dozens of them.
struct Write {
    at_s: f64,
    /// Of the key, or [`PAST`].
    slot: u32,
    weight: f32,
}

pub(super) struct Keys {
    draws: Rng,
    gaps: Rng,
    gap_s: Distribution,
    new_key_share: f64,
    one_shot_share: f64,
    zipf_exponent: f64,
    limit: usize,
    slots: Vec<Key>,
    free: Vec<usize>,
    /// Slots of keys that exist.
    existing: Vec<usize>,
    /// Writes of keys that are written more than once, oldest first. Those that are past are dropped when they are a fifth
    /// of all.
    writes: VecDeque<Write>,
    /// Those that are some key's last.
    current_writes: usize,
    /// The serial number of the first of `writes`; the others count on from it.
    first_serial: u64,
    next_id: u64,
}

impl Keys {
    pub(super) fn new(config: &Synthetic, seed: u64) -> Self {
        Keys {
            draws: Rng::named(seed, "trace.keys"),
            gaps: Rng::named(seed, "trace.gaps"),
            gap_s: config.overwrite_gap_s.clone(),
            new_key_share: config.new_key_share(),
            one_shot_share: config.one_shot_share,
            zipf_exponent: config.zipf_exponent,
            limit: config.tracked_keys,
            slots: Vec::new(),
            free: Vec::new(),
            existing: Vec::new(),
            writes: VecDeque::new(),
            current_writes: 0,
            first_serial: 0,
            next_id: 0,
        }
    }

    /// The key that a PUT at this time writes.
    pub(super) fn put(&mut self, now_s: f64) -> u64 {
        let new = self.draws.chance(self.new_key_share);
        let before = if new {
            None
        } else {
            self.written_before(now_s)
        };
        let slot = before.unwrap_or_else(|| self.create(new));
        self.note_write(slot, now_s);
        if self.slots[slot].existing_at == ABSENT {
            self.slots[slot].existing_at = self.existing.len();
            self.existing.push(slot);
        }
        self.slots[slot].id
    }

    /// A key that exists, evenly; it does not afterwards. `None` where none does.
    pub(super) fn delete(&mut self) -> Option<u64> {
        let place = self.draws.below(self.existing.len() as u64) as usize;
        let slot = *self.existing.get(place)?;
        self.leave_existing(slot);
        let id = self.slots[slot].id;
        if self.slots[slot].written == ONCE {
            self.free.push(slot);
        }
        Some(id)
    }

    /// What is kept, for the test of the bound.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.slots.len().max(self.writes.len() / 2)
    }

    fn leave_existing(&mut self, slot: usize) {
        let place = std::mem::replace(&mut self.slots[slot].existing_at, ABSENT);
        if place == ABSENT {
            return;
        }
        self.existing.swap_remove(place);
        if let Some(&moved) = self.existing.get(place) {
            self.slots[moved].existing_at = place;
        }
    }

    fn create(&mut self, may_be_one_shot: bool) -> usize {
        let one_shot = may_be_one_shot && self.draws.chance(self.one_shot_share);
        let rank = 1 + self.draws.below(RANKS);
        let key = Key {
            id: self.next_id,
            existing_at: ABSENT,
            written: if one_shot { ONCE } else { NEVER },
            weight: libm::pow(rank as f64, -self.zipf_exponent) as f32,
        };
        self.next_id += 1;
        if self.free.is_empty() && self.slots.len() >= self.limit {
            self.forget();
        }
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = key;
                slot
            }
            None => {
                self.slots.push(key);
                self.slots.len() - 1
            }
        }
    }

    /// Frees a slot: of the key written longest ago, or where all are written once, of any.
    fn forget(&mut self) {
        while let Some(write) = self.writes.pop_front() {
            self.first_serial += 1;
            if write.slot != PAST {
                self.current_writes -= 1;
                self.leave_existing(write.slot as usize);
                self.free.push(write.slot as usize);
                return;
            }
        }
        let place = self.draws.below(self.existing.len() as u64) as usize;
        if let Some(&slot) = self.existing.get(place) {
            self.leave_existing(slot);
            self.free.push(slot);
        }
    }

    fn note_write(&mut self, slot: usize, at_s: f64) {
        let serial = self.first_serial + self.writes.len() as u64;
        let key = &mut self.slots[slot];
        match key.written {
            ONCE => return,
            NEVER => self.current_writes += 1,
            written => self.writes[(written - self.first_serial) as usize].slot = PAST,
        }
        key.written = serial;
        self.writes.push_back(Write {
            at_s,
            // The bound of the number of keys is far below 2³².
            slot: slot as u32,
            weight: key.weight,
        });
        if self.writes.len() > self.current_writes + self.current_writes / 4 + CANDIDATES {
            self.writes.retain(|write| write.slot != PAST);
            for (serial, write) in (self.first_serial..).zip(&self.writes) {
                self.slots[write.slot as usize].written = serial;
            }
        }
    }

    /// A key last written about as long ago as a gap that is drawn; the more popular the more likely.
    fn written_before(&mut self, now_s: f64) -> Option<usize> {
        let oldest_s = self.writes.front()?.at_s;
        let wanted_s = (0..GAP_TRIES)
            .map(|_| now_s - self.gap_s.sample(&self.gaps).max(0.0))
            .find(|at_s| *at_s >= oldest_s)?;
        let middle = self.writes.partition_point(|write| write.at_s < wanted_s);
        let current = |write: &&Write| write.slot != PAST;
        let after = self.writes.range(middle..).filter(current);
        let before = self.writes.range(..middle).rev().filter(current);
        let nearest = before
            .take(CANDIDATES / 2)
            .chain(after.take(CANDIDATES / 2));
        let mut candidates = [(0, 0.0); CANDIDATES];
        let mut total = 0.0;
        let mut count = 0;
        for (candidate, write) in candidates.iter_mut().zip(nearest) {
            *candidate = (write.slot as usize, write.weight);
            total += write.weight;
            count += 1;
        }
        let mut left = self.draws.unit() as f32 * total;
        let chosen = candidates[..count].iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a rest behind the last.
        let chosen = chosen.or(candidates[..count].last());
        chosen.map(|(slot, _)| *slot)
    }
}
