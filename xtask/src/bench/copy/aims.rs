//! What the product is to reach, and whether it does.

use super::Measured;
use super::figure::Figure;
use super::tools::Tool;
use super::work::Work;

/// An aim of a work beside what was measured.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) aim: String,
    /// `–` where there is nothing to compare.
    pub(super) measured: String,
    pub(super) met: &'static str,
}

/// What the aims are judged by: medians.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    pub(super) skyfresh: Option<Figure>,
    /// The fastest setting of the bare pipe.
    pub(super) limit: Option<Figure>,
    /// The bare pipe at 32 connections.
    pub(super) limit_at_32: Option<Figure>,
    /// The fastest peer at its best settings.
    pub(super) best_peer: Option<Figure>,
    pub(super) rclone_defaults: Option<Figure>,
    pub(super) s5cmd_defaults: Option<Figure>,
}

impl Judged {
    pub(super) fn of(rows: &[Measured]) -> Judged {
        let fastest = |wanted: &dyn Fn(&Measured) -> bool| {
            let medians = rows
                .iter()
                .filter(|row| wanted(row))
                .filter_map(Measured::median);
            medians.min_by(|a, b| a.wall_s.total_cmp(&b.wall_s))
        };
        let defaults =
            |tool| fastest(&|row: &Measured| row.row.tool == tool && row.row.default_settings);
        Judged {
            skyfresh: fastest(&|row| row.row.tool == Tool::Skyfresh),
            limit: fastest(&|row| row.row.tool == Tool::Limit),
            limit_at_32: fastest(&|row| {
                row.row.tool == Tool::Limit && row.row.label.ends_with("@32")
            }),
            best_peer: fastest(&|row| row.row.tool.is_peer()),
            rclone_defaults: defaults(Tool::Rclone),
            s5cmd_defaults: defaults(Tool::S5cmd),
        }
    }
}

type Pick = fn(&Figure) -> f64;

const WALL: Pick = |figure| figure.wall_s;
const CPU: Pick = |figure| figure.cpu_s;
const PEAK_MB: Pick = |figure| figure.peak_bytes / 1e6;

/// The aims of a work. `smaller` is the sync of fewer keys, for the memory that must not grow with them.
pub(super) fn verdicts(work: Work, judged: &Judged, smaller: Option<Figure>) -> Vec<Verdict> {
    let us = judged.skyfresh;
    // At most this many times the other's.
    let within = |aim: &str, pick: Pick, factor: f64, other: Option<Figure>| {
        let share = us.zip(other).map(|(us, other)| pick(&us) / pick(&other));
        verdict(
            aim,
            share.map(|share| (format!("{share:.2}×"), share <= factor)),
        )
    };
    // The other takes at least this many times as long.
    let faster = |aim: &str, factor: f64, other: Option<Figure>| {
        let times = us.zip(other).map(|(us, other)| other.wall_s / us.wall_s);
        verdict(
            aim,
            times.map(|times| (format!("{times:.2}×"), times >= factor)),
        )
    };
    let below = |aim: &str, megabytes: f64| {
        let peak = us.map(|us| PEAK_MB(&us));
        verdict(
            aim,
            peak.map(|peak| (format!("{peak:.0} MB"), peak < megabytes)),
        )
    };
    match work {
        Work::OneLarge => vec![
            within("wall ≤ 1.25× LIMIT", WALL, 1.25, judged.limit),
            faster("ahead of every peer at its best", 1.0, judged.best_peer),
            faster(
                "≥ 3× as fast as rclone's defaults",
                3.0,
                judged.rclone_defaults,
            ),
            faster(
                "≥ 3× as fast as s5cmd's defaults",
                3.0,
                judged.s5cmd_defaults,
            ),
            within("CPU ≤ 1.5× LIMIT", CPU, 1.5, judged.limit),
            below("peak memory < 100 MB", 100.0),
        ],
        Work::Medium => vec![
            within("wall ≤ 1.25× LIMIT", WALL, 1.25, judged.limit),
            faster("ahead of every peer at its best", 1.0, judged.best_peer),
        ],
        Work::Small => vec![
            within("wall ≤ 2× LIMIT", WALL, 2.0, judged.limit),
            faster("≥ 2.4× as fast as the best peer", 2.4, judged.best_peer),
            within("CPU ≤ 0.4× the best peer's", CPU, 0.4, judged.best_peer),
        ],
        Work::Nothing => vec![
            faster("≥ 3× as fast as the best peer", 3.0, judged.best_peer),
            below("peak memory < 50 MB", 50.0),
        ],
        Work::NothingOfMillion => vec![
            below("peak memory < 50 MB", 50.0),
            // A tenth is what runs of the same differ by.
            within("the same memory as for 100,000 keys", PEAK_MB, 1.1, smaller),
        ],
        Work::NothingFar => vec![
            within(
                "wall ≤ 0.25× a listing page by page",
                WALL,
                0.25,
                judged.limit,
            ),
            below("peak memory < 50 MB", 50.0),
        ],
        Work::OneLargeFar => vec![within(
            "wall ≤ 1.05× LIMIT at 32 connections",
            WALL,
            1.05,
            judged.limit_at_32,
        )],
        Work::SmallFar => vec![faster(
            "≥ 1.8× as fast as the best peer at its best concurrency",
            1.8,
            judged.best_peer,
        )],
    }
}

fn verdict(aim: &str, found: Option<(String, bool)>) -> Verdict {
    let (measured, met) = match found {
        None => ("–".into(), "not measured"),
        Some((measured, true)) => (measured, "yes"),
        Some((measured, false)) => (measured, "**no**"),
    };
    Verdict {
        aim: aim.into(),
        measured,
        met,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(wall_s: f64, cpu_s: f64, megabytes: f64) -> Option<Figure> {
        Some(Figure {
            wall_s,
            cpu_s,
            peak_bytes: megabytes * 1e6,
        })
    }

    #[test]
    fn aims_are_judged_by_their_factors() {
        let judged = Judged {
            skyfresh: figure(0.5, 0.6, 40.0),
            limit: figure(0.3, 0.3, 20.0),
            best_peer: figure(1.1, 1.6, 90.0),
            ..Judged::default()
        };
        let found = verdicts(Work::Small, &judged, None);
        let told: Vec<_> = found
            .iter()
            .map(|verdict| (verdict.measured.as_str(), verdict.met))
            .collect();
        assert_eq!(
            told,
            [("1.67×", "yes"), ("2.20×", "**no**"), ("0.37×", "yes")]
        );
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let found = verdicts(Work::NothingOfMillion, &Judged::default(), None);
        assert!(found.iter().all(|verdict| verdict.met == "not measured"));
        let judged = Judged {
            skyfresh: figure(1.0, 1.0, 44.0),
            ..Judged::default()
        };
        let found = verdicts(Work::NothingOfMillion, &judged, figure(1.0, 1.0, 20.0));
        assert_eq!((found[0].met, found[1].met), ("yes", "**no**"));
    }
}
