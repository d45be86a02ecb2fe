//! Many objects against all candidates: prices of candidates times quantities of objects, several objects side by side.
//!
//! What each store's copy and each region's reads from it cost is worked out once for each object; a candidate's cost is then a sum
//! of some of these numbers, the same ones for all objects of a group. Sums stop where no object of the group can profit.

use super::{Block, Oracle};
use crate::exact::Cost;
use crate::model::Scenario;
use crate::query::{Engine, Timed};
use crate::solve::{Infeasible, Instance, Placement, cost_of, cut_off, upper_bound};
use crate::workload::{Fault, Workload};
use skyfresh_sky::Clock;

/// Objects side by side.
const LANES: usize = 8;
/// Regions between two looks at whether the sum can still be of use.
const ROWS_A_LOOK: usize = 8;

/// A number for each object of a group.
type Lane = [f64; LANES];

/// The best candidate for one object so far.
#[derive(Clone, Copy)]
struct Found {
    cost: f64,
    /// Block, and candidate in it.
    at: Option<(usize, usize)>,
    /// Another set costs the same.
    tied: bool,
}

/// The numbers of a group of objects.
struct Group<'a> {
    oracle: &'a Oracle,
    instances: Vec<Instance>,
    /// By store.
    keep: Vec<Lane>,
    /// [row][store], one store more for "none admissible".
    read: Vec<Lane>,
    /// Regions that any object reads in.
    rows: Vec<usize>,
    /// What a candidate may cost at most.
    bound: Lane,
    found: [Found; LANES],
}

impl Engine for Oracle {
    fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Each object's time is its share of its group's.
    fn place(&self, workloads: &[Workload], clock: &dyn Clock) -> Vec<Result<Timed, Fault>> {
        let mut answers = Vec::with_capacity(workloads.len());
        for group in workloads.chunks(LANES) {
            let start_ns = clock.monotonic_ns();
            let placed = self.place_group(group);
            let took_ns = clock.monotonic_ns().saturating_sub(start_ns) / group.len() as u64;
            answers.extend(
                placed
                    .into_iter()
                    .map(|placed| placed.map(|placement| (placement, took_ns))),
            );
        }
        answers
    }
}

impl Oracle {
    /// Up to [`LANES`] objects.
    fn place_group(&self, workloads: &[Workload]) -> Vec<Result<Placement, Fault>> {
        let fault = |workload: &Workload| {
            if !workload.reads_are_of_one_size() {
                return Some(Fault::Invalid("the oracle's candidates are for reads of one size in all regions, and egress_gb says otherwise: use --engine direct".into()));
            }
            cut_off(&self.scenario, workload).map(|region| {
                Fault::Infeasible(Infeasible::Region(region).describe(&self.scenario))
            })
        };
        let faults: Vec<Option<Fault>> = workloads.iter().map(fault).collect();
        let asked: Vec<&Workload> = workloads
            .iter()
            .zip(&faults)
            .filter(|(_, fault)| fault.is_none())
            .map(|(workload, _)| workload)
            .collect();
        let mut placed = Vec::new();
        if !asked.is_empty() {
            let mut group = Group::new(self, &asked);
            for number in 0..self.blocks.len() {
                group.scan(number);
            }
            placed = group.placements(&asked);
        }
        let mut placed = placed.into_iter();
        faults
            .into_iter()
            .map(|fault| match fault {
                Some(fault) => Err(fault),
                None => placed.next().flatten().ok_or_else(|| {
                    Fault::Infeasible(Infeasible::Replicas.describe(&self.scenario))
                }),
            })
            .collect()
    }
}

impl<'a> Group<'a> {
    fn new(oracle: &'a Oracle, workloads: &[&Workload]) -> Self {
        let scenario = &oracle.scenario;
        let instances: Vec<Instance> = workloads
            .iter()
            .map(|workload| Instance::new(scenario, workload))
            .collect();
        let mut rows: Vec<usize> = workloads
            .iter()
            .flat_map(|workload| workload.reads.iter().map(|(region, ..)| *region))
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let stride = scenario.stores.len() + 1;
        let mut keep = vec![[0.0; LANES]; stride - 1];
        let mut read = vec![[0.0; LANES]; rows.len() * stride];
        let mut bound = [f64::NEG_INFINITY; LANES];
        for (lane, (instance, workload)) in instances.iter().zip(workloads).enumerate() {
            bound[lane] = upper_bound(scenario, workload, instance);
            for (store, cost) in instance.store.iter().zip(&instance.keep) {
                keep[*store as usize][lane] = *cost;
            }
            for (row, (region, ..)) in workload.reads.iter().enumerate() {
                // Sorted and complete: every region read in is one of the rows.
                let at = rows.partition_point(|other| other < region) * stride;
                for (store, cost) in instance.store.iter().zip(instance.row(row)) {
                    read[at + *store as usize][lane] = *cost;
                }
                read[at + stride - 1][lane] = f64::INFINITY;
            }
        }
        Group {
            oracle,
            instances,
            keep,
            read,
            rows,
            bound,
            found: [Found {
                cost: f64::INFINITY,
                at: None,
                tied: false,
            }; LANES],
        }
    }

    /// Calls `offer` with the costs of each candidate of a block that can be as good as the bound for one object.
    fn each(&self, block: &Block, bound: impl Fn() -> Lane, mut offer: impl FnMut(usize, &Lane)) {
        let regions = self.oracle.scenario.regions.len();
        let stride = self.oracle.scenario.stores.len() + 1;
        let mut columns = vec![0; block.replicas + 1];
        columns[block.replicas] = stride - 1;
        let (mut before, mut kept): (&[u16], Lane) = (&[], [0.0; LANES]);
        let candidates = block
            .stores
            .chunks_exact(block.replicas)
            .zip(block.reads.chunks_exact(regions));
        'candidates: for (number, (set, reads)) in candidates.enumerate() {
            if set != before {
                before = set;
                kept = [0.0; LANES];
                for (column, store) in columns.iter_mut().zip(set) {
                    *column = *store as usize;
                    add(&mut kept, &self.keep[*store as usize]);
                }
            }
            let mut sums = kept;
            let mut row = 0;
            for rows in self.rows.chunks(ROWS_A_LOOK) {
                if exceeds(&sums, &bound()) {
                    continue 'candidates;
                }
                for region in rows {
                    let column = columns[reads[*region] as usize];
                    add(&mut sums, &self.read[row * stride + column]);
                    row += 1;
                }
            }
            if !exceeds(&sums, &bound()) {
                offer(number, &sums);
            }
        }
    }

    fn scan(&mut self, number: usize) {
        let oracle = self.oracle;
        let block = &oracle.blocks[number];
        let set = |at: (usize, usize)| {
            let block = &oracle.blocks[at.0];
            &block.stores[at.1 * block.replicas..][..block.replicas]
        };
        let bound = std::cell::Cell::new(self.bound);
        let mut found = self.found;
        let slacks: Vec<f64> = self.instances.iter().map(|one| one.slack).collect();
        self.each(
            block,
            || bound.get(),
            |candidate, costs| {
                let mut limits = bound.get();
                for (lane, slack) in slacks.iter().enumerate() {
                    let (best, cost) = (&mut found[lane], costs[lane]);
                    if cost < best.cost {
                        *best = Found {
                            cost,
                            at: Some((number, candidate)),
                            tied: false,
                        };
                        limits[lane] = limits[lane].min(cost + slack);
                    } else if cost == best.cost
                        && cost.is_finite()
                        && best
                            .at
                            .is_some_and(|at| set(at) != set((number, candidate)))
                    {
                        best.tied = true;
                    }
                }
                bound.set(limits);
            },
        );
        self.bound = bound.get();
        self.found = found;
    }

    /// What was found for each object; `None`: nothing.
    fn placements(&self, workloads: &[&Workload]) -> Vec<Option<Placement>> {
        let scenario = &self.oracle.scenario;
        let rounded = self.instances.iter().any(|instance| instance.slack > 0.0);
        // Per object the sets that only exact arithmetic tells apart.
        let mut close: Vec<Vec<(Cost, Vec<u32>)>> = vec![Vec::new(); workloads.len()];
        if rounded {
            for block in &self.oracle.blocks {
                self.each(
                    block,
                    || self.bound,
                    |candidate, costs| {
                        let set = &block.stores[candidate * block.replicas..][..block.replicas];
                        for (lane, instance) in self.instances.iter().enumerate() {
                            if instance.slack == 0.0 || costs[lane] > self.bound[lane] {
                                continue;
                            }
                            let set: Vec<u32> = set.iter().map(|store| (*store).into()).collect();
                            if close[lane].last().is_some_and(|(_, last)| *last == set) {
                                continue;
                            }
                            if let Some((cost, _)) = cost_of(scenario, workloads[lane], &set) {
                                keep_best(&mut close[lane], cost, set);
                            }
                        }
                    },
                );
            }
        }
        let placed = |lane: usize| {
            let (set, tied) = if self.instances[lane].slack > 0.0 {
                let all = &close[lane];
                (all.first()?.1.clone(), all.len() > 1)
            } else {
                let (block, candidate) = self.found[lane].at?;
                let block = &self.oracle.blocks[block];
                let set = &block.stores[candidate * block.replicas..][..block.replicas];
                let set = set.iter().map(|store| u32::from(*store)).collect();
                (set, self.found[lane].tied)
            };
            let (cost, reads) = cost_of(scenario, workloads[lane], &set)?;
            Some(Placement {
                stores: set,
                reads,
                cost,
                unique: !self.oracle.filtered && !tied,
                gap: 0.0,
                nodes: self.oracle.candidates() as u64,
            })
        };
        (0..workloads.len()).map(placed).collect()
    }
}

/// Keeps those of least cost, in the order in which they came.
fn keep_best(best: &mut Vec<(Cost, Vec<u32>)>, cost: Cost, set: Vec<u32>) {
    let order = best
        .first()
        .map(|(least, _)| cost.numerator.cmp(&least.numerator));
    match order {
        Some(std::cmp::Ordering::Greater) => return,
        Some(std::cmp::Ordering::Equal) => {}
        _ => best.clear(),
    }
    best.push((cost, set));
}

fn add(sums: &mut Lane, more: &Lane) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// Whether every number is above its bound.
fn exceeds(sums: &Lane, bound: &Lane) -> bool {
    sums.iter()
        .zip(bound)
        .fold(true, |all, (sum, bound)| all & (sum > bound))
}
