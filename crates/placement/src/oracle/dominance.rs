//! Read choices that another write choice makes better, whatever the object: they are dropped without a loss.
//!
//! Let o be in W and o' not, o' no dearer to write to in any respect (storage, puts, a GB written from any region), nor to read
//! from in the regions that the read choice assigns to o. Then W with o' in the place of o costs no more. Where writing costs the
//! same in all respects, only a store of a smaller number takes the place: the sum of write prices and then the sum of numbers
//! falls with every such exchange, so that no chain of them comes back, and a read choice that is kept ends each.

use crate::model::Scenario;

/// For each store those that may take its place, with the regions for which they are as good to read from.
pub(super) struct Dominators {
    /// Words of 64 regions.
    words: usize,
    /// By store: where its dominators begin in `stores`, and one past the end.
    start: Vec<usize>,
    stores: Vec<u16>,
    /// `words` for each of `stores`.
    regions: Vec<u64>,
}

impl Dominators {
    /// The dominators among the scenario's stores. Where regions or vendors are required, only stores of the same region take
    /// each other's places; and everywhere only those whose region may be read from by the same regions.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let regions = scenario.regions.len();
        let words = regions.div_ceil(64).max(1);
        let mut dominators = Dominators {
            words,
            start: vec![0],
            stores: Vec::new(),
            regions: Vec::new(),
        };
        let count = scenario.stores.len();
        for store in 0..count {
            let mut found: Vec<(u32, u16, Vec<u64>)> = (0..count)
                .filter(|other| *other != store && may_replace(scenario, store, *other))
                .map(|other| {
                    let mask = as_good_to_read(scenario, store, other, words);
                    let good = mask.iter().map(|word| word.count_ones()).sum();
                    (good, other as u16, mask)
                })
                .collect();
            // Those that are as good in most regions are most often met first.
            found.sort_by_key(|(good, other, _)| (std::cmp::Reverse(*good), *other));
            for (_, other, mask) in found {
                dominators.stores.push(other);
                dominators.regions.extend(mask);
            }
            dominators.start.push(dominators.stores.len());
        }
        dominators
    }

    /// Words of 64 regions that masks have.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Whether another store takes the place of one of `set`, whose regions are `assigned`, [place][word].
    pub(super) fn apply(&self, set: &[u16], assigned: &[u64]) -> bool {
        set.iter()
            .zip(assigned.chunks_exact(self.words))
            .any(|(store, assigned)| {
                let range = self.start[*store as usize]..self.start[*store as usize + 1];
                range.into_iter().any(|at| {
                    let good = &self.regions[at * self.words..][..self.words];
                    assigned
                        .iter()
                        .zip(good)
                        .all(|(assigned, good)| assigned & !good == 0)
                        && !set.contains(&self.stores[at])
                })
            })
    }
}

/// Whether `other` is no dearer to write to than `store`, and may stand where it stands.
fn may_replace(scenario: &Scenario, store: usize, other: usize) -> bool {
    let (one, two) = (&scenario.stores[store], &scenario.stores[other]);
    if !two.allowed || (!scenario.groups.is_trivial() && one.region != two.region) {
        return false;
    }
    let mut same = one.storage == two.storage && one.put == two.put;
    let mut fine = two.storage <= one.storage && two.put <= one.put;
    for region in 0..scenario.regions.len() {
        let row = &scenario.ingress[region * scenario.stride..];
        fine &= row[other] <= row[store];
        same &= row[other] == row[store];
    }
    fine && (!same || other < store)
}

fn as_good_to_read(scenario: &Scenario, store: usize, other: usize, words: usize) -> Vec<u64> {
    let mut mask = vec![0; words];
    if scenario.stores[other].get > scenario.stores[store].get {
        return mask;
    }
    for region in 0..scenario.regions.len() {
        let row = &scenario.egress[region * scenario.stride..];
        if row[other] <= row[store] && scenario.is_admissible(region, other) {
            mask[region / 64] |= 1 << (region % 64);
        }
    }
    mask
}
