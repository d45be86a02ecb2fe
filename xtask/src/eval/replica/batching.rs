//! Part 4: one object of 100 MB that changes again and again, and may wait for its next change while its SLO allows.

use super::stats::{Mean, average};
use super::world::{Lab, Runs, surroundings};
use super::{Replica, SOURCE, dollars};
use crate::report::Report;
use anyhow::Result;
use skyfresh_sky::Rng;
use std::fmt::Write as _;

/// As published (λReplica, slides, "Effectiveness of SLO-bounded batching").
const SIZE_BYTES: u64 = 100_000_000;
const CHANGES_A_MINUTE: [u32; 4] = [5, 10, 50, 100];
const SLO: &str = "30s@p99.9";
const DESTINATION: &str = "aws:eu-west-1";
/// Virtual minutes of each run.
const MINUTES: u32 = 60;
/// Share of changes that must be in time.
const ATTAINED: f64 = 0.999;

/// True where every guarantee was kept and the SLO attained at every rate.
pub(super) fn run(lab: &Lab, asked: &Replica) -> Result<bool> {
    let runs: Vec<Runs> = CHANGES_A_MINUTE
        .iter()
        .map(|rate| Runs {
            scenario: scenario(),
            trace: Some(trace(*rate)),
            seeds: asked.seeds,
        })
        .collect();
    let outcomes = lab.run(&runs)?;
    let (mut rows, mut good) = (Vec::new(), true);
    for (rate, outcome) in CHANGES_A_MINUTE.iter().zip(&outcomes) {
        let attained = average(&outcome.attained);
        good &= outcome.kept && attained >= ATTAINED;
        let copies = average(&outcome.bytes_moved) / SIZE_BYTES as f64;
        let changes = average(&outcome.events);
        let an_hour = average(&outcome.usd) * changes * 60.0 / f64::from(MINUTES);
        rows.push(vec![
            format!("{rate}"),
            format!("{changes:.0}"),
            format!("{copies:.0}"),
            format!("{:.3}%", attained * 100.0),
            format!("{:.2}", average(&outcome.p50_s)),
            Mean::of(&outcome.p99_s).text(),
            Mean::of(&outcome.p999_s).text(),
            dollars(an_hour),
            dollars(average(&outcome.usd)),
            dollars(average(&outcome.usd) * changes / copies.max(1.0)),
        ]);
    }
    let report = Report {
        title: "An object of 100 MB that changes again and again",
        notes: vec![
            format!("One key, {SOURCE} to {DESTINATION}, Poisson changes for {MINUTES} minutes in each of {} seeds, SLO {SLO}. The engine plans by itself, and may let a change wait for the next one. A change has arrived when it, or a newer one, can be read. ± is half of the 95% interval of the mean of the seeds' quantiles (Student's t).", asked.seeds),
            "Copies: bytes that crossed regions, in objects. Dollars an hour should hardly rise with the rate, and fall for each change.".into(),
        ],
        columns: vec![
            "changes a minute", "changes", "copies", "attained", "p50 s", "p99 s (±)", "p99.9 s (±)", "$ an hour", "$ a change", "$ a copy",
        ],
        rows,
    };
    report.publish("replica-batching")?;
    Ok(good)
}

fn scenario() -> String {
    surroundings("batching", SLO, DESTINATION)
        + "[plan]\nsites = [\"source\", \"destination\"]\n[engine]\nmax_parts_in_flight = 4096\nsweep_every_s = 86400\n"
}

/// Changes of one key at times of a Poisson process, the same for every seed of the simulator.
fn trace(changes_a_minute: u32) -> String {
    let rng = Rng::named(u64::from(changes_a_minute), "batching");
    let (mut text, mut at_s) = (String::new(), 0.0);
    loop {
        at_s += -(1.0 - rng.unit()).ln() * 60.0 / f64::from(changes_a_minute);
        if at_s >= f64::from(MINUTES) * 60.0 {
            return text;
        }
        let _ = writeln!(
            text,
            "{:.0} REST.PUT.OBJECT hot {SIZE_BYTES}",
            at_s * 1_000.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_has_about_as_many_changes_as_asked_for_in_order() {
        let text = trace(10);
        let times: Vec<u64> = text
            .lines()
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!((500..700).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && *times.last().unwrap() < 3_600_000);
    }
}
