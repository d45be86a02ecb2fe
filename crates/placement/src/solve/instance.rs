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

/// The greatest of costs, several at a time.
fn greatest(costs: &[f64]) -> f64 {
    let mut most = [0.0; 4];
    let chunks = costs.chunks_exact(4);
    let rest = chunks
        .remainder()
        .iter()
        .fold(0.0, |most: f64, cost| most.max(*cost));
    for chunk in chunks {
        for (most, cost) in most.iter_mut().zip(chunk) {
            *most = if *cost > *most { *cost } else { *most };
        }
    }
    most.iter().fold(rest, |most, other| most.max(*other))
}

/// cost(W) = Σ_{o∈W} a_o + Σ_r min_{o∈W} b_{r,o} over columns o and rows r, in units that make all of them whole.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// The store of each column.
    pub(crate) store: Vec<u32>,
    /// What keeping a copy costs, by column.
    pub(crate) keep: Vec<f64>,
    /// What a region's reads cost, [row][column].
    pub(super) read: Vec<f64>,
    /// Rows: regions that read.
    pub(super) rows: usize,
    /// What takes the place of a read that is not admissible: more than any set without one costs.
    pub(crate) forbidden: f64,
    /// No true cost of a set is further than this above the rounded one; 0 where nothing was rounded.
    pub(crate) slack: f64,
    /// Least and greatest number of stores. Greatest: more than these have one that no region needs to read from and no
    /// requirement needs, so that the set without it costs no more.
    pub(super) replicas: (usize, usize),
    /// Stores in which a copy costs nothing.
    pub(super) free: Vec<u32>,
}

impl Instance {
    /// The costs of `workload` in every store that is allowed.
    pub(crate) fn new(scenario: &Scenario, workload: &Workload) -> Self {
        let prices = &scenario.columns;
        let (size, puts) = (workload.size as f64, workload.puts as f64);
        let mut keep: Vec<f64> = prices
            .storage
            .iter()
            .zip(&prices.put)
            .map(|(storage, put)| size * storage + puts * put)
            .collect();
        for (region, gb) in &workload.ingress {
            let gb = *gb as f64;
            for (keep, price) in keep.iter_mut().zip(prices.ingress(*region)) {
                *keep += gb * price;
            }
        }
        let rows = workload.reads.len();
        let mut read = Vec::with_capacity(rows * prices.store.len());
        let mut total = keep.iter().sum::<f64>();
        for (region, gets, gb) in &workload.reads {
            let (gets, gb) = (*gets as f64, *gb as f64);
            let start = read.len();
            let costs = prices.get.iter().zip(prices.egress(*region));
            read.extend(costs.map(|(get, egress)| gets * get + gb * egress));
            total += greatest(&read[start..]);
        }
        let (least, most) = scenario.replicas;
        let useful = rows + scenario.groups.witnesses();
        let free = prices.store.iter().zip(&keep);
        let mut instance = Instance {
            free: free
                .filter(|(_, keep)| **keep == 0.0)
                .map(|(store, _)| *store)
                .collect(),
            keep,
            read,
            rows,
            forbidden: 0.0,
            slack: 0.0,
            replicas: (least, most.min(useful.max(least))),
            store: prices.store.clone(),
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
    pub(crate) fn row(&self, row: usize) -> &[f64] {
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
        let columns = self.store.len();
        // `kept` ascends, so that every place is read before it is written.
        for row in 0..self.rows {
            for (place, column) in kept.iter().enumerate() {
                self.read[row * kept.len() + place] = self.read[row * columns + column];
            }
        }
        self.read.truncate(self.rows * kept.len());
        self.store = kept.iter().map(|column| self.store[*column]).collect();
        self.keep = kept.iter().map(|column| self.keep[*column]).collect();
    }
}
