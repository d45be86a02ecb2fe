//! How far an object's use can go before another set of stores is cheaper, and which: along the planes of the candidates, exactly.
//!
//! Let a quantity be multiplied by s (all gets, those of one region, all puts, the size). What a candidate costs is then a line in s:
//! what does not grow plus s times what grows. The cheapest ones are the lower envelope of these lines. From the one that is cheapest at
//! s = 1 it goes to the line that it meets first, and on, until that is a line of another set. Towards 0 the same holds for 1/s, with
//! the two parts exchanged. Floating point finds the few lines that can be met first; which one is, integers of 512 bits decide.

use super::{Block, Oracle};
use crate::exact::Wide;
use crate::model::Scenario;
use crate::query::Engine;
use crate::workload::{Fault, Workload};
use skyfresh_sky::Clock;
use std::cmp::Ordering;

/// Sums of floating point are this near, relative to their parts: at most 1,000 terms, each to within 2⁻⁵⁰.
const NEAR: f64 = 1e-12;

/// What grows or shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Gets of all regions, with what they read.
    Gets,
    /// Gets of one region, with what it reads.
    GetsOf(usize),
    /// Puts of all regions, with what they write.
    Puts,
    /// The size, with what is read and written.
    Size,
}

/// Another set of stores is cheaper from here on.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The quantity is this many times what it is, to within 1e-15 relative. At the factor itself both sets cost the same.
    pub factor: f64,
    /// The other set, ascending.
    pub stores: Vec<u32>,
}

/// How far one quantity can go.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// When it shrinks: a factor of at most 1. `None`: never, down to 0.
    pub down: Option<Change>,
    /// When it grows: a factor of at least 1. `None`: never.
    pub up: Option<Change>,
}

/// A cost as a line: what stays, and what is multiplied.
type Line<T> = (T, T);

/// What storing in each store, and reading from it in each region that reads, costs.
struct Lines<T> {
    /// By store.
    keep: Vec<Line<T>>,
    /// [row][store].
    read: Vec<Line<T>>,
    stores: usize,
}

trait Money: Copy {
    const NOTHING: Self;
    fn plus(self, other: Self) -> Self;
}

impl Money for f64 {
    const NOTHING: f64 = 0.0;
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}

impl Money for Wide {
    const NOTHING: Wide = Wide::ZERO;
    fn plus(self, other: Wide) -> Wide {
        Wide::plus(self, other)
    }
}

impl<T: Money> Lines<T> {
    /// The line of one candidate: its stores, and for each row the place of the one that is read from.
    fn of(&self, set: &[u16], places: impl Iterator<Item = u8>) -> Line<T> {
        let add = |sum: Line<T>, more: Line<T>| (sum.0.plus(more.0), sum.1.plus(more.1));
        let keep = set
            .iter()
            .map(|store| self.keep[usize::from(*store)])
            .fold((T::NOTHING, T::NOTHING), add);
        let reads = places.enumerate().map(|(row, place)| {
            self.read[row * self.stores + usize::from(set[usize::from(place)])]
        });
        reads.fold(keep, add)
    }
}

impl Lines<Wide> {
    fn new(scenario: &Scenario, workload: &Workload, quantity: Quantity) -> Self {
        let (gets, size) = (quantity == Quantity::Gets, quantity == Quantity::Size);
        let puts = quantity == Quantity::Puts;
        let put = |grows: bool, money: Wide| match grows {
            true => (Wide::ZERO, money),
            false => (money, Wide::ZERO),
        };
        let add = |one: Line<Wide>, other: Line<Wide>| (one.0.plus(other.0), one.1.plus(other.1));
        let keep = scenario.stores.iter().enumerate().map(|(at, store)| {
            let storage = put(size, Wide::product(workload.size, store.storage));
            let requests = put(puts, Wide::product(workload.puts, store.put));
            let written = workload.ingress.iter().map(|(region, gb)| {
                let price = scenario.ingress[region * scenario.stride + at];
                put(size || puts, Wide::product(*gb, price))
            });
            written.fold(add(storage, requests), add)
        });
        let mut read = Vec::with_capacity(workload.reads.len() * scenario.stores.len());
        for (region, count, gb) in &workload.reads {
            let grow = gets || quantity == Quantity::GetsOf(*region);
            for (at, store) in scenario.stores.iter().enumerate() {
                let price = scenario.egress[region * scenario.stride + at];
                let requests = put(grow, Wide::product(*count, store.get));
                read.push(add(requests, put(grow || size, Wide::product(*gb, price))));
            }
        }
        Lines {
            keep: keep.collect(),
            read,
            stores: scenario.stores.len(),
        }
    }

    /// With what stays and what is multiplied exchanged.
    fn exchanged(&self) -> Self {
        let all = |lines: &[Line<Wide>]| lines.iter().map(|line| (line.1, line.0)).collect();
        Lines {
            keep: all(&self.keep),
            read: all(&self.read),
            stores: self.stores,
        }
    }

    fn rounded(&self) -> Lines<f64> {
        let all = |lines: &[Line<Wide>]| {
            let rounded = |line: &Line<Wide>| (line.0.to_f64(), line.1.to_f64());
            lines.iter().map(rounded).collect()
        };
        Lines {
            keep: all(&self.keep),
            read: all(&self.read),
            stores: self.stores,
        }
    }
}

/// Where one line meets another from above: `numerator / denominator` times the quantity.
#[derive(Clone, Copy)]
struct Meeting {
    numerator: Wide,
    denominator: Wide,
    line: Line<Wide>,
    /// Block, and candidate in it.
    at: (usize, usize),
}

impl Meeting {
    /// The earlier one first, of several at one place the one that goes furthest down.
    fn order(&self, other: &Meeting) -> Ordering {
        let (left, right) = (
            self.numerator.times(other.denominator),
            other.numerator.times(self.denominator),
        );
        left.iter()
            .rev()
            .cmp(right.iter().rev())
            .then(self.line.1.cmp(&other.line.1))
            .then(self.at.cmp(&other.at))
    }
}

impl Oracle {
    /// How far `quantity` can go from where it is, for an object that is placed at `stores`, its cheapest set
    /// ([`Engine::place`]). Exact where the oracle is unfiltered; where it is not, the set may be as cheap as the other for a while longer.
    ///
    /// # Errors
    /// Reads are not of one size, which the candidates are not made for; the stores are not those of a candidate.
    pub fn drift(
        &self,
        workload: &Workload,
        stores: &[u32],
        quantity: Quantity,
    ) -> Result<Drift, Fault> {
        if !workload.reads_are_of_one_size() {
            return Err(Fault::Invalid("the oracle's candidates are for reads of one size in all regions, and egress_gb says otherwise".into()));
        }
        let set: Vec<u16> = stores.iter().map(|store| *store as u16).collect();
        let lines = Lines::new(&self.scenario, workload, quantity);
        let up = self.first_change(workload, &lines, &set)?;
        let down = self.first_change(workload, &lines.exchanged(), &set)?;
        Ok(Drift {
            up,
            down: down.map(|change| Change {
                factor: 1.0 / change.factor,
                ..change
            }),
        })
    }

    /// The cheapest set for a workload, and how far each quantity that it has can go.
    ///
    /// # Errors
    /// As [`Oracle::drift`], or there is no placement.
    pub fn drifts(
        &self,
        workload: &Workload,
        clock: &dyn Clock,
    ) -> Result<(crate::query::Timed, Vec<(Quantity, Drift)>), Fault> {
        let placed = self.place(std::slice::from_ref(workload), clock).pop();
        let placed = placed.ok_or_else(|| Fault::Invalid("the engine gave no answer".into()))??;
        let mut quantities = vec![Quantity::Size, Quantity::Puts, Quantity::Gets];
        if workload.reads.len() > 1 {
            let regions = workload.reads.iter();
            quantities.extend(regions.map(|(region, ..)| Quantity::GetsOf(*region)));
        }
        let drift = |quantity| Ok((quantity, self.drift(workload, &placed.0.stores, quantity)?));
        let drifts = quantities.into_iter().map(drift);
        Ok((placed.clone(), drifts.collect::<Result<Vec<_>, Fault>>()?))
    }

    /// Calls `offer` with each candidate whose reads are all admissible: its number, stores, and the places that rows read from.
    fn each_candidate<'a>(
        &'a self,
        rows: &'a [usize],
        mut offer: impl FnMut((usize, usize), &'a [u16], &mut dyn Iterator<Item = u8>),
    ) {
        let regions = self.scenario.regions.len();
        for (number, block) in self.blocks.iter().enumerate() {
            let sets = block.stores.chunks_exact(block.replicas);
            let all = sets.zip(block.reads.chunks_exact(regions)).enumerate();
            for (candidate, (set, reads)) in all {
                let none = |row: &usize| usize::from(reads[*row]) == block.replicas;
                if !rows.iter().any(none) {
                    let mut places = rows.iter().map(|row| reads[*row]);
                    offer((number, candidate), set, &mut places);
                }
            }
        }
    }

    fn set(&self, (block, candidate): (usize, usize)) -> &[u16] {
        let Block {
            replicas, stores, ..
        } = &self.blocks[block];
        &stores[candidate * replicas..][..*replicas]
    }

    fn line(&self, lines: &Lines<Wide>, rows: &[usize], at: (usize, usize)) -> Line<Wide> {
        let regions = self.scenario.regions.len();
        let reads = &self.blocks[at.0].reads[at.1 * regions..][..regions];
        lines.of(self.set(at), rows.iter().map(|row| reads[*row]))
    }

    /// The first place at 1 or more where a line of another set than `set` is cheaper from there on.
    fn first_change(
        &self,
        workload: &Workload,
        lines: &Lines<Wide>,
        set: &[u16],
    ) -> Result<Option<Change>, Fault> {
        let rows: Vec<usize> = workload.reads.iter().map(|(region, ..)| *region).collect();
        let rounded = lines.rounded();
        // Of the set's lines the cheapest at 1.
        let mut own: Option<Line<Wide>> = None;
        self.each_candidate(&rows, |_, other, places| {
            if other == set {
                let line = lines.of(other, places);
                let sum = |line: &Line<Wide>| line.0.plus(line.1);
                if own.as_ref().is_none_or(|best| sum(&line) < sum(best)) {
                    own = Some(line);
                }
            }
        });
        let Some(mut current) = own else {
            return Err(Fault::Invalid(
                "the stores are not those of a candidate of the oracle".into(),
            ));
        };
        loop {
            let Some(meeting) = self.next(&rows, lines, &rounded, current) else {
                return Ok(None);
            };
            if self.set(meeting.at) != set {
                let stores = self.set(meeting.at).iter().map(|store| u32::from(*store));
                return Ok(Some(Change {
                    factor: meeting.numerator.to_f64() / meeting.denominator.to_f64(),
                    stores: stores.collect(),
                }));
            }
            // Other reads of the same stores. What is multiplied shrinks each time: it ends.
            current = meeting.line;
        }
    }

    /// The line that `current`, which is the cheapest where it is, meets first on its way up.
    fn next(
        &self,
        rows: &[usize],
        lines: &Lines<Wide>,
        rounded: &Lines<f64>,
        current: Line<Wide>,
    ) -> Option<Meeting> {
        let (fixed, grows) = (current.0.to_f64(), current.1.to_f64());
        let mut soonest = f64::INFINITY;
        // Those that can be the first, by floating point and its errors: from where on they can be met.
        let mut close: Vec<(f64, (usize, usize))> = Vec::new();
        self.each_candidate(rows, |at, set, places| {
            let line = rounded.of(set, places);
            let (more, less) = (line.0 - fixed, grows - line.1);
            let off = (NEAR * (line.0 + fixed), NEAR * (line.1 + grows));
            if less + off.1 <= 0.0 {
                return;
            }
            let low = ((more - off.0) / (less + off.1)).max(0.0);
            if low > soonest {
                return;
            }
            if less > off.1 {
                soonest = soonest.min(((more + off.0) / (less - off.1)).max(0.0));
            }
            close.push((low, at));
        });
        close
            .into_iter()
            .filter(|(low, _)| *low <= soonest)
            .map(|(_, at)| (at, self.line(lines, rows, at)))
            .filter(|(_, line)| line.1 < current.1)
            .map(|(at, line)| Meeting {
                numerator: line.0.minus(current.0),
                denominator: current.1.minus(line.1),
                line,
                at,
            })
            .min_by(Meeting::order)
    }
}

#[cfg(test)]
mod tests;
