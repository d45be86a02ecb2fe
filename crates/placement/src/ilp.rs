//! The integer programme of placements, strong form, solved by another's solver: what the direct method is compared with.
//!
//! y_o: a copy is in store o; x_{r,o}: the share of region r's reads that o answers. Minimised is Σ a_o y_o + Σ b_{r,o} x_{r,o} under
//! Σ_o x_{r,o} = 1, x_{r,o} ≤ y_o, least ≤ Σ y_o ≤ most, and the requirements on regions and vendors. SpanStore's programme (SkyPIE,
//! section 6.1), but with one row for each pair in place of a weaker one for each store.

use crate::Scenario;
use crate::query::{Engine, Timed};
use crate::solve::{Infeasible, Instance, Placement, cost_of, cut_off};
use crate::workload::{Fault, Workload};
use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome, Variable};
use skyfresh_sky::Clock;

/// What costs are scaled to, in sum: solvers compare with absolute tolerances near 1e-7.
const SCALED_SUM: f64 = 1e4;
/// By how much of these the solver's tolerances may hide a cheaper set: over the cost, what answers have as their gap.
const TOLERANCE: f64 = 1e-5;

/// The programme, solved by microlp's branch and bound: for small scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Ilp<'a> {
    scenario: &'a Scenario,
}

impl<'a> Ilp<'a> {
    /// In a scenario.
    pub fn new(scenario: &'a Scenario) -> Self {
        Ilp { scenario }
    }

    fn solve(&self, workload: &Workload) -> Result<Placement, Fault> {
        let scenario = self.scenario;
        let describe = |why: Infeasible| Fault::Infeasible(why.describe(scenario));
        if let Some(region) = cut_off(scenario, workload) {
            return Err(describe(Infeasible::Region(region)));
        }
        let instance = Instance::new(scenario, workload);
        let scale = SCALED_SUM / instance.forbidden;
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let copies: Vec<Variable> = instance
            .keep
            .iter()
            .map(|cost| problem.add_binary_var(cost * scale))
            .collect();
        for (row, (region, ..)) in workload.reads.iter().enumerate() {
            let mut shares = Vec::with_capacity(copies.len());
            for (column, store) in instance.store.iter().enumerate() {
                if !scenario.is_admissible(*region, *store as usize) {
                    continue;
                }
                let share = problem.add_var(instance.row(row)[column] * scale, (0.0, 1.0));
                problem.add_constraint(
                    [(share, 1.0), (copies[column], -1.0)],
                    ComparisonOp::Le,
                    0.0,
                );
                shares.push((share, 1.0));
            }
            problem.add_constraint(shares, ComparisonOp::Eq, 1.0);
        }
        self.require(&mut problem, &instance, &copies);
        let solution = match problem.solve() {
            Ok(SolveOutcome::Solution(solution)) => solution,
            Err(microlp::Error::Infeasible) => return Err(describe(Infeasible::Replicas)),
            Ok(SolveOutcome::Interrupted(_)) => {
                return Err(Fault::Unsolved(
                    "the solver stopped early: use --engine direct".into(),
                ));
            }
            Err(error) => {
                let why = format!("the solver failed: {error}; use --engine direct");
                return Err(Fault::Unsolved(why));
            }
        };
        let stores: Vec<u32> = instance
            .store
            .iter()
            .zip(&copies)
            .filter(|(_, copy)| solution[**copy] > 0.5)
            .map(|(store, _)| *store)
            .collect();
        let (cost, reads) =
            cost_of(scenario, workload, &stores).ok_or_else(|| describe(Infeasible::Replicas))?;
        Ok(Placement {
            stores,
            reads,
            cost,
            unique: false,
            gap: (TOLERANCE / solution.objective().max(TOLERANCE)).min(1.0),
            nodes: 0,
        })
    }

    /// The number of copies, and what regions and vendors are required.
    fn require(&self, problem: &mut Problem, instance: &Instance, copies: &[Variable]) {
        let scenario = self.scenario;
        let (least, most) = scenario.replicas;
        let all = || copies.iter().map(|copy| (*copy, 1.0));
        problem.add_constraint(all().collect::<Vec<_>>(), ComparisonOp::Ge, least as f64);
        problem.add_constraint(all().collect::<Vec<_>>(), ComparisonOp::Le, most as f64);
        let of = |wanted: &dyn Fn(&crate::Store) -> bool| -> Vec<(Variable, f64)> {
            let stores = instance.store.iter().zip(copies);
            stores
                .filter(|(store, _)| wanted(&scenario.stores[**store as usize]))
                .map(|(_, copy)| (*copy, 1.0))
                .collect()
        };
        for (region, _) in &scenario.groups.regions {
            problem.add_constraint(of(&|store| store.region == *region), ComparisonOp::Ge, 1.0);
        }
        for provider in &scenario.groups.providers {
            let stores = of(&|store| store.provider == *provider);
            problem.add_constraint(stores, ComparisonOp::Ge, 1.0);
        }
        if scenario.groups.min_providers > 1 {
            let mut present = Vec::new();
            for provider in 0..scenario.groups.provider_count {
                let is_there = problem.add_binary_var(0.0);
                let mut stores = of(&|store| store.provider == provider);
                stores.push((is_there, -1.0));
                problem.add_constraint(stores, ComparisonOp::Ge, 0.0);
                present.push((is_there, 1.0));
            }
            let least = scenario.groups.min_providers as f64;
            problem.add_constraint(present, ComparisonOp::Ge, least);
        }
    }
}

impl Engine for Ilp<'_> {
    fn scenario(&self) -> &Scenario {
        self.scenario
    }

    fn place(&self, workloads: &[Workload], clock: &dyn Clock) -> Vec<Result<Timed, Fault>> {
        let one = |workload: &Workload| {
            let start_ns = clock.monotonic_ns();
            let placement = self.solve(workload)?;
            Ok((placement, clock.monotonic_ns().saturating_sub(start_ns)))
        };
        workloads.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{random_prices, random_requirements, random_usage};
    use crate::solve::{Limits, solve};
    use skyfresh_sky::Rng;

    #[test]
    fn the_programme_agrees_with_the_direct_method() {
        let (mut solved, mut infeasible) = (0, 0);
        for seed in 0..1200 {
            let rng = Rng::named(seed, "ilp");
            let (prices, regions) = random_prices(&rng);
            let Ok(scenario) = Scenario::new(&prices, &random_requirements(&rng, &regions)) else {
                continue;
            };
            let usage = random_usage(&rng, &regions);
            let workload = usage.resolve(&scenario).expect("within 128 bits");
            let direct = solve(&scenario, &workload, Limits::default());
            match (Ilp::new(&scenario).solve(&workload), direct) {
                (Ok(found), Ok(direct)) => {
                    let (cost, best) = (found.cost.usd(), direct.cost.usd());
                    let near = best <= cost && cost * (1.0 - found.gap) <= best;
                    assert!(near, "seed {seed}: {found:?}, {best}");
                    solved += usize::from(found.gap < 1e-6);
                }
                (Err(Fault::Infeasible(found)), Err(direct)) => {
                    assert_eq!(found, direct.describe(&scenario), "seed {seed}");
                    infeasible += 1;
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert!(solved > 500 && infeasible > 5, "{solved} {infeasible}");
    }
}
