//! Part 7: what was predicted against what was observed, before and after learning from receipts, as pictures; and how a wrong
//! prior recovers.

use super::choice::{Case, Design, Planned};
use super::stats::quantile;
use super::world::Lab;
use super::{Replica, SIZES, SOURCE, delay, region};
use crate::eval::plot::{Axis, BLUE, Guide, Mark, Plot, Series, VERMILION};
use crate::report::Report;
use crate::workspace;
use anyhow::{Context, Result};
use skyfresh_plan::replicate::{Planner, Settings};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::format_bytes;

/// By how much the wrong prior's link is faster than the one that is simulated.
const WRONG: f64 = 3.0;
const WRONG_TO: &str = "aws:eu-west-1";
const WRONG_SIZE_BYTES: u64 = 128_000_000;
/// Within so many receipts a wrong prior shall have recovered.
const RECOVERED_AFTER: usize = 200;
/// Recovered: the location within 10%, the p99 within 25% (`docs/prediction.md`).
const NEAR: (f64, f64) = (0.10, 0.25);

/// A prediction of the p99 and what came of it.
struct Cell {
    case: Case,
    planned: Planned,
    before_s: f64,
    after_s: f64,
    observed_s: f64,
    /// Share of later copies within the prediction before learning, and after.
    within: (f64, f64),
    learnt: usize,
    judged: usize,
}

/// True where every guarantee was kept and the wrong prior recovered in time.
pub(super) fn run(lab: &Lab, asked: &Replica) -> Result<bool> {
    let mut planner = Design::Skyfresh.planner()?;
    let (mut planned, mut runs) = (Vec::new(), Vec::new());
    for case in delay::cases()? {
        let way = case.plan(Design::Skyfresh, &mut planner)?;
        let objects = asked.objects_of(case.size_bytes);
        let experiment = case.experiment(&way, Design::Skyfresh, objects);
        runs.push(experiment.runs(asked.seeds));
        planned.push((case, way));
    }
    let outcomes = lab.run(&runs)?;
    let mut cells = Vec::new();
    let mut recovery = None;
    for ((case, way), outcome) in planned.into_iter().zip(&outcomes) {
        if case.destination == region(WRONG_TO)? && case.size_bytes == WRONG_SIZE_BYTES {
            recovery = Some(recover(&case, &way, &outcome.took_s.concat())?);
        }
        cells.push(Cell::of(case, way, &outcome.took_s)?);
    }
    let recovery = recovery.context("the wrong prior's case is among those of part 1")?;
    let folder = workspace::root().join("docs/results");
    for (name, plot) in [
        ("calibration-p99.svg", scatter(&cells)),
        ("calibration-recovery.svg", recovery.plot()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, plot.svg())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    report(&cells, &recovery).publish("replica-calibration")?;
    let recovered = recovery
        .recovered_after()
        .is_some_and(|after| after <= RECOVERED_AFTER);
    Ok(recovered && outcomes.iter().all(|outcome| outcome.kept))
}

/// What the planner predicts of this way now: p50 and p99, in seconds from the claim on.
fn predicted(planner: &mut Planner, case: &Case, way: &Planned) -> Result<(f64, f64)> {
    let choice = planner.choose(&case.ask()?)?;
    let candidate = choice.candidates.iter().find(|it| it.way == way.way);
    let candidate = candidate.with_context(|| format!("{} is no candidate any more", way.name))?;
    Ok((candidate.p50_s, candidate.at_slo_s))
}

impl Cell {
    /// Learns from the first seed's receipts and is judged by the others'.
    fn of(case: Case, planned: Planned, took_s: &[Vec<f64>]) -> Result<Self> {
        let (learnt, judged) = took_s.split_first().context("there is at least one seed")?;
        let mut judged = judged.concat();
        let mut planner = Design::Skyfresh.planner()?;
        let (_, before_s) = predicted(&mut planner, &case, &planned)?;
        let ask = case.ask()?;
        for took in learnt {
            planner.learn(&ask, &planned.way, *took)?;
        }
        let (_, after_s) = predicted(&mut planner, &case, &planned)?;
        let within = |limit_s: f64| {
            judged.iter().filter(|took| **took <= limit_s).count() as f64
                / judged.len().max(1) as f64
        };
        Ok(Cell {
            within: (within(before_s), within(after_s)),
            observed_s: quantile(&mut judged, 0.99),
            before_s,
            after_s,
            learnt: learnt.len(),
            judged: judged.len(),
            case,
            planned,
        })
    }
}

fn scatter(cells: &[Cell]) -> Plot {
    let marks = [Mark::Circle, Mark::Square, Mark::Triangle];
    let series = |after: bool| {
        SIZES
            .iter()
            .zip(marks)
            .map(move |((size, _), mark)| Series {
                name: format!(
                    "{}, {}",
                    format_bytes(*size),
                    if after { "learnt" } else { "before" }
                ),
                colour: if after { BLUE } else { VERMILION },
                points: cells
                    .iter()
                    .filter(|cell| cell.case.size_bytes == *size)
                    .map(|cell| {
                        (
                            if after { cell.after_s } else { cell.before_s },
                            cell.observed_s,
                        )
                    })
                    .collect(),
                mark: Some((mark, after)),
            })
    };
    let axis = |label| Axis {
        label,
        low: 0.3,
        high: 20.0,
        logarithmic: true,
        ticks: vec![0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0],
    };
    Plot {
        title: "Predicted and observed p99 of a copy, by destination and size".into(),
        subtitle: "nine destinations from AWS us-east-1, simulated; from the claim until the copy can be read".into(),
        x: axis("predicted p99, seconds (log scale)"),
        y: axis("observed p99, seconds (log scale)"),
        series: series(false).chain(series(true)).collect(),
        guides: vec![Guide {
            from: (0.3, 0.3),
            to: (15.0, 15.0),
            says: "as predicted",
        }],
    }
}

/// How predictions of a wrong prior approach what is observed.
struct Recovery {
    case: Case,
    name: String,
    /// After so many receipts: predicted over observed, of the p50 and of the p99.
    ratios: Vec<(f64, f64)>,
}

fn recover(case: &Case, way: &Planned, took_s: &[f64]) -> Result<Recovery> {
    let (source, catalog) = (region(SOURCE)?, Catalog::embedded());
    let link = catalog
        .link(&source, &case.destination)
        .context("the catalogue has the link")?;
    let faster = format!(
        "src,dst,usd_per_gb,throughput_gbps,rtt_ms\n{source},{},,{},\n",
        case.destination,
        link.throughput_gbps * WRONG
    );
    let settings = Settings {
        state: Some(super::STATE.into()),
        ..Settings::default()
    };
    let mut planner = Planner::new(catalog.with_overrides(&faster)?, settings)?;
    let (ask, mut all) = (case.ask()?, took_s.to_vec());
    let (p50_s, p99_s) = (quantile(&mut all, 0.5), quantile(&mut all, 0.99));
    let mut ratios = Vec::new();
    for took in took_s {
        let (p50, p99) = predicted(&mut planner, case, way)?;
        ratios.push((p50 / p50_s, p99 / p99_s));
        planner.learn(&ask, &way.way, *took)?;
    }
    Ok(Recovery {
        case: case.clone(),
        name: way.name.clone(),
        ratios,
    })
}

impl Recovery {
    /// From so many receipts on, all predictions are near.
    fn recovered_after(&self) -> Option<usize> {
        let near =
            |(p50, p99): &(f64, f64)| (p50 - 1.0).abs() <= NEAR.0 && (p99 - 1.0).abs() <= NEAR.1;
        let last_far = self.ratios.iter().rposition(|ratios| !near(ratios));
        let after = last_far.map_or(0, |index| index + 1);
        (after < self.ratios.len()).then_some(after)
    }

    fn plot(&self) -> Plot {
        let line = |name: &str, colour, of: fn(&(f64, f64)) -> f64| Series {
            name: name.into(),
            colour,
            points: self
                .ratios
                .iter()
                .enumerate()
                .map(|(index, ratios)| (index as f64, of(ratios)))
                .collect(),
            mark: None,
        };
        let receipts = self.ratios.len() as f64;
        Plot {
            title: format!("A prior that takes the link for {WRONG:.0} times as fast as it is"),
            subtitle: format!(
                "{} to {}, {}",
                format_bytes(self.case.size_bytes),
                self.case.destination,
                self.name
            ),
            x: Axis {
                label: "receipts learnt from",
                low: 0.0,
                high: receipts,
                logarithmic: false,
                ticks: (0..)
                    .map(|step| f64::from(step) * 100.0)
                    .take_while(|tick| *tick <= receipts)
                    .collect(),
            },
            y: Axis {
                label: "predicted / observed (log scale)",
                low: 0.3,
                high: 1.6,
                logarithmic: true,
                ticks: vec![0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5],
            },
            series: vec![
                line("p50", BLUE, |ratios| ratios.0),
                line("p99", VERMILION, |ratios| ratios.1),
            ],
            guides: [(1.0, "as observed"), (0.75, "25% less"), (1.25, "25% more")]
                .map(|(ratio, says)| Guide {
                    from: (0.0, ratio),
                    to: (receipts, ratio),
                    says,
                })
                .to_vec(),
        }
    }
}

fn report(cells: &[Cell], recovery: &Recovery) -> Report {
    let rows = cells.iter().map(|cell| {
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        vec![
            format_bytes(cell.case.size_bytes),
            cell.case.destination.to_string(),
            cell.planned.name.clone(),
            format!("{:.2}", cell.observed_s),
            format!(
                "{:.2} ({:+.0}%)",
                cell.before_s,
                (cell.before_s / cell.observed_s - 1.0) * 100.0
            ),
            format!(
                "{:.2} ({:+.0}%)",
                cell.after_s,
                (cell.after_s / cell.observed_s - 1.0) * 100.0
            ),
            percent(cell.within.0),
            percent(cell.within.1),
            format!("{}, {}", cell.learnt, cell.judged),
        ]
    });
    let worst = |of: fn(&Cell) -> f64| {
        let off = cells
            .iter()
            .map(|cell| (of(cell) / cell.observed_s - 1.0).abs());
        off.fold(0.0, f64::max) * 100.0
    };
    let at = |receipts: usize| {
        let ratios = recovery.ratios.get(receipts).or(recovery.ratios.last());
        ratios.copied().unwrap_or((f64::NAN, f64::NAN))
    };
    let (first, later) = (at(0), at(RECOVERED_AFTER));
    Report {
        title: "Predicted against observed",
        notes: vec![
            "![Predicted and observed p99](calibration-p99.svg)".into(),
            "![How a wrong prior recovers](calibration-recovery.svg)".into(),
            format!("The largest error of a p99: {:.0}% before learning, {:.0}% after.", worst(|cell| cell.before_s), worst(|cell| cell.after_s)),
            "From the claim until the copy could be read. The planner learns from the receipts of the first seed, each row with a planner of its own, and is judged by those of the others: the observed p99, and the share of copies within the predicted one, which should be 99%.".into(),
            "Prior and simulator share the catalogue: what is wrong before learning is arithmetic, not figures of links.".into(),
            format!(
                "Wrong prior: the planner's catalogue has the link from {SOURCE} to {WRONG_TO} {WRONG:.0} times as fast as the simulated one, objects of {}, {}. Predicted over observed, before any receipt: p50 {:.2}, p99 {:.2}; after {RECOVERED_AFTER}: p50 {:.2}, p99 {:.2}. p50 within 10% and p99 within 25% from receipt {} on, to the last of {}.",
                format_bytes(recovery.case.size_bytes),
                recovery.name,
                first.0,
                first.1,
                later.0,
                later.1,
                recovery.recovered_after().map_or("never".into(), |after| after.to_string()),
                recovery.ratios.len(),
            ),
        ],
        columns: vec![
            "size", "to", "plan", "observed p99 s", "predicted before", "learnt", "within, before", "within, learnt",
            "receipts: learnt from, judged by",
        ],
        rows: rows.collect(),
    }
}
