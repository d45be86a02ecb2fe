//! Goes through the sets that bounds leave, smallest reduced costs first.
//!
//! Two bounds prune. Lagrangian: constant + Σ ρ over the set and the cheapest to come. Supermodular: what a store saves in reads
//! can only shrink as others join, so cost(S ∪ T) ≥ cost(S) + Σ_{o∈T} (cost(S ∪ {o}) − cost(S)). Both are sums of whole numbers,
//! exact in floating point.

use super::best::Best;
use super::dual::Dual;
use super::instance::Instance;

/// Rows of a column are padded to a multiple of this, so that sums over them run side by side.
const LANES: usize = 4;

/// How a search ended.
pub(super) struct Ended {
    /// Every set was looked at or bounded.
    pub(super) complete: bool,
    /// Sets looked at.
    pub(super) nodes: u64,
}

/// What is known at one depth: the set so far is `chosen[..depth]`.
#[derive(Clone, Default)]
struct Level {
    /// Read cost of the set by row.
    nearest: Vec<f64>,
    /// Columns that may still join, by reduced cost.
    open: Vec<u32>,
    /// cost(S ∪ {o}) − cost(S) for each of them; none known at the root.
    gain: Vec<f64>,
    /// cost(S) and the least that all but one of those to come can add to it.
    base: f64,
}

/// When a search ends early: after so many sets, or when this says no.
type Stop<'a> = (u64, &'a dyn Fn() -> bool);

/// Sets between two questions whether to go on.
const ASK_EVERY: u64 = 2048;

struct Search<'a, 'b> {
    best: &'a mut Best<'b>,
    store: Vec<u32>,
    keep: Vec<f64>,
    reduced: Vec<f64>,
    /// [column][row], rows padded.
    read: Vec<f64>,
    stride: usize,
    replicas: (usize, usize),
    levels: Vec<Level>,
    chosen: Vec<u32>,
    nodes: u64,
    stop: Stop<'a>,
    /// Sets after which it is asked next.
    ask_at: u64,
}

/// Offers every set of columns that may be as good as the best.
pub(super) fn run(instance: &Instance, dual: &Dual, best: &mut Best<'_>, stop: Stop<'_>) -> Ended {
    if dual.lower > best.upper {
        return Ended {
            complete: true,
            nodes: 0,
        };
    }
    let columns = instance.store.len();
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|left, right| dual.reduced[*left].total_cmp(&dual.reduced[*right]));
    let stride = instance.rows.next_multiple_of(LANES);
    let mut read = vec![0.0; columns * stride];
    for row in 0..instance.rows {
        let costs = instance.row(row);
        for (place, column) in order.iter().enumerate() {
            read[place * stride + row] = costs[*column];
        }
    }
    let depth = instance.replicas.1.min(columns);
    let mut search = Search {
        best,
        store: order.iter().map(|column| instance.store[*column]).collect(),
        keep: order.iter().map(|column| instance.keep[*column]).collect(),
        reduced: order.iter().map(|column| dual.reduced[*column]).collect(),
        read,
        stride,
        replicas: instance.replicas,
        levels: vec![Level::default(); depth + 1],
        chosen: Vec::with_capacity(depth),
        nodes: 0,
        stop,
        ask_at: ASK_EVERY,
    };
    search.levels[0].nearest = vec![f64::INFINITY; stride];
    search.levels[0].open = (0..columns as u32).collect();
    let complete = search.branch(dual.constant, 0.0).is_some();
    Ended {
        complete,
        nodes: search.nodes,
    }
}

impl Search<'_, '_> {
    /// Σ min(nearest, reads of `column`) over rows.
    fn reads(&self, nearest: &[f64], column: u32) -> f64 {
        let costs = &self.read[column as usize * self.stride..][..self.stride];
        let mut sums = [0.0; LANES];
        for (costs, nearest) in costs.chunks_exact(LANES).zip(nearest.chunks_exact(LANES)) {
            for lane in 0..LANES {
                let (cost, nearest) = (costs[lane], nearest[lane]);
                sums[lane] += if cost < nearest { cost } else { nearest };
            }
        }
        sums.iter().sum()
    }

    fn is_stopped(&mut self) -> bool {
        if self.nodes > self.stop.0 {
            return true;
        }
        if self.nodes < self.ask_at {
            return false;
        }
        self.ask_at = self.nodes + ASK_EVERY;
        !(self.stop.1)()
    }

    /// The least sum of reduced costs of at least `least` and at most `most` of `open`, which ascends; `None` if there are fewer.
    fn cheapest(&self, open: &[u32], least: usize, most: usize) -> Option<f64> {
        if open.len() < least {
            return None;
        }
        let mut sum = 0.0;
        for (count, column) in open.iter().take(most).enumerate() {
            let value = self.reduced[*column as usize];
            if count >= least && value >= 0.0 {
                break;
            }
            sum += value;
        }
        Some(sum)
    }

    /// The first set in the order of sets that has the chosen and as few of `open` as it must.
    fn first_set(&self, open: &[u32], least: usize) -> Vec<u32> {
        let mut stores: Vec<u32> = open
            .iter()
            .map(|column| self.store[*column as usize])
            .collect();
        stores.sort_unstable();
        stores.truncate(least);
        stores.extend(
            self.chosen
                .iter()
                .map(|column| self.store[*column as usize]),
        );
        stores.sort_unstable();
        stores
    }

    fn offer(&mut self, cost: f64, last: Option<u32>) {
        if cost > self.best.upper {
            return;
        }
        let stores = || {
            self.chosen
                .iter()
                .copied()
                .chain(last)
                .map(|column| self.store[column as usize])
        };
        if self.best.missing(stores()) == 0 {
            self.best.offer(cost, stores());
        }
    }

    /// All sets that have `chosen` and some of the columns open at this depth. `bound` = constant + Σ ρ of the chosen, `keep` what
    /// keeping them costs. `None` where a limit stopped it.
    fn branch(&mut self, bound: f64, keep: f64) -> Option<()> {
        let depth = self.chosen.len();
        let (least, most) = self.replicas;
        let (least, most) = (least.saturating_sub(depth + 1), most - depth - 1);
        let mut level = std::mem::take(&mut self.levels[depth]);
        let mut ended = Some(());
        for place in 0..level.open.len() {
            let column = level.open[place];
            let later = &level.open[place + 1..];
            let own = bound + self.reduced[column as usize];
            let Some(rest) = self.cheapest(later, least, most) else {
                break;
            };
            if own + rest > self.best.upper {
                break;
            }
            // The best may have improved since this column was found open.
            let joined = level
                .gain
                .get(place)
                .map_or(own + rest, |gain| level.base + gain);
            if joined > self.best.upper {
                continue;
            }
            self.chosen.push(column);
            let bound = joined.max(own + rest);
            if !self.best.is_after(bound, || self.first_set(later, least)) {
                let keep = keep + self.keep[column as usize];
                ended = self.visit(&level.nearest, later, own, keep);
            }
            self.chosen.pop();
            if ended.is_none() {
                break;
            }
        }
        level.open.clear();
        self.levels[depth] = level;
        ended
    }

    /// The set chosen, and all that have `later` columns besides.
    fn visit(&mut self, before: &[f64], later: &[u32], bound: f64, keep: f64) -> Option<()> {
        self.nodes += 1;
        if self.is_stopped() {
            return None;
        }
        let depth = self.chosen.len();
        let (least, most) = self.replicas;
        let (least, most) = (least.saturating_sub(depth), most - depth);
        let column = self.chosen[depth - 1];
        let mut level = std::mem::take(&mut self.levels[depth]);
        level.nearest.clear();
        let costs = &self.read[column as usize * self.stride..][..self.stride];
        level.nearest.extend(
            before
                .iter()
                .zip(costs)
                .map(|(before, cost)| before.min(*cost)),
        );
        let cost = keep + level.nearest.iter().sum::<f64>();
        if least == 0 {
            self.offer(cost, None);
        }
        let missing = self.best.missing(
            self.chosen
                .iter()
                .map(|column| self.store[*column as usize]),
        );
        if most == 0 || missing > most || later.len() < least {
            self.levels[depth] = level;
            return Some(());
        }
        if most == 1 {
            // One more: the set with it is complete, and its reduced cost says whether its cost is worth adding up.
            for other in later {
                if bound + self.reduced[*other as usize] > self.best.upper {
                    break;
                }
                self.nodes += 1;
                let cost = keep + self.keep[*other as usize] + self.reads(&level.nearest, *other);
                self.offer(cost, Some(*other));
            }
            self.levels[depth] = level;
            return Some(());
        }
        self.open(&mut level, later, (bound, keep, cost), (least, most));
        self.levels[depth] = level;
        self.branch(bound, keep)
    }

    /// Fills `level.open` with those of `later` that a set as good as the best may have.
    fn open(
        &self,
        level: &mut Level,
        later: &[u32],
        (bound, keep, cost): (f64, f64, f64),
        (least, most): (usize, usize),
    ) {
        let Level {
            nearest,
            open,
            gain,
            base,
        } = level;
        open.clear();
        gain.clear();
        let reach = self
            .cheapest(later, least.saturating_sub(1), most - 1)
            .unwrap_or(0.0);
        for other in later {
            if bound + self.reduced[*other as usize] + reach > self.best.upper {
                break;
            }
            open.push(*other);
            gain.push(keep + self.keep[*other as usize] + self.reads(nearest, *other) - cost);
        }
        // The least that others can add, by supermodularity.
        let mut smallest = gain.clone();
        let needed = least.saturating_sub(1).min(smallest.len());
        if needed > 0 {
            smallest.select_nth_unstable_by(needed - 1, f64::total_cmp);
        }
        let others: f64 = smallest[..needed].iter().sum();
        let mut paying: Vec<f64> = smallest[needed..]
            .iter()
            .copied()
            .filter(|gain| *gain < 0.0)
            .collect();
        let places = most - 1 - needed.min(most - 1);
        if paying.len() > places {
            paying.sort_unstable_by(f64::total_cmp);
            paying.truncate(places);
        }
        let others = others + paying.iter().sum::<f64>();
        *base = cost + others;
        let mut kept = 0;
        for place in 0..open.len() {
            if *base + gain[place] <= self.best.upper {
                (open[kept], gain[kept]) = (open[place], gain[place]);
                kept += 1;
            }
        }
        open.truncate(kept);
        gain.truncate(kept);
    }
}
