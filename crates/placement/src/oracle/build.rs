//! Goes through all write choices, or a shard of them, on many threads.

use super::dominance::Dominators;
use super::envelope::Envelope;
use super::reduce::{Candidate, Need, Sizes, judge};
use super::{Block, MAX_REPLICAS, MAX_STORES, MAX_WRITE_CHOICES, Oracle, Shard, choices};
use crate::model::Scenario;
use skyfresh_sky::{Invalid, Rng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Write choices that a thread takes at a time.
const CHUNK: u128 = 8192;
/// The same where each candidate is judged, which takes a thousand times as long.
const REDUCED_CHUNK: u128 = 8;
/// Seed of the numbers by which equal costs are recognised.
const HASH_SEED: u64 = 0x0c1e;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which part of the write choices.
    pub shard: Shard,
    /// Drop candidates that another makes better.
    pub filter: bool,
    /// Of what the filter leaves drop also candidates that others, together, make better: milliseconds for each.
    pub reduce: bool,
    /// Keep the candidates; otherwise they are only counted.
    pub keep: bool,
    /// Count how many have different prices, which takes 16 bytes of memory for each.
    pub count_distinct: bool,
    /// Threads, at least 1.
    pub threads: usize,
}

impl Default for Plan {
    /// All, filtered and kept, on one thread.
    fn default() -> Self {
        Plan {
            shard: Shard::WHOLE,
            filter: true,
            reduce: false,
            keep: true,
            count_distinct: false,
            threads: 1,
        }
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sets of stores that meet the requirements.
    pub write_choices: u64,
    /// Sets with the read choices of each, by interval of sizes.
    pub candidates: u64,
    /// Of these, those whose prices differ; 0 unless it was asked for. Prices are told apart by 128 bits of a universal hash.
    pub distinct: u64,
    /// Candidates that no other makes better by one exchange of stores.
    pub after_filter: u64,
    /// Of these, those that others, together, do not make better; 0 unless it was asked for.
    pub after_reduction: u64,
    /// Of these, those that are kept because neither was proven: that an object needs them, or that none does.
    pub unproven: u64,
}

/// Random multipliers: two price vectors of different numbers have the same product sum with probability 2⁻¹⁰⁰ or less.
struct Hashes {
    /// By store: storage, put, and what each region's GBs written cost.
    write: Vec<u128>,
    /// [region][store]: what a region's gets and GBs read cost; the last of a row: none admissible.
    read: Vec<u128>,
}

impl Hashes {
    fn new(scenario: &Scenario) -> Self {
        let rng = Rng::seeded(HASH_SEED);
        let odd = || u128::from(rng.u64()) << 64 | u128::from(rng.u64()) | 1;
        let times = |factor: u128, price: i64| factor.wrapping_mul(price as u128);
        let (storage, put) = (odd(), odd());
        let mut hashes = Hashes {
            write: scenario
                .stores
                .iter()
                .map(|store| times(storage, store.storage).wrapping_add(times(put, store.put)))
                .collect(),
            read: Vec::new(),
        };
        for region in 0..scenario.regions.len() {
            let (ingress, get, egress, none) = (odd(), odd(), odd(), odd());
            let row = region * scenario.stride;
            for (at, store) in scenario.stores.iter().enumerate() {
                let write = times(ingress, scenario.ingress[row + at]);
                hashes.write[at] = hashes.write[at].wrapping_add(write);
                let read =
                    times(get, store.get).wrapping_add(times(egress, scenario.egress[row + at]));
                hashes.read.push(read);
            }
            hashes.read.push(none);
        }
        hashes
    }
}

/// What one chunk of write choices gave.
#[derive(Default)]
struct Part {
    number: u64,
    counts: Counts,
    hashes: Vec<u128>,
    blocks: Vec<Block>,
}

/// One stretch of write choices: `replicas` stores each, from number `from`, so many.
type Stretch = (usize, u128, u128);

struct Builder<'a> {
    scenario: &'a Scenario,
    plan: Plan,
    /// Stores that may be chosen.
    allowed: Vec<u16>,
    dominators: Dominators,
    hashes: Option<Hashes>,
}

impl Oracle {
    /// Makes the candidates of a scenario, and counts them.
    ///
    /// # Errors
    /// More than 2⁴⁰ write choices, 65,536 stores or 254 replicas: the direct method needs none of it.
    pub fn build(scenario: &Scenario, plan: Plan) -> Result<(Oracle, Counts), Invalid> {
        let (least, most) = scenario.replicas;
        let allowed: Vec<u16> = (0..scenario.stores.len())
            .filter(|store| scenario.stores[*store].allowed)
            .map(|store| store as u16)
            .collect();
        let sets: Vec<(usize, u128)> = (least..=most)
            .map(|replicas| (replicas, choices::count(allowed.len(), replicas)))
            .collect();
        let total = sets
            .iter()
            .fold(0u128, |sum, (_, count)| sum.saturating_add(*count));
        if total > MAX_WRITE_CHOICES || scenario.stores.len() > MAX_STORES || most > MAX_REPLICAS {
            return Err(Invalid::new(
                "oracle",
                format!("{} stores, {least} to {most} replicas", allowed.len()),
                "too many sets of stores to go through: narrow --regions, --stores or --replicas, or use the direct method",
            ));
        }
        let Shard { index, of } = plan.shard;
        if index >= of {
            let given = format!("{}/{of}", u64::from(index) + 1);
            return Err(Invalid::new("shard", given, "expected i/n with 1 ≤ i ≤ n"));
        }
        let bound = |index: u32| total * u128::from(index) / u128::from(of);
        let chunk = if plan.reduce { REDUCED_CHUNK } else { CHUNK };
        let stretches = stretches(&sets, (bound(index), bound(index + 1)), chunk);
        let builder = Builder {
            scenario,
            plan,
            allowed,
            dominators: Dominators::new(scenario),
            hashes: plan.count_distinct.then(|| Hashes::new(scenario)),
        };
        let parts = builder.run(&stretches);
        let mut counts = Counts::default();
        let mut hashes: Vec<u128> = Vec::new();
        let mut blocks: Vec<Block> = (least..=most)
            .map(|replicas| Block {
                replicas,
                ..Block::default()
            })
            .collect();
        for part in parts {
            counts.write_choices += part.counts.write_choices;
            counts.candidates += part.counts.candidates;
            counts.after_filter += part.counts.after_filter;
            counts.after_reduction += part.counts.after_reduction;
            counts.unproven += part.counts.unproven;
            hashes.extend(part.hashes);
            for block in part.blocks {
                let whole = &mut blocks[block.replicas - least];
                whole.stores.extend(block.stores);
                whole.reads.extend(block.reads);
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        counts.distinct = hashes.len() as u64;
        let oracle = Oracle {
            scenario: scenario.clone(),
            shard: plan.shard,
            filtered: plan.filter || plan.reduce,
            reduced: plan.reduce,
            blocks,
        };
        Ok((oracle, counts))
    }
}

/// The chunks of the write choices numbered `from..to` through all numbers of replicas, of at most `chunk` each.
fn stretches(sets: &[(usize, u128)], (from, to): (u128, u128), chunk: u128) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut before = 0;
    for &(replicas, count) in sets {
        let mut at = from.clamp(before, before + count);
        let end = to.clamp(before, before + count);
        while at < end {
            let many = chunk.min(end - at);
            found.push((replicas, at - before, many));
            at += many;
        }
        before += count;
    }
    found
}

impl Builder<'_> {
    /// What all stretches give, in their order.
    fn run(&self, stretches: &[Stretch]) -> Vec<Part> {
        let next = AtomicU64::new(0);
        let done: Mutex<Vec<Part>> = Mutex::new(Vec::new());
        let work = || {
            let mut envelope = Envelope::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(stretch) = stretches.get(number as usize) else {
                    return;
                };
                let mut part = self.stretch(*stretch, &mut envelope);
                part.number = number;
                done.lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push(part);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.plan.threads {
                scope.spawn(work);
            }
            work();
        });
        let mut parts = done
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.sort_by_key(|part| part.number);
        parts
    }

    fn stretch(&self, (replicas, from, many): Stretch, envelope: &mut Envelope) -> Part {
        let mut part = Part::default();
        let mut block = Block {
            replicas,
            ..Block::default()
        };
        let mut places = choices::unrank(self.allowed.len(), replicas, from);
        let mut set = vec![0; replicas];
        for _ in 0..many {
            for (store, place) in set.iter_mut().zip(&places) {
                *store = self.allowed[*place as usize];
            }
            self.choice(&set, envelope, &mut part, &mut block);
            if !choices::advance(&mut places, self.allowed.len()) {
                break;
            }
        }
        part.blocks.push(block);
        part
    }

    /// One write choice.
    fn choice(&self, set: &[u16], envelope: &mut Envelope, part: &mut Part, block: &mut Block) {
        let scenario = self.scenario;
        if !scenario.groups.is_trivial() {
            let chosen: Vec<u32> = set.iter().map(|store| u32::from(*store)).collect();
            if scenario.missing(&chosen) > 0 {
                return;
            }
        }
        part.counts.write_choices += 1;
        envelope.fill(scenario, set);
        let words = self.dominators.words();
        let stride = scenario.stores.len() + 1;
        let hash_of = |region: usize, place: u8| {
            let store = set
                .get(place as usize)
                .map_or(stride - 1, |store| *store as usize);
            self.hashes
                .as_ref()
                .map_or(0, |hashes| hashes.read[region * stride + store])
        };
        let mut hash = self.hashes.as_ref().map_or(0, |hashes| {
            set.iter().fold(0u128, |sum, store| {
                sum.wrapping_add(hashes.write[*store as usize])
            })
        });
        // One more place, for regions that none is admissible to.
        let mut assigned = vec![0u64; (set.len() + 1) * words];
        for (region, place) in envelope.first.iter().enumerate() {
            assigned[*place as usize * words + region / 64] |= 1 << (region % 64);
            hash = hash.wrapping_add(hash_of(region, *place));
        }
        let (mut at, mut from) = (0, (0, 1));
        let mut rivals = Vec::new();
        loop {
            part.counts.candidates += 1;
            if self.hashes.is_some() {
                part.hashes.push(hash);
            }
            let next = envelope.switches.get(at).copied();
            let dropped = self.dominators.apply(set, &assigned);
            part.counts.after_filter += u64::from(!dropped);
            let mut kept = !(dropped && (self.plan.filter || self.plan.reduce));
            if kept && self.plan.reduce {
                let until = next.map(|switch| switch.size());
                let candidate = Candidate {
                    stores: set,
                    reads: &envelope.first,
                    sizes: Sizes { from, until },
                };
                let need = judge(scenario, &candidate, &mut rivals);
                kept = need != Need::Unneeded;
                part.counts.after_reduction += u64::from(kept);
                part.counts.unproven += u64::from(need == Need::Unknown);
            }
            if self.plan.keep && kept {
                block.stores.extend_from_slice(set);
                block.reads.extend_from_slice(&envelope.first);
            }
            let Some(switch) = next else {
                return;
            };
            from = switch.size();
            while let Some(other) = envelope
                .switches
                .get(at)
                .filter(|other| other.is_with(&switch))
            {
                let region = other.region as usize;
                let from = std::mem::replace(&mut envelope.first[region], other.to);
                let bit = 1 << (region % 64);
                assigned[from as usize * words + region / 64] &= !bit;
                assigned[other.to as usize * words + region / 64] |= bit;
                hash = hash
                    .wrapping_sub(hash_of(region, from))
                    .wrapping_add(hash_of(region, other.to));
                at += 1;
            }
        }
    }
}
