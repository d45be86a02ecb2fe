//! When the last part is there: list scheduling of parts over workers that pull them from one pool.
//!
//! A worker here is one part in flight: an instance that copies two parts at once is two of them. Each begins at its own
//! moment and takes its own time for a part, the same for every part.
//!
//! Source: λReplica, slides, "Decentralized Part-Granularity Scheduling"; the schedule is Graham's list scheduling on
//! machines of different speeds that become available at different times. No closed form is published.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One worker in one draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worker {
    /// When it claims its first part, in seconds. Infinite: it never starts.
    pub start_s: f64,
    /// What one part takes it, in seconds, greater than 0.
    pub part_s: f64,
}

/// How parts are given to workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dispatch {
    /// Every worker gets the same number of parts, or one more, before it starts.
    Equal,
    /// Whoever is free pulls the next part.
    Pull,
    /// The same; and when none is left, whoever is free copies again the part that would be done last, once it has been
    /// under way for so many seconds. The first of the two copies counts.
    PullAndDuplicate {
        /// Age from which a part may be duplicated, in seconds.
        after_s: f64,
    },
}

/// What came of one draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// When the last part is done, in seconds. Infinite where no worker ever starts.
    pub finish_s: f64,
    /// Seconds for which workers were there, start to finish, over all workers: what functions are billed for. A worker
    /// that finds no part left stays for the end, since it may have to duplicate one.
    pub busy_s: f64,
    /// When the last part is begun for the first time, in seconds: from then on nothing is read that is not being read already,
    /// but by duplicates. Infinite where no worker ever starts.
    pub last_begun_s: f64,
}

/// Schedules `parts` parts.
pub fn schedule(workers: &[Worker], parts: u64, dispatch: Dispatch) -> Schedule {
    let (finish_s, last_begun_s) = match dispatch {
        _ if parts == 0 => (0.0, 0.0),
        Dispatch::Equal => equal(workers, parts),
        Dispatch::Pull => {
            let parts = in_flight_at_the_end(workers, parts);
            (last(&parts), last_begun(&parts))
        }
        Dispatch::PullAndDuplicate { after_s } => {
            let parts = in_flight_at_the_end(workers, parts);
            let last_begun_s = last_begun(&parts);
            (duplicated(parts, workers, after_s), last_begun_s)
        }
    };
    let there = |worker: &Worker| (finish_s - worker.start_s).max(0.0);
    let busy_s = if finish_s.is_finite() {
        workers.iter().map(there).sum()
    } else {
        0.0
    };
    Schedule {
        finish_s,
        busy_s,
        last_begun_s,
    }
}

/// When the last of equal shares is done, and when its last part is begun.
fn equal(workers: &[Worker], parts: u64) -> (f64, f64) {
    let (each, over) = match workers.len() as u64 {
        0 => return (f64::INFINITY, f64::INFINITY),
        count => (parts / count, parts % count),
    };
    let ends = workers.iter().enumerate().map(|(index, worker)| {
        let own = each + u64::from((index as u64) < over);
        if own == 0 {
            (0.0, 0.0)
        } else {
            let begun_s = worker.start_s + (own - 1) as f64 * worker.part_s;
            (begun_s + worker.part_s, begun_s)
        }
    });
    ends.fold((0.0, 0.0), |latest, end| {
        (f64::max(latest.0, end.0), f64::max(latest.1, end.1))
    })
}

/// A worker's last part.
#[derive(Clone, Copy, Debug)]
struct LastPart {
    begun_s: f64,
    done_s: f64,
    part_s: f64,
}

fn last(parts: &[Option<LastPart>]) -> f64 {
    let ends = parts.iter().flatten().map(|part| part.done_s);
    ends.fold(f64::NAN, f64::max).max(0.0)
}

fn last_begun(parts: &[Option<LastPart>]) -> f64 {
    let begun = parts.iter().flatten().map(|part| part.begun_s);
    begun.fold(0.0, f64::max)
}

/// Below this many workers times parts the pool is played through; above, the moment of the last pull is searched for.
const PLAYED_THROUGH: u64 = 2_048;

/// To which share of the whole the search finds the moment: far below what any delay is known to.
const SEARCH_TOLERANCE: f64 = 1e-6;

/// Each worker's last part; `None` where it finds none left.
fn in_flight_at_the_end(workers: &[Worker], parts: u64) -> Vec<Option<LastPart>> {
    let never = LastPart {
        begun_s: f64::INFINITY,
        done_s: f64::INFINITY,
        part_s: f64::INFINITY,
    };
    if !workers.iter().any(|worker| worker.start_s.is_finite()) {
        return vec![Some(never)];
    }
    if parts.saturating_mul(workers.len() as u64) <= PLAYED_THROUGH {
        played(workers, parts)
    } else {
        searched(workers, parts)
    }
}

/// Ascending by time, which is never a NaN.
#[derive(PartialEq)]
struct Moment(f64, usize);

impl Eq for Moment {}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn played(workers: &[Worker], parts: u64) -> Vec<Option<LastPart>> {
    let begin = workers.iter().enumerate();
    let mut free: BinaryHeap<Reverse<Moment>> = begin
        .filter(|(_, worker)| worker.start_s.is_finite())
        .map(|(index, worker)| Reverse(Moment(worker.start_s, index)))
        .collect();
    let mut last_parts = vec![None; workers.len()];
    for _ in 0..parts {
        let Some(Reverse(Moment(begun_s, index))) = free.pop() else {
            break;
        };
        let part_s = workers[index].part_s;
        let done_s = begun_s + part_s;
        last_parts[index] = Some(LastPart {
            begun_s,
            done_s,
            part_s,
        });
        free.push(Reverse(Moment(done_s, index)));
    }
    last_parts
}

/// The moment of the last pull, by bisection over how many parts have been begun by then, between two moments that enclose it:
/// each step takes as many operations as there are workers, however many parts there are.
fn searched(workers: &[Worker], parts: u64) -> Vec<Option<LastPart>> {
    let begun_by = |worker: &Worker, moment_s: f64| {
        if moment_s < worker.start_s {
            0
        } else {
            ((moment_s - worker.start_s) / worker.part_s) as u64 + 1
        }
    };
    let begun = |moment_s: f64| -> u64 {
        let each = workers.iter().map(|worker| begun_by(worker, moment_s));
        each.fold(0, u64::saturating_add)
    };
    // Were parts divisible, this many had been done: parts begun are no fewer, and no more than one a worker beyond.
    let ready = || workers.iter().filter(|worker| worker.start_s.is_finite());
    let divisible_s = |amount: f64| -> f64 {
        let mut moment_s = ready()
            .map(|worker| worker.start_s)
            .fold(f64::INFINITY, f64::min);
        // Newton's steps on a function that is convex and piecewise linear end exactly, after few.
        for _ in 0..64 {
            let (mut done, mut per_s) = (0.0, 0.0);
            for worker in ready().filter(|worker| worker.start_s <= moment_s) {
                done += (moment_s - worker.start_s) / worker.part_s;
                per_s += 1.0 / worker.part_s;
            }
            let step_s = (amount - done) / per_s;
            if step_s.abs() <= SEARCH_TOLERANCE * moment_s {
                break;
            }
            moment_s += step_s;
        }
        moment_s
    };
    let most = parts.saturating_sub(ready().count() as u64 + 1) as f64;
    let mut early_s = divisible_s(most) * (1.0 - 2.0 * SEARCH_TOLERANCE) - SEARCH_TOLERANCE;
    let mut late_s = divisible_s(parts as f64) * (1.0 + 2.0 * SEARCH_TOLERANCE) + SEARCH_TOLERANCE;
    // The nanosecond: where everything begins at once the moment is 0, to which nothing is close by a share.
    while late_s - early_s > SEARCH_TOLERANCE * late_s + 1e-9 {
        let middle_s = f64::midpoint(early_s, late_s);
        if begun(middle_s) >= parts {
            late_s = middle_s;
        } else {
            early_s = middle_s;
        }
    }
    let of_worker = |worker: &Worker| {
        let count = begun_by(worker, late_s);
        let begun_s = worker.start_s + worker.part_s * count.saturating_sub(1) as f64;
        (count > 0).then_some(LastPart {
            begun_s,
            done_s: begun_s + worker.part_s,
            part_s: worker.part_s,
        })
    };
    workers.iter().map(of_worker).collect()
}

/// When the pool is dry, whoever is free takes over the part that would be done last, as soon as it is old enough. Free are
/// those whose last part is done, and those that found none when they began.
fn duplicated(parts: Vec<Option<LastPart>>, workers: &[Worker], after_s: f64) -> f64 {
    // When each is free, and what a part takes it.
    let helper = |(part, worker): (&Option<LastPart>, &Worker)| match part {
        Some(part) => (part.done_s, part.part_s),
        None => (worker.start_s, worker.part_s),
    };
    let mut helpers: Vec<(f64, f64)> = parts.iter().zip(workers).map(helper).collect();
    let mut parts: Vec<LastPart> = parts.into_iter().flatten().collect();
    helpers.sort_by(|a, b| a.0.total_cmp(&b.0));
    parts.sort_by(|a, b| b.done_s.total_cmp(&a.done_s));
    let mut finish_s: f64 = 0.0;
    // A worker duplicates one part and no more: enough for the few last ones. A part's own worker is free when it is done, which
    // is too late to matter.
    let mut helpers = helpers.into_iter();
    for part in parts {
        // All that are left are done earlier than this one.
        if part.done_s <= finish_s {
            break;
        }
        let again_s = helpers.next().map_or(f64::INFINITY, |(free_s, part_s)| {
            free_s.max(part.begun_s + after_s) + part_s
        });
        finish_s = finish_s.max(part.done_s.min(again_s));
    }
    finish_s
}

#[cfg(test)]
#[path = "finish_tests.rs"]
mod tests;
