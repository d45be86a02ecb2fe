//! What a run showed, as numbers and as a picture.

use super::Scenario;
use super::build::bucket;
use crate::observer::{Missed, Misses, Timed, Violation};
use crate::picture::{Bucket, DelaySeries, delay_picture};
use crate::world::{Bill, Sim};
use serde::Serialize;
use skyfresh_engine::Predictions;
use skyfresh_sky::Usd;
use skyfresh_sky::catalog::{state_service, storage_price};
use std::collections::BTreeMap;

/// Dollars by kind, and in all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Dollars {
    /// All of it.
    pub total: Usd,
    /// By kind.
    #[serde(flatten)]
    pub by_kind: Bill,
}

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's title.
    pub title: String,
    /// What users did.
    pub load: String,
    /// The run's seed.
    pub seed: u64,
    /// Changes of the source times destinations.
    pub events: u64,
    /// Of them, those that had not arrived in the end.
    pub not_arrived: u64,
    /// Events of the trace that the store refused.
    pub skipped: u64,
    /// Median delay: from the write until it, or something newer, could be read at the destination. Seconds.
    pub p50_s: Option<f64>,
    /// 99 of 100 arrived within this.
    pub p99_s: Option<f64>,
    /// 999 of 1,000.
    pub p999_s: Option<f64>,
    /// 9,999 of 10,000.
    pub p9999_s: Option<f64>,
    /// The longest delay.
    pub max_s: Option<f64>,
    /// The SLO.
    pub slo: String,
    /// Share of changes that arrived within it; those that have not arrived count as late.
    pub slo_attainment: Option<f64>,
    /// Changes that arrived later than the SLO, by why.
    pub misses: Misses,
    /// Where the time of some of them went, by why; at most a hundred of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub missed: BTreeMap<&'static str, Vec<Missed>>,
    /// Most changes that waited at once.
    pub most_waiting: u64,
    /// Dollars.
    pub usd: Usd,
    /// Dollars by kind.
    pub usd_by_kind: Bill,
    /// Bytes that crossed regions.
    pub bytes_moved: u64,
    /// Copies by the way that was planned for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ways: BTreeMap<String, u64>,
    /// How predictions came true.
    pub predictions: Predictions,
    /// Broken guarantees: there should be none.
    pub violations: Vec<Violation>,
    /// Virtual time, seconds.
    pub virtual_s: f64,
    /// Hash of everything that happened: equal runs have equal hashes.
    pub log_hash: String,
    /// Events in that log.
    pub log_events: u64,
    /// When copies were made, where the load keeps receipts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Timed>,
    /// What the pictures are drawn from.
    #[serde(skip)]
    series: Option<DelaySeries>,
}

/// An average month has so many hours (8,766 a year).
const MONTH_HOURS: f64 = 730.5;

impl Report {
    pub(super) fn of(
        scenario: &Scenario,
        seed: u64,
        load: &str,
        sim: &Sim,
        begun_ms: u64,
        skipped: u64,
    ) -> Self {
        let (delays, waiting) = sim.observer.delays();
        let counts = sim.meter.read();
        let service = state_service(&scenario.state.service);
        let mut bill = counts.bill(&sim.catalog, service);
        for (index, place) in scenario.destinations.iter().enumerate() {
            let gb_months =
                sim.observer.stored_byte_hours(&bucket(index), sim.now()) / 1e9 / MONTH_HOURS;
            if let Some(price) = storage_price(place.region.provider) {
                bill.storage += price.price(gb_months);
            }
        }
        let changes = delays.count() + waiting;
        let (hash, log_events) = sim.digest();
        let (predictions, ways) = sim.observer.planned();
        let (stretches, stretch_s) = delays.stretches();
        let quantile = |quantile| delays.quantile_s(quantile);
        let subtitle = format!(
            "{load}, seed {seed}: {changes} changes, p99 {:.2} s, p99.99 {:.2} s, {}",
            quantile(0.99).unwrap_or_default(),
            quantile(0.9999).unwrap_or_default(),
            bill.total(),
        );
        let buckets = stretches.iter().enumerate().map(|(index, stretch)| {
            let at = |quantile: f64| stretch.delays.value_at_quantile(quantile) as f64 / 1_000.0;
            Bucket {
                at_s: (index as f64 * stretch_s - begun_ms as f64 / 1_000.0).max(0.0),
                count: stretch.delays.len(),
                p50_s: at(0.5),
                p99_s: at(0.99),
                max_s: stretch.delays.max() as f64 / 1_000.0,
                backlog: stretch.backlog,
            }
        });
        let series = DelaySeries {
            title: scenario.title.clone(),
            subtitle,
            slo_s: Some(scenario.slo.delay.as_secs_f64()),
            buckets: buckets.collect(),
            cdf: CDF
                .iter()
                .filter_map(|share| Some((*share, quantile(*share)?)))
                .collect(),
        };
        Report {
            title: scenario.title.clone(),
            load: load.to_owned(),
            seed,
            events: changes,
            not_arrived: waiting,
            skipped,
            p50_s: quantile(0.5),
            p99_s: quantile(0.99),
            p999_s: quantile(0.999),
            p9999_s: quantile(0.9999),
            max_s: quantile(1.0),
            slo: scenario.slo.to_string(),
            slo_attainment: delays.attainment(changes),
            misses: sim.observer.misses(),
            missed: sim.observer.missed(),
            most_waiting: stretches
                .iter()
                .map(|stretch| stretch.backlog)
                .max()
                .unwrap_or(0),
            usd: bill.total(),
            usd_by_kind: bill,
            bytes_moved: counts.bytes.values().sum(),
            ways,
            predictions,
            violations: sim.observer.violations(),
            virtual_s: sim.now_ms() as f64 / 1_000.0,
            log_hash: format!("{hash:016x}"),
            log_events,
            receipts: sim.observer.receipts(),
            series: Some(series),
        }
    }

    /// Delay over time, and its distribution, as SVG.
    pub fn picture(&self) -> Option<String> {
        self.series.as_ref().map(delay_picture)
    }
}

/// Shares at which the distribution is drawn: dense where it is rare.
const CDF: [f64; 26] = [
    0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98,
    0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99999, 1.0,
];
