//! Replays logs under every policy and times the scheduler; one JSON value a line. Run by `cargo xtask eval features`.
//!
//! `regret series <NAB directory>`, `regret ratings`, `regret delay <NAB directory>`, `regret overhead`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use serde_json::{Value, json};
use skyfresh_features::function::Decomposition;
use skyfresh_features::scheduler::{
    Feedback, IndexedHeap, Key, KeyScheduler, Options, PolicyName, Scheduler,
};
use skyfresh_features::simulate::{
    Contender, Grain, Queries, RatingShape, Ratings, Row, SeriesWorkload, Trial, Workload,
    baseline, load_series, run,
};
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const BUDGETS: [f64; 8] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64];
const SEEDS: u64 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["series", data] => series(Path::new(data))?,
        ["ratings"] => ratings(),
        ["delay", data] => delay(Path::new(data))?,
        ["overhead"] => overhead(),
        _ => return Err("regret series|delay <directory>, or ratings, or overhead".into()),
    }
    Ok(())
}

/// Every policy at every budget, and both bounds.
fn contenders() -> Vec<(Contender, f64)> {
    let mut all = vec![(Contender::UpdateAll, 1.0), (Contender::UpdateNone, 0.0)];
    for name in PolicyName::ALL {
        all.extend(BUDGETS.map(|budget| (Contender::Policy(name), budget)));
    }
    all
}

/// Runs trials on all cores and prints a line for each.
fn replay(workload: &dyn Workload, trials: &[Trial], about: &Value) {
    let mut baselines = BTreeMap::new();
    for trial in trials {
        let seed = trial.seed;
        baselines
            .entry(seed)
            .or_insert_with(|| baseline(workload, seed));
    }
    let rows: Mutex<Vec<(usize, Row)>> = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((index, trial)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    trials.get(index).map(|trial| (index, trial))
                } {
                    let (row, _) = run(workload, trial, baselines[&trial.seed]);
                    rows.lock()
                        .unwrap_or_else(|broken| broken.into_inner())
                        .push((index, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by_key(|(index, _)| *index);
    for (index, row) in rows {
        let mut line = json!(row);
        line["delay_steps"] = json!(trials[index].delay_steps);
        line["baseline"] = json!(baselines[&row.seed]);
        line["staleness_max"] = json!(row.staleness_max);
        line["keys"] = json!(workload.keys());
        line["steps"] = json!(workload.steps());
        for (name, value) in about.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        println!("{line}");
    }
}

fn grains() -> [(&'static str, Grain); 2] {
    [
        ("hourly", Grain::HOURLY),
        ("five-minute", Grain::FIVE_MINUTES),
    ]
}

fn series(data: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, grain) in grains() {
        let read = load_series(data, grain.interval_s)?;
        let mut workload = SeriesWorkload::new(&read, grain, Queries::Uniform)?;
        for queries in Queries::ALL {
            workload = workload.with_queries(queries);
            let about = json!({"part": "series", "grain": name, "query_kind": queries.as_str()});
            let trials = contenders().into_iter().flat_map(|(contender, budget)| {
                (0..SEEDS).map(move |seed| Trial {
                    contender,
                    budget,
                    seed,
                    delay_steps: 0,
                    options: None,
                })
            });
            replay(&workload, &trials.collect::<Vec<_>>(), &about);
        }
    }
    Ok(())
}

/// What is recommended for ratings: errors count a third as much after 30 steps.
fn rating_options(name: PolicyName) -> Option<Options> {
    (name == PolicyName::Regret).then(|| Options {
        decay_time: Some(30.0),
        ..Options::default()
    })
}

fn ratings() {
    for seed in 0..SEEDS {
        let workload = Ratings::synthetic(&RatingShape::MOVIELENS_1M, seed);
        let trials = contenders().into_iter().map(|(contender, budget)| Trial {
            contender,
            budget,
            seed,
            delay_steps: 0,
            options: match contender {
                Contender::Policy(name) => rating_options(name),
                Contender::UpdateAll | Contender::UpdateNone => None,
            },
        });
        replay(
            &workload,
            &trials.collect::<Vec<_>>(),
            &json!({"part": "ratings"}),
        );
    }
}

fn delay(data: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, grain) in grains() {
        let read = load_series(data, grain.interval_s)?;
        let workload = SeriesWorkload::new(&read, grain, Queries::Uniform)?;
        let mut trials = Vec::new();
        let unguarded = Options {
            delay_fallback: None,
            shadow_guard: None,
            ..Options::default()
        };
        for delay_steps in [0, 1, 2, 4, 8, 16, 24] {
            for budget in BUDGETS {
                for seed in 0..SEEDS {
                    for (name, options) in [
                        (PolicyName::RoundRobin, None),
                        (PolicyName::Regret, None),
                        (PolicyName::Regret, Some(unguarded)),
                    ] {
                        trials.push(Trial {
                            contender: Contender::Policy(name),
                            budget,
                            seed,
                            delay_steps,
                            options,
                        });
                    }
                }
            }
        }
        let (guarded, bare): (Vec<Trial>, Vec<Trial>) = trials
            .into_iter()
            .partition(|trial| trial.options.is_none());
        let about = |guards: bool| json!({"part": "delay", "grain": name, "guards": guards});
        replay(&workload, &guarded, &about(true));
        replay(&workload, &bare, &about(false));
    }
    Ok(())
}

/// Nanoseconds that each of `count` calls takes, on average.
fn timed(count: usize, mut call: impl FnMut(usize)) -> f64 {
    let begun = SystemClock.monotonic_ns();
    (0..count).for_each(&mut call);
    (SystemClock.monotonic_ns() - begun) as f64 / count as f64
}

fn overhead() {
    for keys in [275_077u32, 10_000_000] {
        println!("{}", heap_cost(keys));
        println!("{}", scheduler_cost(keys));
    }
    println!("{}", function_cost());
}

fn draws(count: usize, below: u32) -> Vec<(Key, f64)> {
    let rng = Rng::seeded(1);
    let draw = |_| (rng.below(u64::from(below)) as Key, rng.unit());
    (0..count).map(draw).collect()
}

const OPERATIONS: usize = 1_000_000;

fn heap_cost(keys: u32) -> Value {
    let draws = draws(OPERATIONS, keys);
    let mut heap = IndexedHeap::default();
    let insert_ns = timed(keys as usize, |key| {
        heap.set(key as Key, draws[key % OPERATIONS].1);
    });
    let change_ns = timed(OPERATIONS, |index| heap.set(draws[index].0, draws[index].1));
    // What is taken comes back with another priority, so that the heap stays full.
    let take_and_return_ns = timed(OPERATIONS, |index| {
        if let Some((key, _)) = heap.pop() {
            heap.set(key, draws[index].1);
        }
    });
    json!({
        "part": "heap", "keys": keys, "insert_ns": insert_ns, "change_ns": change_ns,
        "take_and_return_ns": take_and_return_ns, "bytes_a_key": heap.bytes() as f64 / f64::from(keys)
    })
}

fn scheduler_cost(keys: u32) -> Value {
    let draws = draws(OPERATIONS, keys);
    let mut scheduler = KeyScheduler::by(PolicyName::Regret, &Rng::seeded(2));
    for key in 0..keys {
        scheduler.restore(key, 1, 0.0, 1);
        scheduler.data(key, 1, 0.0);
    }
    let feedback = |error| Feedback {
        version: 1,
        error,
        queried_at: 1.0,
    };
    let feedback_ns = timed(OPERATIONS, |index| {
        let (key, error) = draws[index];
        scheduler.feedback(key, feedback(error), 1.0);
    });
    let query_ns = timed(OPERATIONS, |index| scheduler.query(draws[index].0, 1.0));
    let data_ns = timed(OPERATIONS, |index| scheduler.data(draws[index].0, 1, 1.0));
    let update_ns = timed(OPERATIONS, |_| {
        if let Some(lease) = scheduler.select(2.0) {
            scheduler.complete(&lease, 2.0);
            scheduler.data(lease.key, 1, 2.0);
        }
    });
    json!({
        "part": "scheduler", "keys": keys, "feedback_ns": feedback_ns, "query_ns": query_ns, "data_ns": data_ns,
        "update_ns": update_ns, "bytes_a_key": scheduler.bytes() as f64 / f64::from(keys)
    })
}

/// Updates a second with the decomposition as the function, on one thread and on two: each with keys and a scheduler of its own.
fn function_cost() -> Value {
    const KEYS: u32 = 10_000;
    const UPDATES: usize = 1_500;
    let rng = Rng::seeded(3);
    let points: Vec<f64> = (0..864)
        .map(|index| {
            50.0 + 20.0 * (index as f64 * std::f64::consts::TAU / 288.0).sin() + rng.unit()
        })
        .collect();
    // Seconds for the updates, and the share of them in the scheduler.
    let shard = |name: PolicyName| {
        let mut scheduler = KeyScheduler::by(name, &Rng::seeded(2));
        for key in 0..KEYS {
            scheduler.restore(key, 1, 0.0, 1);
            scheduler.data(key, 1, 0.0);
        }
        let mut scheduling_ns = 0;
        let begun = SystemClock.monotonic_ns();
        for step in 0..UPDATES {
            let now = step as f64;
            let before = SystemClock.monotonic_ns();
            let lease = scheduler.select(now);
            let selected = SystemClock.monotonic_ns();
            let forecast = Decomposition::of(&points, 288).map(|parts| parts.forecast(1));
            let computed = SystemClock.monotonic_ns();
            if let (Some(lease), Ok(forecast)) = (lease, forecast) {
                scheduler.complete(&lease, now);
                scheduler.query(lease.key, now);
                let feedback = Feedback {
                    version: lease.version,
                    error: forecast.abs(),
                    queried_at: now,
                };
                scheduler.feedback(lease.key, feedback, now);
                scheduler.data(lease.key, 1, now);
            }
            scheduling_ns += (selected - before) + (SystemClock.monotonic_ns() - computed);
        }
        let all_ns = SystemClock.monotonic_ns() - begun;
        (all_ns as f64 / 1e9, scheduling_ns as f64 / all_ns as f64)
    };
    let on = |threads: usize, name: PolicyName| {
        let begun = SystemClock.monotonic_ns();
        let shares: Vec<f64> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| shard(name).1))
                .collect();
            running
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect()
        });
        let elapsed_s = (SystemClock.monotonic_ns() - begun) as f64 / 1e9;
        let share = shares.iter().sum::<f64>() / threads as f64;
        ((threads * UPDATES) as f64 / elapsed_s, share)
    };
    let (one, share) = on(1, PolicyName::Regret);
    let (two, _) = on(2, PolicyName::Regret);
    let (turns, _) = on(1, PolicyName::RoundRobin);
    json!({
        "part": "function", "updates_per_s_1": one, "updates_per_s_2": two, "round_robin_updates_per_s_1": turns,
        "scheduler_share": share
    })
}
