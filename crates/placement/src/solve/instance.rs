//! The object's costs in each store, as whole numbers that floating point holds exactly.

use crate::model::Scenario;
use crate::workload::Workload;

/// Sums of costs stay below this, so that every sum of them is exact (2⁵³ is the limit; one bit is left for differences).
const MAX_SUM: f64 = 4_503_599_627_370_496.0;
/// Adding and subtracting this rounds a number below 2⁵¹ to a whole one.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// What sums of scaled costs stay below, over the number of terms of one cost: floating point then errs by less than ⅛ in each.
const MAX_SCALED_SUM: f64 = 1_125_899_906_842_624.0;
/// A rounded cost is at most this far below the true one: 1 for the rounding, 1.5 for being surely below, ½ for floating point.
const ROUNDED_DOWN: f64 = 3.0;

/// To a whole number; exact below 2⁵¹.
pub(super) fn whole(value: f64) -> f64 {
    (value + ROUNDER) - ROUNDER
}

/// cost(W) = Σ_{o∈W} a_o + Σ_r min_{o∈W} b_{r,o} over columns o and rows r, in units that make all of them whole.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// The store of each column.
    pub(super) store: Vec<u32>,
    /// What keeping a copy costs, by column.
    pub(super) keep: Vec<f64>,
    /// What a region's reads cost, [row][column].
    pub(super) read: Vec<f64>,
    /// Rows: regions that read.
    pub(super) rows: usize,
    /// What takes the place of a read that is not admissible: more than any set without one costs.
    pub(super) forbidden: f64,
    /// No true cost of a set is further than this above the rounded one; 0 where nothing was rounded.
    pub(super) slack: f64,
    /// Least and greatest number of stores.
    pub(super) replicas: (usize, usize),
}

impl Instance {
    /// The costs of `workload` in every store that is allowed.
    pub(super) fn new(scenario: &Scenario, workload: &Workload) -> Self {
        let (stores, stride) = (&scenario.stores, scenario.stride);
        let store: Vec<u32> = (0..stores.len() as u32)
            .filter(|store| stores[*store as usize].allowed)
            .collect();
        let mut keep: Vec<f64> = store
            .iter()
            .map(|store| {
                let store = &stores[*store as usize];
                workload.size as f64 * store.storage as f64
                    + workload.puts as f64 * store.put as f64
            })
            .collect();
        for (region, gb) in &workload.ingress {
            let row = &scenario.ingress[region * stride..][..stride];
            let gb = *gb as f64;
            for (keep, store) in keep.iter_mut().zip(&store) {
                *keep += gb * row[*store as usize] as f64;
            }
        }
        let get: Vec<f64> = store
            .iter()
            .map(|store| stores[*store as usize].get as f64)
            .collect();
        let rows = workload.reads.len();
        let mut read = Vec::with_capacity(rows * store.len());
        let mut total = keep.iter().sum::<f64>();
        for (region, gets, gb) in &workload.reads {
            let row = &scenario.egress[region * stride..][..stride];
            let (gets, gb) = (*gets as f64, *gb as f64);
            let start = read.len();
            read.extend(
                store
                    .iter()
                    .zip(&get)
                    .map(|(store, get)| gets * get + gb * row[*store as usize] as f64),
            );
            total += read[start..]
                .iter()
                .fold(0.0, |most: f64, cost| most.max(*cost));
        }
        let mut instance = Instance {
            keep,
            read,
            rows,
            forbidden: 0.0,
            slack: 0.0,
            replicas: scenario.replicas,
            store,
        };
        instance.scale(
            total,
            workload.ingress.len() + 8,
            !scenario.admissible.is_empty(),
        );
        if !scenario.admissible.is_empty() {
            instance.forbid(scenario, workload);
        }
        instance
    }

    /// Where sums would pass what floating point holds exactly, costs are scaled by a power of 2 and rounded down.
    fn scale(&mut self, total: f64, terms: usize, forbids: bool) {
        // A set without an admissible read costs up to `forbidden` for each row.
        let parts = if forbids { self.rows as f64 + 2.0 } else { 1.0 };
        // Numbers that were rounded when they became floating point pass the limit as well: products of whole numbers that sum
        // to less are exact.
        if total * parts >= MAX_SUM {
            let exponent = (total * parts * terms as f64 / MAX_SCALED_SUM)
                .log2()
                .ceil();
            let factor = (-exponent).exp2();
            for cost in self.keep.iter_mut().chain(&mut self.read) {
                *cost = whole(*cost * factor - 1.5).max(0.0);
            }
            let largest_set = self.replicas.1.min(self.store.len());
            self.slack = ROUNDED_DOWN * (largest_set + self.rows) as f64;
            self.forbidden = whole(total * factor) + 1.0;
        } else {
            self.forbidden = total + 1.0;
        }
    }

    fn forbid(&mut self, scenario: &Scenario, workload: &Workload) {
        let columns = self.store.len();
        for (row, (region, ..)) in workload.reads.iter().enumerate() {
            for (column, store) in self.store.iter().enumerate() {
                if !scenario.is_admissible(*region, *store as usize) {
                    self.read[row * columns + column] = self.forbidden;
                }
            }
        }
    }

    /// One row of reads.
    pub(super) fn row(&self, row: usize) -> &[f64] {
        let columns = self.store.len();
        &self.read[row * columns..][..columns]
    }

    /// The cost of a set of columns.
    pub(super) fn cost(&self, set: &[usize]) -> f64 {
        let keep: f64 = set.iter().map(|column| self.keep[*column]).sum();
        (0..self.rows).fold(keep, |sum, row| {
            let row = self.row(row);
            sum + set
                .iter()
                .fold(f64::INFINITY, |least, column| least.min(row[*column]))
        })
    }

    /// Keeps the columns that `keep` says.
    pub(super) fn retain(&mut self, kept: &[usize]) {
        let read = (0..self.rows)
            .flat_map(|row| {
                let row = self.row(row);
                kept.iter().map(move |column| row[*column])
            })
            .collect();
        self.read = read;
        self.store = kept.iter().map(|column| self.store[*column]).collect();
        self.keep = kept.iter().map(|column| self.keep[*column]).collect();
    }
}
