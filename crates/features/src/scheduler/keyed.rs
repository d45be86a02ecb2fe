//! The scheduler: one table, one heap, one list, whatever the policy.

use super::guard::{DelayWatch, Shadow};
use super::median::RecentMedian;
use super::state::{Ending, Held};
use super::waiting::WaitingList;
use super::{
    Feedback, IndexedHeap, Key, KeyState, Lease, Options, Phase, Policy, PolicyName, Scheduler,
    Stats,
};
use skyfresh_sky::Rng;
use std::collections::{HashMap, VecDeque};

/// How far the running scale of decayed errors may grow before all are scaled back: `exp(200)` leaves a double 480 powers of e on
/// either side.
const LARGEST_EXPONENT: f64 = 200.0;

/// A [`Scheduler`] by any [`Policy`]. An event costs a heap operation; memory is about 150 bytes a key, nothing on the heap.
#[derive(Debug)]
pub struct KeyScheduler {
    policy: Box<dyn Policy>,
    options: Options,
    keys: Vec<KeyState>,
    /// Pending keys by priority.
    order: IndexedHeap,
    /// Pending keys by when they became pending.
    waiting: WaitingList,
    held: HashMap<Key, Held>,
    endings: VecDeque<Ending>,
    /// Decayed errors are kept as they would be at this time.
    scale_origin: f64,
    /// Selections owed to the reserve.
    reserve_credit: f64,
    median: RecentMedian,
    delay: DelayWatch,
    shadow: Option<Shadow>,
    stats: Stats,
}

impl KeyScheduler {
    /// A scheduler without keys.
    pub fn new(policy: Box<dyn Policy>, options: Options) -> Self {
        KeyScheduler {
            policy,
            options,
            keys: Vec::new(),
            order: IndexedHeap::default(),
            waiting: WaitingList::default(),
            held: HashMap::new(),
            endings: VecDeque::new(),
            scale_origin: 0.0,
            reserve_credit: 0.0,
            median: RecentMedian::default(),
            delay: DelayWatch::new(options.delay_fallback),
            shadow: options.shadow_guard.map(Shadow::new),
            stats: Stats::default(),
        }
    }

    /// By a built-in policy, with its default options.
    pub fn by(name: PolicyName, rng: &Rng) -> Self {
        let options = name.default_options();
        Self::new(name.policy(&options, rng), options)
    }

    /// Every key that is known, in order.
    pub fn keys(&self) -> &[KeyState] {
        &self.keys
    }

    /// Errors that wait for an update of their key, as they count now. Looks at every key.
    pub fn regret(&self, now: f64) -> f64 {
        let sum: f64 = self.keys.iter().map(|key| key.errors).sum();
        sum / self.scale_at(now)
    }

    /// Puts back what is known of a key that has a feature already, after a restart.
    pub fn restore(&mut self, key: Key, version: u32, updated_at: f64, feature_records: u64) {
        let state = self.known(key);
        state.version = version;
        state.updated_at = Some(updated_at);
        state.shadow_at = updated_at;
        state.feature_records = feature_records;
        self.reorder(key);
    }

    /// Bytes of memory that tables of keys hold, leases left out.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<KeyState>()
            + self.order.bytes()
            + self.waiting.bytes()
            + self.shadow.as_ref().map_or(0, Shadow::bytes)
    }

    fn known(&mut self, key: Key) -> &mut KeyState {
        if self.keys.len() <= key as usize {
            self.keys.resize(key as usize + 1, KeyState::NEW);
        }
        &mut self.keys[key as usize]
    }

    fn scale_at(&self, time: f64) -> f64 {
        match self.options.decay_time {
            None => 1.0,
            Some(decay_time) => ((time - self.scale_origin) / decay_time).exp(),
        }
    }

    /// Keeps the running scale of decayed errors within what a double can hold. Takes time for every key, once in
    /// [`LARGEST_EXPONENT`] decay times.
    fn rescale(&mut self, now: f64) {
        let Some(decay_time) = self.options.decay_time else {
            return;
        };
        let exponent = (now - self.scale_origin) / decay_time;
        if exponent <= LARGEST_EXPONENT {
            return;
        }
        let factor = (-exponent).exp();
        self.scale_origin = now;
        self.keys.iter_mut().for_each(|key| key.errors *= factor);
        self.held
            .values_mut()
            .for_each(|held| held.errors *= factor);
        self.order.scale(factor);
    }

    /// Gives a pending key its present priority.
    fn reorder(&mut self, key: Key) {
        let state = self.keys[key as usize];
        if state.phase != Phase::Pending {
            return;
        }
        let (origin, decay_time) = (self.scale_origin, self.options.decay_time);
        let scale_at = move |time: f64| match decay_time {
            None => 1.0,
            Some(decay_time) => ((time - origin) / decay_time).exp(),
        };
        let priority = self.policy.priority(&state, &scale_at);
        self.order.set(key, priority);
    }

    fn make_pending(&mut self, key: Key) {
        self.keys[key as usize].phase = Phase::Pending;
        self.waiting.push(key);
        self.reorder(key);
    }

    /// An error, no larger than R_max.
    fn capped(&mut self, error: f64) -> f64 {
        let error = if error > 0.0 { error } else { 0.0 };
        let Some(medians) = self.options.cap_medians else {
            return error;
        };
        self.median.add(error);
        match self.median.get() {
            Some(median) if median > 0.0 => error.min(medians * median),
            _ => error.min(f64::MAX.sqrt()),
        }
    }

    /// Whether the next selection goes to the key that has waited longest.
    fn in_turn(&mut self) -> bool {
        let falls_back =
            self.delay.falls_back() || self.shadow.as_ref().is_some_and(Shadow::falls_back);
        if falls_back {
            return true;
        }
        self.reserve_credit += self.options.reserve;
        let owed = self.reserve_credit >= 1.0;
        if owed {
            self.reserve_credit -= 1.0;
        }
        owed
    }

    /// Whether this lease is the one that holds its key.
    fn holds(&self, lease: &Lease) -> bool {
        let held = self.held.get(&lease.key);
        held.is_some_and(|held| held.token == lease.token)
    }

    fn give_back(&mut self, key: Key) {
        if let Some(held) = self.held.remove(&key) {
            let state = &mut self.keys[key as usize];
            // What was reported meanwhile is in what was held, in full, and counts once.
            state.errors = held.errors;
            state.excess = held.excess;
            state.pending_records = state.pending_records.saturating_add(held.records);
            state.queries = state.queries.saturating_add(held.queries);
            self.make_pending(key);
        }
    }
}

impl Scheduler for KeyScheduler {
    fn data(&mut self, key: Key, records: u32, now: f64) {
        self.rescale(now);
        let state = self.known(key);
        state.pending_records = state.pending_records.saturating_add(records);
        let phase = state.phase;
        if let Some(shadow) = &mut self.shadow {
            shadow.data(key);
        }
        match phase {
            Phase::Idle => self.make_pending(key),
            Phase::Pending => self.reorder(key),
            Phase::Processing => {}
        }
    }

    fn query(&mut self, key: Key, now: f64) {
        self.rescale(now);
        self.stats.queries += 1;
        let state = self.known(key);
        state.queries = state.queries.saturating_add(1);
        self.reorder(key);
    }

    fn feedback(&mut self, key: Key, feedback: Feedback, now: f64) {
        self.rescale(now);
        self.stats.feedback += 1;
        self.delay.reported(now - feedback.queried_at);
        let error = self.capped(feedback.error);
        let scale = self.scale_at(now);
        let late_weight = self.options.late_weight;
        self.known(key);
        let state = &mut self.keys[key as usize];
        let late = feedback.version != state.version;
        let weight = if late { late_weight } else { 1.0 };
        if late {
            self.stats.late += 1;
        } else {
            if let Some(updated_at) = state.updated_at {
                state.slope.add(feedback.queried_at - updated_at, error);
            }
            if state.phase != Phase::Processing {
                state.add_excess(error, now);
            }
        }
        match state.phase {
            // The version that it speaks of is being replaced: late, unless the lease fails.
            Phase::Processing => {
                state.errors += late_weight * error * scale;
                if let Some(held) = self.held.get_mut(&key) {
                    held.errors += weight * error * scale;
                }
            }
            _ => state.errors += weight * error * scale,
        }
        let state = *state;
        if let Some(shadow) = self.shadow.as_mut().filter(|_| !late) {
            shadow.reported(&state, error, self.keys.len());
        }
        self.reorder(key);
    }

    fn select(&mut self, now: f64) -> Option<Lease> {
        self.expire(now);
        self.rescale(now);
        let oldest = self.waiting.first()?;
        let key = match self.in_turn() {
            true => {
                self.stats.selected_round_robin += 1;
                oldest
            }
            false => self.order.peek().map_or(oldest, |(key, _)| key),
        };
        self.order.remove(key);
        self.waiting.remove(key);
        if let Some(shadow) = &mut self.shadow
            && let Some(in_turn) = shadow.selected()
        {
            self.known(in_turn).shadow_at = now;
        }
        self.stats.selected += 1;
        let (token, until) = (self.stats.selected, now + self.options.lease_time);
        let state = &mut self.keys[key as usize];
        if let Some(updated_at) = state.updated_at {
            self.delay.selected(now - updated_at);
        }
        let held = Held {
            token,
            errors: state.errors,
            excess: state.excess,
            since: now,
            records: std::mem::take(&mut state.pending_records),
            queries: std::mem::take(&mut state.queries),
        };
        (state.errors, state.excess) = (0.0, 0.0);
        state.selected_order = token;
        state.phase = Phase::Processing;
        let lease = Lease {
            key,
            token,
            version: state.version.wrapping_add(1),
            records: held.records,
            since: now,
            until,
        };
        self.held.insert(key, held);
        self.endings.push_back(Ending { until, key, token });
        Some(lease)
    }

    fn complete(&mut self, lease: &Lease, now: f64) -> bool {
        self.expire(now);
        if !self.holds(lease) {
            return false;
        }
        let Some(held) = self.held.remove(&lease.key) else {
            return false;
        };
        let state = &mut self.keys[lease.key as usize];
        state.version = lease.version;
        state.updated_at = Some(held.since);
        state.feature_records += u64::from(held.records);
        state.clear_baseline();
        match state.pending_records {
            0 => state.phase = Phase::Idle,
            _ => self.make_pending(lease.key),
        }
        true
    }

    fn abandon(&mut self, lease: &Lease, now: f64) -> bool {
        self.rescale(now);
        let holds = self.holds(lease);
        if holds {
            self.give_back(lease.key);
        }
        holds
    }

    fn expire(&mut self, now: f64) -> usize {
        let mut expired = 0;
        while let Some(ending) = self.endings.front().copied() {
            let held = self.held.get(&ending.key);
            let open = held.is_some_and(|held| held.token == ending.token);
            if open && ending.until > now {
                break;
            }
            self.endings.pop_front();
            if open {
                self.give_back(ending.key);
                expired += 1;
            }
        }
        self.stats.expired += expired as u64;
        expired
    }

    fn key(&self, key: Key) -> Option<&KeyState> {
        self.keys.get(key as usize)
    }

    fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.pending = self.order.len() as u64;
        stats.processing = self.held.len() as u64;
        self.delay.tell(&mut stats);
        if let Some(shadow) = &self.shadow {
            shadow.tell(&mut stats);
        }
        stats
    }
}
