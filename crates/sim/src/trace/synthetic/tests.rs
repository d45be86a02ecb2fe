use super::keys::Keys;
use super::*;
use std::collections::{HashMap, HashSet};

fn events(config: &Synthetic, seed: u64) -> Vec<TraceEvent> {
    synthetic(config, seed)
        .map(|event| event.unwrap())
        .collect()
}

/// Shorter than the default, with as many events a second.
fn minutes(count: f64) -> Synthetic {
    Synthetic {
        duration_s: 60.0 * count,
        ..Synthetic::default()
    }
}

fn near(name: &str, got: f64, wanted: f64, within: f64) {
    assert!(
        (got / wanted - 1.0).abs() < within,
        "{name}: {got}, not {wanted}"
    );
}

#[test]
fn the_default_hour_is_as_its_parameters_say() {
    let events = events(&Synthetic::default(), 1);
    near("events", events.len() as f64, 990_000.0, 0.01);
    assert!(events.is_sorted_by_key(|event| event.at_ms));
    assert!(events.last().unwrap().at_ms < 3_600_000);

    let puts: Vec<&TraceEvent> = events
        .iter()
        .filter(|event| event.operation == TraceOperation::Put)
        .collect();
    let deletes = events.len() - puts.len();
    near("deletes", deletes as f64 / events.len() as f64, 0.15, 0.01);
    let mean_size = puts.iter().map(|event| event.size as f64).sum::<f64>() / puts.len() as f64;
    assert!((0.2e6..1e6).contains(&mean_size), "{mean_size}");
    near(
        "mean size",
        mean_size,
        Synthetic::default().size_bytes.mean(),
        0.05,
    );
    let small = puts.iter().filter(|event| event.size < 20_000).count();
    near(
        "sizes around 4 KB",
        small as f64 / puts.len() as f64,
        0.6,
        0.05,
    );

    let mut writes: HashMap<&str, u32> = HashMap::new();
    for put in &puts {
        *writes.entry(&put.key).or_default() += 1;
    }
    near(
        "PUTs a key",
        puts.len() as f64 / writes.len() as f64,
        1.0 / Synthetic::default().new_key_share(),
        0.05,
    );
    let once = writes.values().filter(|count| **count == 1).count();
    // Keys made late, or unpopular, are written once for want of time: more than the share, and not by much.
    let share = once as f64 / writes.len() as f64;
    assert!(
        (0.48..0.60).contains(&share),
        "{share} of the keys are written once"
    );

    // A burst of ten times the calm rate: the busiest second is far above the mean.
    let mut seconds = vec![0u32; 3600];
    events
        .iter()
        .for_each(|event| seconds[event.at_ms as usize / 1000] += 1);
    let busiest = f64::from(*seconds.iter().max().unwrap());
    assert!((1000.0..3500.0).contains(&busiest), "{busiest}");
}

#[test]
fn a_delete_is_of_a_key_that_exists() {
    let config = Synthetic {
        delete_share: 0.4,
        ..minutes(3.0)
    };
    let (mut existing, mut back) = (HashSet::new(), HashSet::new());
    let (mut deleted, mut came_back) = (0, 0);
    for event in events(&config, 3) {
        match event.operation {
            TraceOperation::Put => {
                came_back += u32::from(back.contains(&event.key));
                existing.insert(event.key);
            }
            _ => {
                assert!(existing.remove(&event.key), "{} does not exist", event.key);
                back.insert(event.key);
                deleted += 1;
            }
        }
    }
    assert!(deleted > 1000 && came_back > 100, "{deleted}, {came_back}");
}

#[test]
fn gaps_between_puts_of_a_key_are_as_drawn() {
    let config = Synthetic {
        overwrite_gap_s: Distribution::Lognormal {
            median: 10.0,
            sigma: 1.0,
        },
        // In a burst the keys written as long ago as wanted run out, and younger ones are taken.
        rate_factors: [1.0; 3],
        ..minutes(8.0)
    };
    let (mut last, mut gaps) = (HashMap::new(), Vec::new());
    for event in events(&config, 5) {
        if event.operation == TraceOperation::Put {
            let before = last.insert(event.key, event.at_ms);
            // The first minutes have no long gaps.
            gaps.extend(
                before
                    .filter(|_| event.at_ms > 180_000)
                    .map(|at| event.at_ms - at),
            );
        }
    }
    gaps.sort_unstable();
    for p in [0.25, 0.5, 0.75] {
        let got = gaps[(gaps.len() as f64 * p) as usize] as f64 / 1e3;
        near("gap", got, config.overwrite_gap_s.quantile(p), 0.1);
    }
}

#[test]
fn popular_keys_are_written_more_often() {
    let top_share = |zipf_exponent| {
        let config = Synthetic {
            zipf_exponent,
            ..minutes(5.0)
        };
        let mut writes: HashMap<String, u32> = HashMap::new();
        for event in events(&config, 2) {
            *writes.entry(event.key).or_default() += 1;
        }
        let mut counts: Vec<u32> = writes.into_values().collect();
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        let total: u32 = counts.iter().sum();
        f64::from(counts[..counts.len() / 100].iter().sum::<u32>()) / f64::from(total)
    };
    let shares = [0.0, 0.6, 1.1].map(top_share);
    assert!(
        shares[0] * 1.2 < shares[1] && shares[1] * 1.2 < shares[2],
        "{shares:?}"
    );
}

#[test]
fn one_seed_one_trace_and_draws_of_one_kind_move_no_other() {
    let config = minutes(1.0);
    let trace = events(&config, 7);
    assert_eq!(trace, events(&config, 7));
    assert_ne!(trace, events(&config, 8));
    let other_sizes = Synthetic {
        size_bytes: Distribution::Constant(1.0),
        ..config
    };
    let without_size = |events: Vec<TraceEvent>| -> Vec<(u64, String)> {
        let events = events.into_iter();
        events.map(|event| (event.at_ms, event.key)).collect()
    };
    assert_eq!(without_size(trace), without_size(events(&other_sizes, 7)));
}

#[test]
fn memory_is_bounded() {
    for one_shot_share in [0.0, 0.48, 1.0] {
        let config = Synthetic {
            tracked_keys: 100,
            delete_share: 0.05,
            one_shot_share,
            ..Synthetic::default()
        };
        let mut keys = Keys::new(&config, 1);
        for i in 0..50_000 {
            keys.put(f64::from(i) / 100.0);
            if i % 20 == 0 {
                keys.delete();
            }
            assert!(keys.kept() <= 100 + 8, "{} after {i}", keys.kept());
        }
    }
}

#[test]
fn parameters_that_describe_no_trace_are_refused() {
    let bad: Vec<(Synthetic, &str)> = vec![
        (
            Synthetic {
                delete_share: 0.6,
                ..minutes(1.0)
            },
            "delete_share",
        ),
        (
            Synthetic {
                events_per_s: f64::NAN,
                ..minutes(1.0)
            },
            "events_per_s",
        ),
        (
            Synthetic {
                rate_factors: [0.0; 3],
                ..minutes(1.0)
            },
            "rate_factors",
        ),
        (
            Synthetic {
                tracked_keys: 0,
                ..minutes(1.0)
            },
            "tracked_keys",
        ),
        (
            Synthetic {
                size_bytes: Distribution::Constant(f64::NAN),
                ..minutes(1.0)
            },
            "constant",
        ),
    ];
    for (config, says) in bad {
        let mut trace = synthetic(&config, 1);
        let error = trace.next().unwrap().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(trace.next().is_none());
    }
    let read: Result<Synthetic, _> =
        serde_json::from_str(r#"{"duration_s": 60, "size_bytes": {"constant": 5}}"#);
    assert_eq!(read.unwrap().events_per_s, 275.0);
    assert!(serde_json::from_str::<Synthetic>(r#"{"durations": 60}"#).is_err());
}
