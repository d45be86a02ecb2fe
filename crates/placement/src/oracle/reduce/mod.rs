//! Placements that no object needs: they are dropped where others, together, are never dearer (SkyPIE, section 4.4, with its sign put
//! right: it is the lower envelope of the placements' costs that an oracle must keep).
//!
//! In: a placement and the sizes that its reads are the cheapest for. Out: whether an object can exist for which it alone is the cheapest.
//! Never: one dropped without a proof in whole numbers. What a proof is not found for is kept, and counted.
//!
//! What a placement costs is linear in the quantities of an object, which form a cone (`cone.rs`). A linear programme looks in it for the
//! object at which the placement is better by most than all rivals known so far; the direct solver says what is cheapest there. Is it the
//! placement, and nothing else, it is needed. Is it another, that one is the next rival. Where no object is left, the programme's dual
//! says which mixture of rivals is never dearer, and `proof.rs` checks that mixture in whole numbers.
//!
//! Each placement is judged by itself, so that shards can be: let c be needed where it is strictly cheapest in some open part of its cone,
//! or equal in all prices to such a one and the first of these. Near every object, such a one is cheapest; costs are continuous, so one of
//! them is at the object itself.

mod cone;
mod proof;

pub(super) use cone::Sizes;

use crate::model::Scenario;
use crate::solve::{Limits, Placement, solve};
use cone::Cone;
use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome, Variable};

/// By how much a placement must be better than all rivals, of what the dearest store costs: a programme's tolerance is about 1e-8.
const MARGIN: f64 = 1e-7;
/// Rivals after which a placement is kept without a proof.
const MAX_RIVALS: usize = 100;
/// Rivals of the placement judged before, of the same stores, that the next one begins with.
const MAX_REMEMBERED: usize = 24;

/// Parts of the way from an object to the middle of its cone.
const TOWARDS_MIDDLE: [f64; 3] = [0.0, 1e-3, 1e-2];

/// Whether an object can need a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// For some object it alone is the cheapest.
    Needed,
    /// Others are never dearer.
    Unneeded,
    /// Neither was proven.
    Unknown,
}

/// Stores, and for each region the one that it reads from (index into the stores; their number where none is admissible).
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) stores: &'a [u16],
    pub(super) reads: &'a [u8],
    /// For which its reads are the cheapest of these stores.
    pub(super) sizes: Sizes,
}

/// Stores that were the cheapest somewhere, and which of them each region read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    stores: Vec<u32>,
    /// By region; `None`: it may read from none of them.
    reads: Vec<Option<u32>>,
}

/// Whether an object can need `candidate`. `known` are rivals to begin with, and afterwards those that were met.
pub(super) fn judge(scenario: &Scenario, candidate: &Candidate, known: &mut Vec<Rival>) -> Need {
    let stores: Vec<u32> = candidate.stores.iter().map(|one| u32::from(*one)).collect();
    let read = |place: &u8| stores.get(usize::from(*place)).copied();
    let reads: Vec<Option<u32>> = candidate.reads.iter().map(read).collect();
    let cone = Cone::new(scenario, &reads, candidate.sizes);
    let Some(own) = cone.plane(scenario, &stores, &reads) else {
        return Need::Unknown;
    };
    let above = |rival: &Rival| -> Option<Vec<i128>> {
        let plane = cone.plane(scenario, &rival.stores, &rival.reads)?;
        Some(plane.iter().zip(&own).map(|(one, own)| one - own).collect())
    };
    known.retain(|rival| rival.stores != stores);
    let mut rivals: Vec<Vec<i128>> = known.iter().filter_map(above).collect();
    for _ in 0..MAX_RIVALS {
        let Some((margin, shares)) = best_object(&cone, &rivals) else {
            return Need::Unknown;
        };
        if margin <= MARGIN {
            return match proof::some_mixture_is_never_above(&rivals, &cone.scales) {
                true => Need::Unneeded,
                false => Need::Unknown,
            };
        }
        // At the object, and where others cost the same there, nearer and nearer to the cone's middle, where such ties end.
        let mut rival = None;
        for towards_middle in TOWARDS_MIDDLE {
            let Some(best) = cheapest(scenario, &cone, &shares, towards_middle) else {
                return Need::Unknown;
            };
            if best.stores != stores {
                rival = Some(Rival {
                    reads: cone.reads(scenario, &best.stores, &best.reads),
                    stores: best.stores,
                });
                break;
            }
            if best.unique {
                return Need::Needed;
            }
        }
        let Some(rival) = rival else {
            return Need::Unknown;
        };
        let Some(difference) = above(&rival) else {
            return Need::Unknown;
        };
        if difference.iter().all(|price| *price == 0) {
            // The same prices throughout: the solver names the first of such sets.
            let earlier = (rival.stores.len(), &rival.stores) < (stores.len(), &stores);
            return match earlier {
                true => Need::Unneeded,
                false => Need::Unknown,
            };
        }
        if rivals.contains(&difference) {
            return Need::Unknown;
        }
        rivals.push(difference);
        if !known.contains(&rival) {
            known.push(rival);
        }
        if known.len() > MAX_REMEMBERED {
            known.remove(0);
        }
    }
    Need::Unknown
}

/// What is cheapest for an object of these shares of the rays, moved by a part of the way to equal shares; `None` where it is not proven.
fn cheapest(
    scenario: &Scenario,
    cone: &Cone,
    shares: &[f64],
    towards_middle: f64,
) -> Option<Placement> {
    let middle = towards_middle / shares.len() as f64;
    let moved = shares
        .iter()
        .map(|share| share * (1.0 - towards_middle) + middle);
    let workload = cone.workload(scenario, &moved.collect::<Vec<_>>())?;
    let best = solve(scenario, &workload, Limits::default()).ok()?;
    (best.gap == 0.0).then_some(best)
}

/// The object, as shares of the cone's rays, at which the least of `rivals` (how far above the placement each is, by ray) is highest, and how high
/// that is. `None`: the solver failed.
fn best_object(cone: &Cone, rivals: &[Vec<i128>]) -> Option<(f64, Vec<f64>)> {
    let rays = cone.scales.len();
    if rivals.is_empty() {
        return Some((1.0, vec![1.0 / rays as f64; rays]));
    }
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let margin = problem.add_var(1.0, (f64::NEG_INFINITY, f64::INFINITY));
    let shares: Vec<Variable> = (0..rays)
        .map(|_| problem.add_var(0.0, (0.0, 1.0)))
        .collect();
    let all = shares.iter().map(|share| (*share, 1.0));
    problem.add_constraint(all.collect::<Vec<_>>(), ComparisonOp::Eq, 1.0);
    for rival in rivals {
        let mut row = vec![(margin, -1.0)];
        for ((share, price), scale) in shares.iter().zip(rival).zip(&cone.scales) {
            if *price != 0 {
                row.push((*share, *price as f64 / scale));
            }
        }
        problem.add_constraint(row, ComparisonOp::Ge, 0.0);
    }
    let Ok(SolveOutcome::Solution(solution)) = problem.solve() else {
        return None;
    };
    let shares = shares.iter().map(|share| solution[*share].max(0.0));
    Some((solution[margin], shares.collect()))
}

#[cfg(test)]
mod tests;
