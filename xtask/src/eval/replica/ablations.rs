//! Part 3: what pulling, duplicating and choosing a region are worth, each taken away by itself.

use super::choice::{Case, Design, Planned};
use super::stats::{Mean, Paired};
use super::world::{Experiment, Lab, Outcome};
use super::{DESTINATIONS, Replica, SIZES, SOURCE, dollars, region};
use crate::report::Report;
use anyhow::{Context, Result};
use skyfresh_plan::predict::{Shape, Site};

/// Ways to give parts out, from the simplest on; as scenarios and as people call them.
const DISPATCHES: [(&str, &str); 3] = [
    ("equal", "equal shares"),
    ("pull", "pulling"),
    ("pull-and-duplicate", "pulling and duplicating"),
];
/// Functions of each cloud, at the source and at destinations.
const SITES: [(&str, &str); 3] = [
    ("aws:us-west-2", "aws:us-west-2"),
    ("azure:westeurope", "azure:westeurope"),
    ("gcp:us-central1", "gcp:us-central1"),
];
/// Of 1 GB: 32 functions, 120 parts of 8 MiB, between three and four for each.
const WORKERS: u32 = 32;
const PART_BYTES: u64 = 8 << 20;
const SIZE_BYTES: u64 = 1_000_000_000;
/// Objects of 1 GB in each run.
const OBJECTS: u64 = 50;
/// Bytes that each run of the comparison of regions moves: 46 objects of 128 MB, 6 of 1 GB.
const BYTES_BY_REGION: u64 = 6_000_000_000;

/// True where every guarantee was kept.
pub(super) fn run(lab: &Lab, asked: &Replica) -> Result<bool> {
    let dispatch = by_dispatch(lab, asked)?;
    Ok(dispatch & by_region(lab, asked)?)
}

fn by_dispatch(lab: &Lab, asked: &Replica) -> Result<bool> {
    let mut runs = Vec::new();
    for (destination, at) in SITES {
        for (dispatch, _) in DISPATCHES {
            let experiment = Experiment {
                destination: region(destination)?,
                size_bytes: SIZE_BYTES,
                slo: "60s@p99".parse()?,
                site: Site::functions(region(at)?).context("the region has functions")?,
                shape: Shape::Parts {
                    workers: WORKERS,
                    part_bytes: PART_BYTES,
                },
                dispatch,
                parts_in_flight: 1,
                objects: OBJECTS,
            };
            runs.push(experiment.runs(asked.seeds));
        }
    }
    let outcomes = lab.run(&runs)?;
    let mut rows = Vec::new();
    for ((_, at), of_site) in SITES.iter().zip(outcomes.chunks(DISPATCHES.len())) {
        for ((_, name), outcome) in DISPATCHES.iter().zip(of_site) {
            rows.push(dispatch_row(at, name, outcome, &of_site[0]));
        }
    }
    let report = Report {
        title: "Parts given out in three ways",
        notes: vec![
            format!("{OBJECTS} objects of 1 GB, one every 20 s, in each of {} seeds; {WORKERS} functions with one part of 8 MiB at a time each, in the destination's region: those of AWS are faster than a connection across regions, those of Azure and Google often are not, and differ more. From the claim until the copy could be read.", asked.seeds),
            "Difference: to equal shares, of the same objects; 95% interval by bootstrap. A function with an equal share ends with it and is billed no longer.".into(),
            "Duplicating pays for parts sent twice. It helps where a function is much slower than the others (three times the usual age of a part), which the catalogue's measurements of functions have seldom: the slowest of 1,000 had a quarter to two fifths of the median.".into(),
        ],
        columns: vec![
            "functions", "parts by", "p50 s", "p90 s", "p99 s", "p99.9 s", "difference of p99, s", "$ each",
        ],
        rows,
    };
    report.publish("replica-dispatch")?;
    Ok(outcomes.iter().all(|outcome| outcome.kept))
}

fn dispatch_row(at: &str, name: &str, outcome: &Outcome, equal: &Outcome) -> Vec<String> {
    let pairs = Paired::of(&outcome.took_s, &equal.took_s);
    let (low, high) = pairs.interval_of_difference(0.99);
    let at_quantile = |p: f64| format!("{:.2}", pairs.ours(p));
    // Of fewer than 1,000 the p99.9 is the longest.
    let p999 = match pairs.count() {
        count if count >= 1_000 => at_quantile(0.999),
        _ => format!("{} (longest)", at_quantile(1.0)),
    };
    vec![
        at.to_owned(),
        name.to_owned(),
        at_quantile(0.5),
        at_quantile(0.9),
        at_quantile(0.99),
        p999,
        match name == DISPATCHES[0].1 {
            true => "–".into(),
            false => format!("{low:+.2} to {high:+.2}"),
        },
        dollars(Mean::of(&outcome.usd).value),
    ]
}

/// The same choice with functions only at the source, only at the destination, and at either.
fn by_region(lab: &Lab, asked: &Replica) -> Result<bool> {
    let (source, mut planner) = (region(SOURCE)?, Design::Skyfresh.planner()?);
    let mut planned: Vec<(Case, [Planned; 3])> = Vec::new();
    for (size_bytes, slo) in SIZES.into_iter().filter(|(size, _)| *size > 100_000_000) {
        for destination in DESTINATIONS {
            let case = Case {
                destination: region(destination)?,
                size_bytes,
                slo: slo.parse()?,
            };
            let mut at = |may: &dyn Fn(&Site) -> bool| {
                case.plan_at(Design::Skyfresh, &mut planner, |site| {
                    site.platform().is_some() && may(site)
                })
            };
            let ways = [
                at(&|site| site.region == source)?,
                at(&|site| site.region == case.destination)?,
                at(&|_| true)?,
            ];
            planned.push((case, ways));
        }
    }
    let mut runs = Vec::new();
    for (case, ways) in &planned {
        for way in ways {
            let experiment =
                case.experiment(way, Design::Skyfresh, BYTES_BY_REGION / case.size_bytes);
            runs.push(experiment.runs(asked.seeds));
        }
    }
    let outcomes = lab.run(&runs)?;
    let mut rows = Vec::new();
    for ((case, ways), of_case) in planned.iter().zip(outcomes.chunks(3)) {
        let mut row = vec![
            skyfresh_sky::format_bytes(case.size_bytes),
            case.destination.to_string(),
        ];
        for (way, outcome) in ways.iter().zip(of_case) {
            let late = if way.called_in_time {
                ""
            } else {
                ", called late"
            };
            row.push(format!(
                "{}, {}{late}",
                Mean::of(&outcome.p50_s).text(),
                dollars(Mean::of(&outcome.usd).value)
            ));
        }
        row.push(ways[2].name.clone());
        rows.push(row);
    }
    let report = Report {
        title: "Functions at the source, at the destination, and where the planner puts them",
        notes: vec![
            format!("46 objects of 128 MB or 6 of 1 GB, one every 20 s, in each of {} seeds; p50 in seconds with half of its 95% interval (Student's t over seeds, notification included), and dollars. Each time the planner chooses how many functions and which parts, of what it may use.", asked.seeds),
            "SLOs: 10 s at p99 for 128 MB, 15 s for 1 GB. The cheapest in time is chosen, and the fastest within 1% of it: a way that is slower than another may be the right one.".into(),
        ],
        columns: vec![
            "size", "to", "at the source only", "at the destination only", "as planned", "plan",
        ],
        rows,
    };
    report.publish("replica-regions")?;
    Ok(outcomes.iter().all(|outcome| outcome.kept))
}
