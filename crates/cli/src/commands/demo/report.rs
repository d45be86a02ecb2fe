//! What the demo says, while it runs and at its end.

use super::stage::{RULE, Stage};
use super::writer::Written;
use crate::output::{Output, Style};
use crate::render;
use serde::Serialize;
use skyfresh_engine::RuleStatus;
use skyfresh_engine::verify::VerifyReport;
use skyfresh_ledger::{Ledger, Origin, Outcome};
use skyfresh_sky::{Timestamp, Usd, format_bytes};
use std::time::Duration;

/// Receipts read at the end; a demo has far fewer.
const MOST_RECEIPTS: usize = 1_000_000;

/// The end of `--json`.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Objects at the source.
    pub(super) objects: u64,
    /// Destinations.
    pub(super) destinations: usize,
    /// Whether every object at every destination equals the source, and nothing else is there.
    pub(super) equal: bool,
    /// Lag of live changes, all destinations together, from the receipts: median, seconds.
    pub(super) lag_p50_s: f64,
    /// 99th percentile, seconds.
    pub(super) lag_p99_s: f64,
    /// Bytes read from the source.
    pub(super) bytes: u64,
    /// Dollars by the receipts.
    pub(super) spend_usd: f64,
}

impl Summary {
    pub(super) async fn of(
        stage: &Stage,
        compared: &[(String, VerifyReport)],
    ) -> anyhow::Result<Summary> {
        let receipts = stage
            .ledger
            .receipts_by_time(RULE, Timestamp::ZERO, MOST_RECEIPTS)
            .await?;
        let live = receipts.iter().filter(|receipt| {
            receipt.origin != Origin::Backfill
                && matches!(receipt.outcome, Outcome::Copied | Outcome::Deleted)
        });
        let mut lags: Vec<Duration> = live.map(skyfresh_ledger::Receipt::lag).collect();
        lags.sort();
        Ok(Summary {
            objects: compared
                .iter()
                .map(|(_, report)| report.equal + report.only_source + report.different)
                .max()
                .unwrap_or(0),
            destinations: compared.len(),
            equal: !compared.is_empty() && compared.iter().all(|(_, report)| report.all_equal()),
            lag_p50_s: quantile(&lags, 0.5),
            lag_p99_s: quantile(&lags, 0.99),
            bytes: receipts.iter().map(|receipt| receipt.bytes_moved).sum(),
            spend_usd: receipts
                .iter()
                .map(|receipt| receipt.spend)
                .sum::<Usd>()
                .usd(),
        })
    }
}

/// The nearest-rank quantile of sorted lags, in seconds; 0 where there are none.
fn quantile(sorted: &[Duration], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map_or(0.0, Duration::as_secs_f64)
}

/// A line for each destination, where there is no terminal.
pub(super) fn lines(status: &RuleStatus) -> Vec<String> {
    let line = |destination: &skyfresh_engine::DestinationStatus| {
        let seconds = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}s"))
        };
        format!(
            "{}: lag p50 {} p99 {}, backlog {}, verified {}, spend {}",
            destination.destination,
            seconds(destination.lag.p50_s),
            seconds(destination.lag.p99_s),
            destination.backlog.objects,
            render::verified(destination),
            destination.totals.spend,
        )
    };
    status.destinations.iter().map(line).collect()
}

/// The last lines.
pub(super) fn conclusion(
    output: &Output,
    summary: &Summary,
    written: &Written,
    compared: &[(String, VerifyReport)],
    metered_egress: Usd,
) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        output.paint(Style::Bold, "Compared byte for byte, without the engine:"),
    ];
    for (name, report) in compared {
        let verdict = match report.all_equal() {
            true => output.paint(Style::Green, "equal"),
            false => output.paint(Style::Red, "NOT EQUAL"),
        };
        lines.push(format!(
            "  {name:<9} {verdict} as of {}: {} equal ({}), {} missing, {} extra, {} different, {} unreadable",
            report.as_of, report.equal, format_bytes(report.equal_bytes), report.only_source, report.only_target, report.different, report.unreadable
        ));
    }
    lines.push(format!("  the writer made {written}"));
    lines.push(format!(
        "  lag of live changes p50 {:.2} s, p99 {:.2} s; {} moved; {} by the receipts (egress by the sky's own meter: {})",
        summary.lag_p50_s,
        summary.lag_p99_s,
        format_bytes(summary.bytes),
        Usd::from_usd(summary.spend_usd),
        metered_egress,
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_happened() {
        let lags: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!((quantile(&lags, 0.5), quantile(&lags, 0.99)), (50.0, 99.0));
        assert_eq!((quantile(&lags[..1], 0.99), quantile(&[], 0.5)), (1.0, 0.0));
    }
}
